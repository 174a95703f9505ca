"""`live`: it answers; `health`: look-ups work; `resources`: what host and pools have left."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import perf_counter
from typing import Any

import httpx
import psycopg
import structlog
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import APIRouter, Response
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from starlette.concurrency import run_in_threadpool
from upath import UPath

import stage4
from clustering_tasks.settings.deployment import deployment
from stage4.api.host import host_resources
from stage4.api.models.installation import Dependency, DependencyName, Health, Live, Resources
from stage4.api.pool import Row, airflow_connection, read_row
from stage4.api.queries.events import read_queues
from stage4.api.security import AccessDep
from stage4.api.services import Services, ServicesDep
from stage4.events.receivers import unusable
from stage4.events.stage3.reading import reading
from stage4.events.stage3.stream import GROUP, STREAM
from stage4.redis_link import RedisAddressError, redis_url

router = APIRouter(tags=["installation"])
log = structlog.get_logger()

_WAIT_SECONDS = 2.0
_LATE = timedelta(minutes=10)  # a refused event waits for two


@router.get("/live", response_model=Live)
async def read_live() -> Live:
    """Tell that the API server answers, for proxies and probes; needs no token.

    It asks nothing: whether look-ups work is for `health`.
    """
    return Live(status="alive", service="stage4-clustering", version=stage4.__version__)


@router.get(
    "/health",
    response_model=Health,
    responses={503: {"model": Health, "description": "No look-ups: PostgreSQL is down."}},
)
async def read_health(response: Response, _access: AccessDep, services: ServicesDep) -> Health:
    """Tell whether look-ups work, and what they and the DAGs rest on.

    Probes without a token ask `live`, or Airflow's own `/api/v2/monitor/health`.
    """
    asked: dict[DependencyName, Callable[[], Awaitable[str | None]]] = {
        "postgres": lambda: _postgres(services),
        "redis": lambda: _redis(services),
        "stage3": _stage3,
        "stage3_stream": _stage3_stream,
        "event_receivers": lambda: _event_receivers(services),
        "workspace": lambda: _workspace(services),
    }
    # An object store's library has errors of its own; whichever it raises is told, and is no 5xx.
    found = await asyncio.gather(*map(_tried, asked.values()), return_exceptions=True)
    dependencies = {
        name: each if isinstance(each, Dependency) else _failed(name, each)
        for name, each in zip(asked, found, strict=True)
    }
    postgres = dependencies["postgres"]
    if postgres.status == "down":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    amiss = any(each.status == "down" for each in dependencies.values())
    return Health(
        status="down" if postgres.status == "down" else "degraded" if amiss else "healthy",
        version=stage4.__version__,
        dependencies=dependencies,
    )


@router.get("/resources", response_model=Resources)
async def read_resources(access: AccessDep) -> Resources:
    """Tell what the API server's host and the workers' GPUs have, and Airflow's pools have left."""
    await access.check_installation()
    return await run_in_threadpool(host_resources)


async def _tried(ask: Callable[[], Awaitable[str | None]]) -> Dependency:
    """Ask a dependency; its answer is a detail, or None when it is not configured."""
    started = perf_counter()
    try:
        detail = await asyncio.wait_for(ask(), _WAIT_SECONDS)
    except _EXPECTED as error:
        return Dependency(status="down", detail=_words(error), seconds=None)
    if detail is None:
        return Dependency(status="off", detail="not configured", seconds=None)
    return Dependency(status="up", detail=detail, seconds=round(perf_counter() - started, 4))


def _failed(name: DependencyName, error: BaseException) -> Dependency:
    """Tell of an error that nobody has foreseen; its words, which may be secret, are logged."""
    log.error("a dependency cannot be asked", dependency=name, exc_info=error)
    detail = f"cannot be asked ({type(error).__name__}): the API server's log has more"
    return Dependency(status="down", detail=detail, seconds=None)


def _words(error: Exception) -> str:
    """Say what is wrong without addresses, users or passwords."""
    if isinstance(error, _NotHealthyError):
        return str(error)
    if isinstance(error, ImportError):
        return f"a package is missing in the API server's environment: {error}"
    if isinstance(error, httpx.InvalidURL):
        return "STAGE4_STAGE3_URL is no URL"
    if isinstance(error, ResponseError):
        return f"Redis refuses: {str(error).partition(' ')[0]}"  # its code, as NOPERM or WRONGTYPE
    if isinstance(error, TimeoutError):
        return f"no answer in {_WAIT_SECONDS:g} s"
    return f"no answer ({type(error).__name__})"


class _NotHealthyError(ValueError):
    """It answers, but not as it should."""


