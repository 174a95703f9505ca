"""What the jobs are doing, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

import orjson
from starlette.concurrency import run_in_threadpool

from clustering_tasks.settings.levels import LEVELS
from stage4.api import airflow_jobs
from stage4.api.security import ALL_LEVELS_DAG, dag_id

# However many look on, Airflow's database is read once in this time by a process.
PERIOD_SECONDS = 2.0
# A server that is told to stop waits for open answers. The browser connects again by itself, and
# its user's rights are looked at again.
STREAM_SECONDS = 25.0
_JOBS = 20
_DETAILED = 8
_UNFINISHED = {"queued", "running"}

Json = dict[str, Any]


class Progress:
    """The latest jobs, those that run with their tasks."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._read_at = -PERIOD_SECONDS
        self._jobs: list[Json] = []

    async def jobs(self, dags: Collection[str]) -> list[Json]:
        """Give the jobs of some DAGs, newest first, no older than `PERIOD_SECONDS`."""
        async with self._lock:
            if time.monotonic() - self._read_at >= PERIOD_SECONDS:
                self._jobs = await run_in_threadpool(_read)
                self._read_at = time.monotonic()
        return [job for job in self._jobs if job["dag_id"] in dags]

    async def stream(self, dags: Collection[str]) -> AsyncIterator[bytes]:
        """Yield an event for each change, and a sign of life for none."""
        end = time.monotonic() + STREAM_SECONDS
        last = b""
        yield b"retry: 1000\n\n"
        while time.monotonic() < end:
            now = orjson.dumps(await self.jobs(dags))
            yield b"event: jobs\ndata: " + now + b"\n\n" if now != last else b":\n\n"
            last = now
            await asyncio.sleep(PERIOD_SECONDS)


def _read() -> list[Json]:
    dags = [*map(dag_id, LEVELS), ALL_LEVELS_DAG]
    listed = [each.job for each in airflow_jobs.list_jobs(dags, None, None, _JOBS)]
    unfinished = [job.job_id for job in listed if job.state in _UNFINISHED][:_DETAILED]
    details = {name: airflow_jobs.read_job(name) for name in unfinished}
    return [(details.get(job.job_id) or job).model_dump(mode="json") for job in listed]
