"""Answers kept in Redis, where there is one.

Only a deletion changes the rows of a loaded run, and it sets the time of the run's last change.
This time is in the key beside the load's number. So a deletion gives the run new keys at once, and
a database that was set up anew, whose numbers begin at 1 again, gets no answers of the old one.
Answers under former keys expire, and the DAG `delete_document` removes all answers at its end,
because they may hold words of the document.

Publishing invalidates nothing: the next request is for another load, under another key. Which load
is the current one is not cached; every request reads it from the database.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from redis.asyncio import Redis
from starlette.responses import Response

from clustering_tasks.settings.deployment import deployment
from stage4.api.queries.runs import RunKey
from stage4.redis_link import PREFIX, REDIS_TIMEOUT_SECONDS, Link

METRICS_SECONDS = 24 * 3600
_MOST_BYTES = 1 << 20  # a larger answer is rare, and would push many small ones out
_FORM = 4  # of what is kept; another number when the answers' form changes


class Cache:
    """Keeps answers by run and question; without Redis it keeps nothing."""

    def __init__(self, url: str | None, link: Link) -> None:
        """Use Redis, if there is one.

        Args:
            url: of Redis, or None.
            link: shared with all that uses Redis.
        """
        self._link = link
        self._redis: Redis | None = None
        if url is not None:
            self._redis = Redis.from_url(
                url,
                socket_timeout=REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
            )

    @property
    def configured(self) -> bool:
        """Whether there is to be a Redis."""
        return self._redis is not None

    async def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            await self._redis.aclose()

    async def ping(self) -> bool:
        """Ask Redis whether it is there."""
        return self._redis is not None and bool(await self._link.try_(self._redis.ping()))

    async def answer(
        self,
        run: RunKey,
        question: Mapping[str, Any],
        make: Callable[[], Awaitable[BaseModel]],
        *,
        seconds: int | None = None,
    ) -> Response:
        """Give the kept answer, or make it and keep it.

        Args:
            run: that the answer is about.
            question: the endpoint's name and whatever else the answer depends on; of other runs
                also the time of their last change.
            make: asks the database.
            seconds: how long to keep it; default: `deployment().cache_seconds`.

        Returns:
            the answer as JSON.
        """
        key = _key(run, question)
        body = await self._get(key)
        if body is None:
            body = (await make()).model_dump_json().encode()
            await self._set(key, body, seconds or deployment().cache_seconds)
        return Response(body, media_type="application/json")

    async def _get(self, key: str) -> bytes | None:
        if self._redis is None or not self._link.up:
            return None
        found = await self._link.try_(self._redis.get(key))
        return found if isinstance(found, bytes) else None

    async def _set(self, key: str, body: bytes, seconds: int) -> None:
        if self._redis is not None and self._link.up and len(body) <= _MOST_BYTES:
            await self._link.try_(self._redis.set(key, body, ex=seconds))


def _key(run: RunKey, question: Mapping[str, Any]) -> str:
    asked = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(asked).hexdigest()[:32]
    return f"{PREFIX}{_FORM}:{run.level}:{run.load_id}:{run.changed_at.timestamp():.6f}:{digest}"
