"""What the endpoints share, made when the API server starts and closed when it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import structlog
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import Depends, Request

from clustering_tasks.settings.deployment import deployment
from stage4.api.cache import Cache
from stage4.api.job_events import Progress
from stage4.api.limits import RateLimit
from stage4.api.pool import ReadPool, airflow_connection
from stage4.redis_link import Link, RedisAddressError, redis_url

log = structlog.get_logger()


@dataclass(frozen=True)
class Services:
    """Of one process of the API server."""

    database: ReadPool
    cache: Cache
    rate_limit: RateLimit
    progress: Progress


@asynccontextmanager
async def running_services() -> AsyncIterator[Services]:
    """Open what the endpoints need; nothing has to be reachable yet."""
    url, link = _redis(), Link()
    where = deployment()
    database = ReadPool()
    cache = Cache(url, link)
    await database.open()
    try:
        rate_limit = RateLimit(where.api_requests_per_minute, url, link)
        yield Services(database, cache, rate_limit, Progress())
    finally:
        await cache.close()
        await database.close()


def _redis() -> str | None:
    conn_id = deployment().redis_conn_id
    if conn_id is None:
        return None
    try:
        return redis_url(airflow_connection(conn_id))
    except AirflowNotFoundException:
        log.error(  # noqa: TRY400 - the name says all
            "Airflow has no connection of this name: the API goes on without Redis",
            STAGE4_REDIS_CONN_ID=conn_id,
        )
    except RedisAddressError as error:
        log.error(  # noqa: TRY400 - the reason says all
            "Airflow's connection cannot be used: the API goes on without Redis",
            STAGE4_REDIS_CONN_ID=conn_id,
            why=str(error),
        )
    return None


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]
