"""How much a user may ask, and a request may bring: counted without a server."""

import asyncio
import time
from collections.abc import Iterable

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Scope

from stage4.api.limits import RateLimit, limited
from stage4.redis_link import Link


def take(limit: RateLimit, *users: str) -> list[int | None]:
    async def all_of_them() -> list[int | None]:
        return [await limit.take(user) for user in users]

    return asyncio.run(all_of_them())


def test_each_user_has_a_limit_of_its_own() -> None:
    limit = RateLimit(2, None, Link())
    *taken, refused, other = take(limit, "a", "a", "a", "b")
    assert taken == [None, None]
    assert other is None
    assert refused is not None
    assert 1 <= refused <= 60


def scope(length: bytes | None) -> Scope:
    headers = [] if length is None else [(b"content-length", length)]
    return {"type": "http", "headers": headers}


def read(length: bytes | None, pieces: Iterable[bytes], most: int) -> bytes:
    messages = iter([{"type": "http.request", "body": each, "more_body": True} for each in pieces])

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    async def all_of_it() -> bytes:
        bounded = limited(scope(length), receive, most, seconds=10)
        found = b""
        while (message := await bounded())["type"] == "http.request":
            found += message["body"]
        return found

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("length", [None, b"4"])
def test_a_body_up_to_the_limit_passes(length: bytes | None) -> None:
    assert read(length, [b"ab", b"cd"], 4) == b"abcd"


@pytest.mark.parametrize("length", [None, b"4"])  # the second one is a lie
def test_a_body_beyond_the_limit_is_broken_off(length: bytes | None) -> None:
    with pytest.raises(HTTPException) as refused:
        read(length, [b"ab", b"cd", b"e"], 4)
    assert refused.value.status_code == 413


@pytest.mark.parametrize(
    ("length", "status"), [(b"5", 413), (b"9" * 30, 413), (b"-1", 400), (b"x", 400), (b"", 400)]
)
def test_a_length_that_cannot_be_is_refused_unread(length: bytes, status: int) -> None:
    with pytest.raises(HTTPException) as refused:
        read(length, [], 4)
    assert refused.value.status_code == status


def test_a_client_that_stays_after_its_body_has_all_the_time() -> None:
    messages = iter([{"type": "http.request", "body": b"ab", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        await asyncio.sleep(0.2)
        return {"type": "http.disconnect"}

    async def stays() -> str:
        bounded = limited(scope(None), receive, 4, seconds=0.05)
        await bounded()
        kind: str = (await bounded())["type"]
        return kind

    assert asyncio.run(stays()) == "http.disconnect"


def test_a_body_is_taken_that_came_while_the_server_stood_still() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"ab", "more_body": False}

    async def stands_still() -> Message:
        bounded = limited(scope(None), receive, 4, seconds=0.1)
        await asyncio.sleep(0.2)  # of other middleware
        asked = asyncio.ensure_future(bounded())
        await asyncio.sleep(0)
        time.sleep(0.2)  # in the event loop, as whatever holds it up
        return await asked

    assert asyncio.run(stands_still())["body"] == b"ab"


def test_a_client_that_sends_a_byte_now_and_then_is_refused() -> None:
    asked = 0

    async def receive() -> Message:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.03)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def trickles() -> None:
        bounded = limited(scope(None), receive, 1000, seconds=0.1)
        while True:
            await bounded()

    with pytest.raises(HTTPException) as refused:
        asyncio.run(trickles())
    assert refused.value.status_code == 408
    assert asked < 10
