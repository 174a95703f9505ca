"""How much one user may ask, and how much one request may bring."""

from http import HTTPStatus
from math import ceil
from time import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from stage4.redis_link import REDIS_ERRORS, REDIS_TIMEOUT_SECONDS, Link

_COUNTED = "stage4-api"


class RateLimit:
    """Requests of a user in a minute, over a sliding window.

    Counted in Redis, over all API servers; without it, or while it is down, by each process.
    """

    def __init__(self, per_minute: int, url: str | None, link: Link) -> None:
        """Count.

        Args:
            per_minute: requests that are answered.
            url: of Redis; None: this process's memory.
            link: shared with all that uses Redis.
        """
        self._item = RateLimitItemPerMinute(per_minute)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = _shared(url) if url else None
        self._link = link

    async def take(self, user_id: str) -> int | None:
        """Count a request.

        Returns:
            None, or the seconds to wait when there were too many.
        """
        if self._shared is not None and self._link.up:
            try:
                return await self._take(self._shared, user_id)
            except REDIS_ERRORS as error:
                self._link.failed(error)
        return await self._take(self._own, user_id)

    async def _take(self, limiter: SlidingWindowCounterRateLimiter, user_id: str) -> int | None:
        if await limiter.hit(self._item, _COUNTED, user_id):
            return None
        window = await limiter.get_window_stats(self._item, _COUNTED, user_id)
        return max(1, ceil(window.reset_time - time()))


def _shared(url: str) -> SlidingWindowCounterRateLimiter:
    storage = RedisStorage(
        f"async+{url}",
        implementation="redispy",
        key_prefix="stage4:limits",
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    return SlidingWindowCounterRateLimiter(storage)


def limited(scope: Scope, receive: Receive, most: int) -> Receive:
    """Refuse a body that is larger than `most` bytes, announced or not.

    Returns:
        `receive`, which raises 413 once it has brought more.

    Raises:
        HTTPException: 413, when the announced length is too much already; 400, when it is none.
    """
    announced = dict(scope["headers"]).get(b"content-length")
    if announced is not None:
        if not announced.isdigit():
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
        if int(announced) > most:
            raise _too_large(most)
    brought = 0

    async def counted() -> Message:
        nonlocal brought
        message = await receive()
        brought += len(message.get("body", b""))
        if brought > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {most} bytes (STAGE4_API_MAX_BODY_BYTES).",
    )
