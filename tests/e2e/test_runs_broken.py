"""Steps that fail or are killed in a real Airflow: who notices, what is kept, what is left."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from local.postgres import AIRFLOW
from stage4.job_ids import job_id
from tests.e2e.clearing import clear_failed
from tests.e2e.conftest import RUN_MINUTES, Airflow
from tests.e2e.readers import published, served

pytestmark = pytest.mark.airflow

DAG_ID, LEVEL = "cluster_events", "events"

# A python for the process runner: the real one, but for one step while the switch is on.
PYTHON = """#!/bin/sh
case "$*" in {step})
    if [ -e {switch} ]; then
        {spoil}
    fi
esac
exec {python} "$@"
"""
FAIL = """echo '{"event": "this part is broken", "level": "error"}' >&2; exit 65"""
# Ends with its parent, as every step does, and runs until then; the next try is a real one.
HANG = """rm {switch}
        exec {python} -c '
import os, pathlib, time
from clustering_tasks import cli
cli._end_with_parent()
pathlib.Path("{pids}.draft").write_text(f"{{os.getpid()}} {{os.getppid()}}")
pathlib.Path("{pids}.draft").rename("{pids}")
time.sleep(600)
'"""


@dataclass(frozen=True)
class Spoilt:
    """One step that misbehaves while `switch` exists; a hanging one tells its pids in `pids`."""

    switch: Path
    pids: Path

    def process(self) -> tuple[psutil.Process, psutil.Process]:
        """The step's process and the task's, once they run."""
        deadline = time.monotonic() + 180
        while not self.pids.exists():
            assert time.monotonic() < deadline, "the step has not started"
            time.sleep(0.1)
        step, task = map(int, self.pids.read_text().split())
        return psutil.Process(step), psutil.Process(task)


@contextmanager
def spoiling(airflow: Airflow, folder: Path, step: str, spoil: str) -> Iterator[Spoilt]:
    """Let the step whose arguments match a shell pattern do something else.

    Every task reads the settings of the installation anew, from `.env` in its working folder, too.
    """
    spoilt = Spoilt(folder / "switch", folder / "pids")
    spoilt.switch.touch()
    python = folder / "python"
    python.write_text(
        PYTHON.format(
            step=step, spoil=spoil, switch=spoilt.switch, python=shlex.quote(sys.executable)
        )
    )
    python.chmod(0o755)
    env_file = airflow.stack.options.folder / ".env"
    env_file.write_text(f"STAGE4_PYTHON={python}\n")
    try:
        yield spoilt
    finally:
        env_file.write_text("")  # one that is gone is refused


def hanging(airflow: Airflow, folder: Path, step: str) -> Any:
    spoil = HANG.format(
        switch=folder / "switch", pids=folder / "pids", python=shlex.quote(sys.executable)
    )
    return spoiling(airflow, folder, step, spoil)


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """Settings that cut the level into several parts."""
    return {"parts.min_rows": 20}


def cluster_states(airflow: Airflow, run: dict[str, Any]) -> list[str]:
    """The states of the parts, in their order."""
    found = airflow.task_instances(run).items()
    return [one["state"] for (task_id, _), one in sorted(found) if task_id == "cluster"]


def test_a_failed_part_fails_the_run_and_is_all_that_is_repeated(
    airflow: Airflow, parts: dict[str, Any], tmp_path: Path
) -> None:
    before = served(airflow, LEVEL)
    with spoiling(airflow, tmp_path, '*" cluster "*"--part 1"', FAIL) as spoilt:
        run = airflow.run_dag(DAG_ID, parts | {"neighbours.k": 30})
        instances = airflow.task_instances(run)
        assert run["state"] == "failed"
        done, failed, *others = cluster_states(airflow, run)
        assert (done, failed) == ("success", "failed")
        assert set(others) == {"success"}
        assert instances["cluster", 1]["try_number"] == 1
        assert "this part is broken" in airflow.log_tail(instances["cluster", 1])
        assert (instances["merge", -1]["state"], instances["merge", -1]["try_number"]) == (
            "failed",
            1,
        )
        assert instances["all_parts", -1]["state"] == "upstream_failed"
        assert instances["publish", -1]["state"] == "upstream_failed"
        assert served(airflow, LEVEL) == before

        spoilt.switch.unlink()
        run = clear_failed(airflow, run, ["cluster", 1])
    assert run["state"] == "success", airflow.explain(run)
    instances = airflow.task_instances(run)
    tries = [instances["cluster", part]["try_number"] for part in range(2 + len(others))]
    assert tries == [1, 2, *(1 for _ in others)]
    assert instances["all_parts", -1]["state"] == "success"
    assert published(airflow, LEVEL).job_id == job_id(DAG_ID, run["dag_run_id"])
    assert published(airflow, LEVEL).counts["unassigned"] == 0


