"""Fifty submissions at once: a real Airflow, the real DAG, a folder of Stage 3 that is not there.

`python -m pytest -n 0 -m heavy -s tests/e2e/test_submissions.py` prints what docs/RELIABILITY.md
shows. Each job fails at its first task, and quickly: what counts is that it has its turn.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Airflow

pytestmark = [pytest.mark.airflow, pytest.mark.heavy]

LEVEL, DAG_ID = "storylines", "cluster_storylines"
JOBS, AGAIN, AT_ONCE = 50, 10, 20
SECONDS = 1800  # more than fifty of them take
ENDED = ("completed", "failed", "canceled")


def submit(airflow: Airflow, key: int) -> httpx.Response:
    body = {"level": LEVEL, "idempotency_key": f"burst-{key}"}
    return airflow.client.post(f"{airflow.base_url}/stage4/api/v1/batch", json=body, timeout=120)


def wait(airflow: Airflow, job: str) -> str:
    """Wait for a job's end; returns how it ended."""
    deadline = time.monotonic() + SECONDS
    address = f"{airflow.base_url}/stage4/api/v1/jobs/{job}"
    while (state := str(airflow.client.get(address).json()["state"])) not in ENDED:
        assert time.monotonic() < deadline, f"{job} is {state}"
        time.sleep(0.5)
    return state


def test_a_burst_is_taken_whole_and_runs_in_its_order(airflow: Airflow, tmp_path: Path) -> None:
    keys = [*range(JOBS), *range(AGAIN)]  # some are sent twice
    with airflow.reading(tmp_path / "missing"):
        started = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda key: submit(airflow, key), keys))
        accepted = time.monotonic() - started
        assert {each.status_code for each in answers} == {HTTPStatus.ACCEPTED}
        jobs = {key: each.json()["job_id"] for key, each in zip(keys, answers, strict=True)}
        for key, answer in zip(keys, answers, strict=True):
            assert answer.json()["job_id"] == jobs[key]
        assert len({*jobs.values()}) == JOBS
        assert {wait(airflow, job) for job in jobs.values()} == {"failed"}
    seconds = time.monotonic() - started
    runs = airflow.api.get(f"/dags/{DAG_ID}/dagRuns", limit=100)["dag_runs"]
    names = {each.json()["dag_run_id"] for each in answers}
    own = sorted((r for r in runs if r["dag_run_id"] in names), key=lambda r: str(r["run_after"]))
    assert len(own) == JOBS
    begun = [str(run["start_date"]) for run in own]
    ended = [str(run["end_date"]) for run in own]
    assert begun == sorted(begun)
    assert all(end <= start for end, start in zip(ended, begun[1:], strict=False))
    print(  # noqa: T201
        f"\n{len(keys)} submissions, {AT_ONCE} at once, {JOBS} jobs: accepted in {accepted:.1f} s,"
        f" the last had ended after {seconds:.0f} s"
    )
