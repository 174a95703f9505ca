"""Reading Stage 3's stream of Redis as one consumer of a group.

An entry is acknowledged once it is stored. Whoever ends before that leaves it pending, and whoever
comes next claims it after `CLAIM_AFTER`. So an entry is stored at least once; the table drops what
it has.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from clustering_tasks.stage3.events import Stage3Event, Stage3EventError, stage3_event

STREAM = "stage3:embeddings:events"
GROUP = "stage4-clustering-consumers"
CONSUMER = "stage4"  # always the same one: what it left is its own
BATCH = 200
BLOCK = timedelta(seconds=5)
CLAIM_AFTER = timedelta(seconds=30)
# An entry that was handed out so often ends its readers: a fault that the code does not know.
MOST_DELIVERIES = 5
_BEHIND_ALL = f"{2**64 - 1}-0"  # of an id behind the last one Redis would begin anew
DEAD_SUFFIX = ":dead"
MOST_DEAD = 10_000  # entries, about

Fields = dict[bytes, bytes]
Entry = tuple[bytes, Fields]

log = structlog.get_logger()


@dataclass(frozen=True)
class StreamReader:
    """What reads the stream.

    Attributes:
        redis: client, without decoding.
        store: stores events; it returns when they are committed.
        ready: raises while nothing can be stored: no entry is handed out in vain then.
        stream: key.
        group: of consumers.
        claim_after: how long an entry is left to its reader.
        block: how long an empty stream is waited for.
    """

    redis: Redis
    store: Callable[[Sequence[Stage3Event]], Awaitable[None]]
    ready: Callable[[], Awaitable[None]]
    stream: str = STREAM
    group: str = GROUP
    claim_after: timedelta = CLAIM_AFTER
    block: timedelta = BLOCK

    async def join(self) -> None:
        """Make the group where it is missing: it begins with what the stream has.

        Raises:
            RedisError, OSError: Redis is away.
            psycopg.Error: the database is away.
        """
        await self.ready()
        try:
            await self.redis.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def stored(self) -> AsyncIterator[int]:
        """Store what comes; yields the number of events each time, before they are acknowledged.

        Raises:
            RedisError, OSError: Redis is away, or the group is.
            psycopg.Error: the database is away; what was handed out stays pending.
        """
        while True:
            _heed_cancellation()
            await self._be_seen()
            entries = await self._left_over() or await self._new()
            events = await self._readable(entries)
            if not events:
                continue
            await self.store([*events.values()])
            yield len(events)
            await self.redis.xack(self.stream, self.group, *events)

    async def _be_seen(self) -> None:
        """Let the group say that it is read: it reads what was handed out behind all entries.

        Before 7.2 Redis notes no reader whom it hands nothing, so that a quiet stream would look
        like one that nobody reads.
        """
        await self.redis.xreadgroup(self.group, CONSUMER, {self.stream: _BEHIND_ALL}, count=1)

    async def _new(self) -> list[Entry]:
        block = round(self.block.total_seconds() * 1000)
        found: Any = await self.redis.xreadgroup(
            self.group, CONSUMER, {self.stream: ">"}, count=BATCH, block=block
        )
        return [entry for _, entries in found or [] for entry in entries]

    async def _left_over(self) -> list[Entry]:
        """Claim one entry: one that ends its reader takes no others along."""
        idle = round(self.claim_after.total_seconds() * 1000)
        _, claimed, _ = await self.redis.xautoclaim(
            self.stream, self.group, CONSUMER, min_idle_time=idle, count=1
        )
        if not claimed:
            return []
        ((entry_id, fields),) = claimed
        pending = await self.redis.xpending_range(
            self.stream, self.group, min=entry_id, max=entry_id, count=1
        )
        if not pending or int(pending[0]["times_delivered"]) <= MOST_DELIVERIES:
            return [(entry_id, fields)]
        await self._bury(entry_id, fields, f"handed out {MOST_DELIVERIES} times and never stored")
        return []

    async def _readable(self, entries: Sequence[Entry]) -> dict[bytes, Stage3Event]:
        """Read entries; one that is no event of Stage 3 never will be."""
        events = {}
        for entry_id, fields in entries:
            try:
                events[entry_id] = stage3_event(fields or {})
            except Stage3EventError as error:
                await self._bury(entry_id, fields or {}, str(error))
        return events

    async def _bury(self, entry_id: bytes, fields: Fields, why: str) -> None:
        """Move an entry to the stream of dead letters, as one act."""
        log.error(
            "an entry of Stage 3's stream is not taken; the stream of dead letters has it",
            entry=entry_id.decode(),
            stream=self.dead_letters,
            why=why,
        )
        own: dict[Any, Any] = {**fields, b"dead_entry": entry_id, b"dead_reason": why.encode()}
        async with self.redis.pipeline(transaction=True) as act:
            act.xadd(self.dead_letters, own, maxlen=MOST_DEAD, approximate=True)
            act.xack(self.stream, self.group, entry_id)
            await act.execute()

    @property
    def dead_letters(self) -> str:
        """Key of the stream of what could not be taken."""
        return f"{self.stream}{DEAD_SUFFIX}"


def _heed_cancellation() -> None:
    """Raise a cancellation again that was swallowed.

    Before Python 3.12 `asyncio.wait_for`, by which redis-py sends, loses one that comes in the
    moment in which it is done (python/cpython#86296): a triggerer that stops would wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
