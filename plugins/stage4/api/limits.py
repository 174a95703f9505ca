"""How much one user may ask, and how much one request may bring."""

import asyncio
from functools import cache
from http import HTTPStatus
from math import ceil
from time import monotonic, time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from clustering_tasks.settings.deployment import deployment
from stage4.redis_link import REDIS_ERRORS, REDIS_TIMEOUT_SECONDS, Link

_COUNTED = "stage4-api"
_LOGINS = "stage4-logins"
_ONCE_MORE_SECONDS = 0.1


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


class LoginFailures:
    """Failed log-ins of an address in a minute, counted by each process of the API server.

    Who logs in rightly is not counted, so that one address may have many users.
    """

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, address: str) -> None:
        """Count a failure."""
        await self._limiter.hit(self._item, _LOGINS, address)

    async def wait(self, address: str) -> int | None:
        """Tell how many seconds an address has to wait; None: it may try."""
        if await self._limiter.test(self._item, _LOGINS, address):
            return None
        window = await self._limiter.get_window_stats(self._item, _LOGINS, address)
        return max(1, ceil(window.reset_time - time()))


@cache
def login_failures() -> LoginFailures:
    """The counts of this process."""
    return LoginFailures(deployment().login_failures_per_minute)


def address_of(scope: Scope) -> str:
    """Return the client's address; behind a proxy it is as the API server resolves it."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def too_many_failures(seconds: int) -> HTTPException:
    """Make the answer for an address that has to wait."""
    return HTTPException(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"Too many failed log-ins from this address (STAGE4_LOGIN_FAILURES_PER_MINUTE): wait "
        f"{seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def _shared(url: str) -> SlidingWindowCounterRateLimiter:
    storage = RedisStorage(
        f"async+{url}",
        implementation="redispy",
        key_prefix="stage4:limits",
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )
    return SlidingWindowCounterRateLimiter(storage)


def limited(scope: Scope, receive: Receive, most: int, seconds: float) -> Receive:
    """Refuse a body that is larger than `most` bytes, announced or not, or that comes too slowly.

    Args:
        scope: of the request.
        receive: brings the body, piece by piece.
        most: bytes of the whole body.
        seconds: from when it is first asked for to its last piece; a client that sends a byte now
            and then would hold its connection for ever.

    Returns:
        `receive`, which raises 413 once it has brought more, and 408 when the time is over.

    Raises:
        HTTPException: 413, when the announced length is too much already; 400, when it is none.
    """
    announced = dict(scope["headers"]).get(b"content-length")
    if announced is not None:
        if not announced.isdigit():
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Content-Length is not a number.")
        if int(announced) > most:
            raise _too_large(most)
    brought, complete = 0, False
    left = _Left(seconds)

    async def counted() -> Message:
        nonlocal brought, complete
        if complete:  # what comes now is that the client has gone, whenever that is
            return await receive()
        try:
            message = await left.wait_for(receive)
        except TimeoutError:
            raise _too_slow(seconds) from None
        brought += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if brought > most:
            raise _too_large(most)
        return message

    return counted


class _Left:
    """What is left of the time for a body, from when it is first asked for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._is_over = False

    async def wait_for(self, receive: Receive) -> Message:
        """Wait for the next piece.

        Raises:
            TimeoutError: it has not come in time.
        """
        if self._until is None:
            self._until = monotonic() + self._seconds
        try:
            return await asyncio.wait_for(receive(), max(self._until - monotonic(), 0))
        except TimeoutError:
            if self._is_over:
                raise
        # The server itself may have stood still for so long, and the piece be there: once.
        self._is_over = True
        return await asyncio.wait_for(receive(), _ONCE_MORE_SECONDS)


def _too_slow(seconds: float) -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_TIMEOUT,
        f"The body was not there after {seconds:g} s (STAGE4_API_BODY_SECONDS).",
        headers={"Connection": "close"},
    )


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {most} bytes (STAGE4_API_MAX_BODY_BYTES).",
    )