_EXPECTED = (
    *(psycopg.Error, RedisError, OSError, ValueError, ImportError),
    *(httpx.HTTPError, httpx.InvalidURL),  # the latter is none of the former
)


async def _postgres(services: Services) -> str:
    async with services.database.reader() as connection:
        row = await read_row(connection, "SELECT version_num FROM stage4.alembic_version")
    if row is None:
        raise _NotHealthyError("the schema `stage4` is not set up: run `python -m stage4.setup`")
    return f"schema {row['version_num']}"


async def _redis(services: Services) -> str | None:
    conn_id = deployment().redis_conn_id
    if conn_id is None:
        return None
    if not services.cache.configured:
        await _redis_address(conn_id, "STAGE4_REDIS_CONN_ID")
        raise _NotHealthyError("its connection is new: restart the API server")
    if not await services.cache.ping():
        raise _NotHealthyError("no answer")
    return "answers"


async def _stage3() -> str | None:
    where = deployment()
    if where.stage3_url is None:
        return None
    async with httpx.AsyncClient(base_url=where.stage3_url, timeout=_WAIT_SECONDS) as client:
        answer = await client.get("/health")
    if not answer.is_success:
        raise _NotHealthyError(f"answered {answer.status_code}")
    said = answer.json()
    status = said.get("status") if isinstance(said, dict) else None
    if status != "healthy":
        raise _NotHealthyError("says that it is not healthy")
    return "healthy"


async def _stage3_stream() -> str | None:
    conn_id = deployment().stage3_stream_conn_id
    if conn_id is None:
        return None
    url, extra = await _redis_address(conn_id, "STAGE4_STAGE3_STREAM_CONN_ID")
    stream, group = str(extra.get("stream", STREAM)), str(extra.get("group", GROUP))
    async with Redis.from_url(url) as client:
        found = await reading(client, stream, group)
    if found is None or not found.is_read:
        raise _NotHealthyError(
            "nobody reads it: `receive_events` has to be unpaused, and a triggerer to run"
        )
    waiting = "entries" if found.waiting is None else f"{found.waiting} entries"
    return f"{waiting} wait, {found.pending} are being stored, {found.dead} are dead letters"


async def _redis_address(conn_id: str, setting: str) -> tuple[str, dict[str, Any]]:
    """Look up the URL of an Airflow connection to Redis, and its extra.

    Raises:
        _NotHealthyError: there is none, or it names no Redis.
    """
    try:
        connection = await run_in_threadpool(airflow_connection, conn_id)
        return redis_url(connection), connection.extra_dejson
    except AirflowNotFoundException:
        raise _NotHealthyError(
            f"Airflow has no connection of the name in {setting}, or cannot read it"
        ) from None
    except RedisAddressError as error:
        raise _NotHealthyError(f"the connection in {setting}: {error}") from None


async def _event_receivers(services: Services) -> str | None:
    where = deployment()
    if not where.event_receivers:
        return None
    if wrong := await run_in_threadpool(unusable, where, airflow_connection):
        raise _NotHealthyError("; ".join(wrong))
    async with services.database.reader() as connection:
        queues = await read_queues(connection)
    if late := [row for row in queues if row["pending"] and _is_late(row)]:
        raise _NotHealthyError("; ".join(map(_lateness, late)))
    given_up = [f"{row['given_up']} of {row['receiver']}'s" for row in queues if row["given_up"]]
    note = f"; events given up: {', '.join(given_up)}" if given_up else ""
    return f"{len(where.event_receivers)} can be used{note}"


def _is_late(queue: Row) -> bool:
    """Whether a receiver does not answer, or nobody sends it what waits."""
    return queue["retry_at"] is not None or queue["oldest_pending_at"] < datetime.now(UTC) - _LATE


def _lateness(queue: Row) -> str:
    since = queue["oldest_pending_at"].astimezone(UTC).isoformat(timespec="seconds")
    why = f"does not answer ({queue['last_error']})" if queue["retry_at"] else "is sent nothing"
    return f"{queue['receiver']} {why}: {queue['pending']} events wait, the oldest since {since}"


async def _workspace(services: Services) -> str:
    if await run_in_threadpool(UPath(deployment().workspace).exists):
        return "exists"
    async with services.database.reader() as connection:
        row = await read_row(connection, "SELECT EXISTS (SELECT FROM stage4.runs) AS loaded")
    if row is not None and not row["loaded"]:
        return "not there yet: the first run makes it"
    raise _NotHealthyError(
        "STAGE4_WORKSPACE does not exist, as the API server sees it, and runs are loaded"
    )