@pytest.mark.heavy
def test_a_partial_publication_is_visible(
    airflow: Airflow, parts: dict[str, Any], tmp_path: Path
) -> None:
    conf = parts | {"scope": "domain", "allow_partial": True, "neighbours.k": 29}
    with spoiling(airflow, tmp_path, '*" cluster "*"--part 1"', FAIL):
        run = airflow.run_dag(DAG_ID, conf)
    instances = airflow.task_instances(run)
    assert instances["publish", -1]["state"] == "success", airflow.explain(run)
    assert instances["all_parts", -1]["state"] == "upstream_failed"
    assert run["state"] == "failed"
    seen = published(airflow, LEVEL)
    assert seen.job_id == job_id(DAG_ID, run["dag_run_id"])
    assert seen.counts["unassigned"] == seen.statuses["unassigned"] > 0
    assert len(seen.clusters) > 0


@pytest.mark.heavy
def test_without_a_single_part_nothing_is_merged(
    airflow: Airflow, parts: dict[str, Any], tmp_path: Path
) -> None:
    with spoiling(airflow, tmp_path, '*" cluster "*', FAIL):
        run = airflow.run_dag(DAG_ID, parts | {"neighbours.k": 28})
    assert run["state"] == "failed"
    assert airflow.task_instances(run)["merge", -1]["state"] == "upstream_failed"


@pytest.mark.heavy
def test_a_failed_plan_starts_nothing_else(airflow: Airflow, tmp_path: Path) -> None:
    with spoiling(airflow, tmp_path, '*" plan "*', FAIL):
        run = airflow.run_dag(DAG_ID)
    assert run["state"] == "failed"
    instances = airflow.task_instances(run)
    assert instances["cluster", -1]["state"] == "upstream_failed"
    assert instances["merge", -1]["state"] == "upstream_failed"


def test_marking_a_run_failed_ends_the_step(airflow: Airflow, tmp_path: Path) -> None:
    with hanging(airflow, tmp_path, '*" merge "*') as spoilt:
        run = airflow.api.trigger(DAG_ID, {"neighbours.k": 27})
        step, task = spoilt.process()
        answer = airflow.client.patch(
            f"/dags/{DAG_ID}/dagRuns/{run['dag_run_id']}", json={"state": "failed"}
        )
        assert answer.status_code == 200, answer.text
        gone(step, task)
    merge = airflow.task_instances(airflow.api.wait(DAG_ID, run["dag_run_id"]))["merge", -1]
    assert (merge["state"], merge["try_number"]) == ("failed", 1)


def test_a_run_that_takes_too_long_is_ended_and_publishes_nothing(
    airflow: Airflow, tmp_path: Path
) -> None:
    before = served(airflow, LEVEL)
    with hanging(airflow, tmp_path, '*" merge "*') as spoilt:
        run = airflow.api.trigger(DAG_ID, {"neighbours.k": 25})
        step, task = spoilt.process()
        begin_earlier(airflow, run)
        gone(step, task)
        run = airflow.api.wait(DAG_ID, run["dag_run_id"])
    assert run["state"] == "failed"
    states = {each["task_id"]: each["state"] for each in airflow.task_instances(run).values()}
    assert {states[name] for name in ("merge", "load_postgres", "publish")} == {"skipped"}
    assert served(airflow, LEVEL) == before
    job = job_id(DAG_ID, run["dag_run_id"])
    answer = airflow.client.get(f"{airflow.base_url}/stage4/api/v1/jobs/{job}").json()
    said = f"the run took longer than STAGE4_RUN_TIMEOUT_MINUTES ({RUN_MINUTES}) allows"
    assert (answer["state"], answer["error"]) == ("failed", said)


def begin_earlier(airflow: Airflow, run: dict[str, Any]) -> None:
    """Let a run have begun so long ago that its time is over."""
    with psycopg.connect(airflow.stack.database.url(AIRFLOW)) as connection:
        connection.execute(
            "UPDATE dag_run SET start_date = start_date - %s WHERE dag_id = %s AND run_id = %s",
            (timedelta(minutes=RUN_MINUTES), run["dag_id"], run["dag_run_id"]),
        )


def test_a_task_that_dies_takes_its_step_along_and_is_tried_again(
    airflow: Airflow, tmp_path: Path
) -> None:
    with hanging(airflow, tmp_path, '*" merge "*') as spoilt:
        run = airflow.api.trigger(DAG_ID, {"neighbours.k": 26})
        step, task = spoilt.process()
        task.kill()
        gone(step, task)
        run = airflow.api.wait(DAG_ID, run["dag_run_id"])
    assert run["state"] == "success", airflow.explain(run)
    assert airflow.task_instances(run)["merge", -1]["try_number"] == 2
    assert published(airflow, LEVEL).job_id == job_id(DAG_ID, run["dag_run_id"])


def gone(*processes: psutil.Process) -> None:
    deadline = time.monotonic() + 120  # two cores may have much else to do
    while alive := [process for process in processes if is_alive(process)]:
        assert time.monotonic() < deadline, f"still there: {alive}"
        time.sleep(0.1)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; in a container nobody may collect the ones that have ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
