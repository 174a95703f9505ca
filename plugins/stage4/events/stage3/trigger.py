"""The reader of Stage 3's stream, in Airflow's triggerer: there it holds no slot of a worker.

The triggerer starts it anew whenever it ends, and another triggerer takes it over when one is lost.
It only stores events, and wakes the DAG `receive_events`, which decides about runs: a trigger can
start none. It wakes the DAG at its own start, too, for what was stored before it was killed.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async
from redis.asyncio import Redis
from redis.exceptions import RedisError

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.stage3.events import Stage3Event
from stage4.database import stage3_events
from stage4.database.direct import brief_connection
from stage4.database.stage3_events import arrival
from stage4.events.stage3.stream import GROUP, STREAM, StreamReader
from stage4.redis_link import RedisAddressError, redis_url

if TYPE_CHECKING:
    from stage4.database.connection import Database

ANSWER_SECONDS = 10.0  # more than an empty stream is waited for
PAUSE_SECONDS = 5.0  # after a failure

log = structlog.get_logger()


# What somebody may mend while this waits.
_PASSING = (RedisError, OSError, RedisAddressError, psycopg.Error, AirflowException)


class Stage3StreamTrigger(BaseEventTrigger):
    """Stores Stage 3's events as they come, and fires behind each batch."""

    def __init__(self, conn_id: str) -> None:
        """Make a trigger.

        Args:
            conn_id: Airflow connection of type `redis`; `stream` and `group` of its extra.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.conn_id = conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Tell the triggerer how to make this again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"conn_id": self.conn_id}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Read for ever; while Redis or the database is away, the entries wait in the stream."""
        yield TriggerEvent("started")  # type: ignore[no-untyped-call]
        while True:
            try:
                # Anew after each failure: somebody may have mended a connection.
                places = await sync_to_async(_places)(self.conn_id)
                async with _redis(places.redis) as client:
                    reader = _reader(client, places)
                    await reader.join()
                    async for number in reader.stored():
                        yield TriggerEvent(f"{number} events")  # type: ignore[no-untyped-call]
            except _PASSING as error:
                log.warning(
                    "Stage 3's events wait in their stream",
                    connection=self.conn_id,
                    why=type(error).__name__,
                )
            await asyncio.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class _Places:
    """Airflow's connections."""

    redis: Any
    database: Any


def _places(conn_id: str) -> _Places:
    return _Places(
        BaseHook.get_connection(conn_id), BaseHook.get_connection(deployment().postgres_conn_id)
    )


def _redis(connection: Any) -> Redis:
    return Redis.from_url(
        redis_url(connection),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )


def _reader(client: Redis, places: _Places) -> StreamReader:
    def connected() -> "AbstractContextManager[Database]":
        return brief_connection(places.database)

    def check() -> None:
        with connected():
            pass

    def store(events: Sequence[Stage3Event]) -> None:
        with connected() as connection:
            stage3_events.store(connection, [arrival(each, "stream") for each in events])

    async def ready() -> None:
        await asyncio.to_thread(check)

    async def stored(events: Sequence[Stage3Event]) -> None:
        await asyncio.to_thread(store, events)

    extra = places.redis.extra_dejson
    stream, group = str(extra.get("stream", STREAM)), str(extra.get("group", GROUP))
    return StreamReader(client, stored, ready, stream, group)
