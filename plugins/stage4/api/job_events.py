"""What the jobs are doing, as server-sent events: for the pages and for the REST API."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import cache
from http import HTTPStatus
from typing import Any
from weakref import WeakValueDictionary

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from clustering_tasks.settings.deployment import deployment
from stage4.api import airflow_jobs, problems
from stage4.job_ids import CLUSTERING_DAGS

MEDIA_TYPE = "text/event-stream"
# However many look on, Airflow's database is read once in this time by a process.
PERIOD_SECONDS = 2.0
# A server that is told to stop waits for open answers. The client connects again by itself, and
# its user's rights are looked at again.
STREAM_SECONDS = 25.0
_JOBS = 20
_DETAILED = 8
_USERS = 4  # a user may hold this part of all streams: one program cannot shut the others out
_UNFINISHED = {"queued", "running", "paused"}

Json = dict[str, Any]


class Reading:
    """Something that is read once in `PERIOD_SECONDS`, however many ask for it."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._lock = asyncio.Lock()
        self._read = read
        self._read_at = -PERIOD_SECONDS
        self._value: Any = None

    async def value(self) -> Any:
        """Return what was read, no longer than `PERIOD_SECONDS` ago."""
        async with self._lock:
            if time.monotonic() - self._read_at >= PERIOD_SECONDS:
                self._value = await run_in_threadpool(self._read)
                self._read_at = time.monotonic()
        return self._value


class Progress:
    """The latest jobs, those that run with their tasks; and single jobs."""

    def __init__(self) -> None:
        self._latest = Reading(_read)
        self._single: WeakValueDictionary[str, Reading] = WeakValueDictionary()

    async def jobs(self, dags: Collection[str]) -> list[Json]:
        """Give the jobs of some DAGs, newest first, no older than `PERIOD_SECONDS`."""
        return [job for job in await self._latest.value() if job["dag_id"] in dags]

    async def stream(self, dags: Collection[str]) -> AsyncIterator[bytes]:
        """Yield an event `jobs` for each change, and a sign of life for none."""
        async for event in _events("jobs", lambda: self.jobs(dags), lambda _: False):
            yield event

    async def stream_job(self, job_id: str) -> AsyncIterator[bytes]:
        """Yield an event `job` for each change of a job, and `end` when it has ended."""
        reading = self._single.get(job_id)
        if reading is None:
            reading = self._single[job_id] = Reading(lambda: _read_one(job_id))
        async for event in _events("job", reading.value, _has_ended):
            yield event


class Streams:
    """How many streams are open in this process of the API server, and whose."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def take(self, user_id: str) -> bool:
        """Count a stream that begins; False: too many are open, in all or of this user."""
        full = self._open.total() >= self._most
        if full or self._open[user_id] >= max(self._most // _USERS, 1):
            return False
        self._open[user_id] += 1
        return True

    def give_back(self, user_id: str) -> None:
        """Count a stream that has ended, in whatever way."""
        self._open[user_id] -= 1
        self._open += Counter()  # without users who hold none


@cache
def streams() -> Streams:
    """The count of this process."""
    return Streams(deployment().api_streams)


class EventResponse(StreamingResponse):
    """A stream of events, counted from its first byte to its last; 429 where there are too many."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncIterator[bytes], status_code: int = HTTPStatus.OK) -> None:
        # else nginx holds events back; FastAPI describes an answer by its default status
        super().__init__(events, status_code, headers={"X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client goes."""
        counted, user = streams(), scope["stage4_user"].get_id()
        if not counted.take(user):
            await _too_many(Request(scope))(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            counted.give_back(user)


def _too_many(request: Request) -> problems.ProblemResponse:
    most = deployment().api_streams
    return problems.respond(
        request,
        HTTPStatus.TOO_MANY_REQUESTS,
        f"Too many streams are open: this server has {most} (STAGE4_API_STREAMS), of which a user "
        f"may hold {max(most // _USERS, 1)}. Close one, or ask `GET jobs/{{job_id}}` now and then.",
        headers={"Retry-After": str(round(STREAM_SECONDS))},
    )


async def _events(
    name: str, look: Callable[[], Awaitable[Any]], ended: Callable[[Any], bool]
) -> AsyncIterator[bytes]:
    """Yield an event for each change of what is seen, until it has ended or the time is over."""
    until = time.monotonic() + STREAM_SECONDS
    last = b""
    yield b"retry: 1000\n\n"
    while time.monotonic() < until:
        seen = await look()
        now = orjson.dumps(seen)
        yield b"event: %b\ndata: %b\n\n" % (name.encode(), now) if now != last else b":\n\n"
        if ended(seen):
            yield b"event: end\ndata: {}\n\n"
            return
        last = now
        await asyncio.sleep(PERIOD_SECONDS)


def _has_ended(job: Json | None) -> bool:
    return job is None or job["state"] not in _UNFINISHED


def _read_one(job_id: str) -> Json | None:
    job = airflow_jobs.read_job(job_id)
    return None if job is None else job.model_dump(mode="json")


def _read() -> list[Json]:
    listed = [each.job for each in airflow_jobs.list_jobs(CLUSTERING_DAGS, None, None, _JOBS)]
    unfinished = [job.job_id for job in listed if job.state in _UNFINISHED][:_DETAILED]
    details = {name: airflow_jobs.read_job(name) for name in unfinished}
    return [(details.get(job.job_id) or job).model_dump(mode="json") for job in listed]
