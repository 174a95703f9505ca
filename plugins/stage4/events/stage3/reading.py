"""Whether Stage 3's stream is read: what waits in it, and when somebody last looked."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from stage4.events.stage3.stream import BLOCK, DEAD_SUFFIX

# An empty stream is asked again after `BLOCK`; a reader that has failed pauses as long.
READ_WITHIN = 12 * BLOCK


@dataclass(frozen=True)
class Reading:
    """How far a stream is read.

    Attributes:
        waiting: entries that no reader has been handed; None: Redis does not tell.
        pending: entries that were handed out and are not stored.
        dead: entries that were no events.
        idle: since a reader last asked; None: none ever has.
    """

    waiting: int | None
    pending: int
    dead: int
    idle: timedelta | None

    @property
    def is_read(self) -> bool:
        """Whether somebody has asked within a minute."""
        return self.idle is not None and self.idle <= READ_WITHIN


async def reading(redis: Redis, stream: str, group: str) -> Reading | None:
    """Look how far a group has read a stream; None: there is no such group.

    Args:
        redis: client, without decoding.
        stream: key.
        group: of consumers.

    Raises:
        RedisError, OSError: Redis is away.
    """
    try:
        groups: list[dict[str, Any]] = await redis.xinfo_groups(stream)
    except ResponseError as error:
        if str(error) == "no such key":
            return None
        raise
    found = next((each for each in groups if each["name"] == group.encode()), None)
    if found is None:
        return None
    consumers: list[dict[str, Any]] = await redis.xinfo_consumers(stream, group)
    idle = min((each["idle"] for each in consumers), default=None)
    return Reading(
        waiting=found.get("lag"),
        pending=found["pending"],
        dead=await redis.xlen(f"{stream}{DEAD_SUFFIX}"),
        idle=None if idle is None else timedelta(milliseconds=idle),
    )
