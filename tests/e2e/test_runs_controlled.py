"""Jobs that are paused, resumed, canceled and tried again while a real Airflow runs them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stage4.job_ids import job_id
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published, served
from tests.e2e.test_runs_broken import DAG_ID, FAIL, LEVEL, gone, hanging, spoiling

pytestmark = pytest.mark.airflow

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def nothing_goes_on(airflow: Airflow) -> Iterator[None]:
    """A level runs one job at a time: what a failed test leaves would hold up all that follow."""
    yield
    for state in ("paused", "running", "queued"):
        for left in ask(airflow, "GET", f"jobs?level={LEVEL}&state={state}")["jobs"]:
            ask(airflow, "DELETE", f"jobs/{left['job_id']}")


def ask(airflow: Airflow, method: str, path: str, body: Json | None = None) -> Json:
    answer = airflow.client.request(method, f"{airflow.base_url}/stage4/api/v1/{path}", json=body)
    assert answer.is_success, answer.text
    found: Json = answer.json()
    return found


def submit(airflow: Airflow, **settings: Any) -> Json:
    return ask(airflow, "POST", "batch", {"level": LEVEL, "settings": settings})


def job(airflow: Airflow, job: Json) -> Json:
    return ask(airflow, "GET", f"jobs/{job['job_id']}")


def run_of(job: Json) -> Json:
    return {"dag_id": job["dag_id"], "dag_run_id": job["dag_run_id"]}


def wait_for(airflow: Airflow, run: Json, task: str, state: str) -> None:
    deadline = time.monotonic() + 120
    while (found := airflow.task_instances(run)[task, -1]["state"]) != state:
        assert time.monotonic() < deadline, f"{task} is {found}"
        time.sleep(0.5)


def wait_for_slots(airflow: Airflow) -> None:
    """Wait until no task has a slot of the steps: `housekeeping` may have one for a moment."""
    deadline = time.monotonic() + 60
    while airflow.api.get("/pools/stage4_steps")["occupied_slots"]:
        assert time.monotonic() < deadline, "the job keeps its slot"
        time.sleep(0.5)


def attempts(airflow: Airflow, step: str) -> set[Path]:
    """The folders of a step's attempts that have no result beside them."""
    found = (airflow.workspace / LEVEL / "artefacts" / step).glob("*/*/")
    return {folder for folder in found if not (folder.parent / "result.json").exists()}


def test_a_canceled_job_ends_at_once_and_publishes_nothing(
    airflow: Airflow, tmp_path: Path
) -> None:
    before, unfinished = served(airflow, LEVEL), attempts(airflow, "merge")
    with hanging(airflow, tmp_path, '*" merge "*') as spoilt:
        started = submit(airflow, **{"neighbours.k": 25})
        step, task = spoilt.process()
        asked = time.monotonic()
        ask(airflow, "DELETE", f"jobs/{started['job_id']}")
        gone(step, task)
        assert time.monotonic() - asked < 10
    assert job(airflow, started)["state"] == "canceled"
    assert airflow.task_instances(run_of(started))["publish", -1]["state"] == "skipped"
    assert served(airflow, LEVEL) == before
    assert attempts(airflow, "merge") == unfinished


def test_a_job_that_is_paused_now_frees_its_slot_and_goes_on_where_it_was(
    airflow: Airflow, tmp_path: Path
) -> None:
    with hanging(airflow, tmp_path, '*" merge "*') as spoilt:
        started = submit(airflow, **{"neighbours.k": 24})
        step, task = spoilt.process()
        asked = time.monotonic()
        ask(airflow, "PATCH", f"jobs/{started['job_id']}", {"action": "pause", "now": True})
        gone(step, task)
        assert time.monotonic() - asked < 10
    run = run_of(started)
    wait_for(airflow, run, "merge", "deferred")
    assert job(airflow, started)["state"] == "paused"
    wait_for_slots(airflow)
    ask(airflow, "PATCH", f"jobs/{started['job_id']}", {"action": "resume"})
    ended = airflow.api.wait(DAG_ID, started["dag_run_id"])
    assert ended["state"] == "success", airflow.explain(ended)
    tries = {task: each["try_number"] for task, each in airflow.task_instances(run).items()}
    assert {task for (task, _), number in tries.items() if number > 1} == {"merge"}
    assert published(airflow, LEVEL).job_id == job_id(DAG_ID, started["dag_run_id"])


def test_a_retry_repeats_the_failed_part_alone(airflow: Airflow, tmp_path: Path) -> None:
    with spoiling(airflow, tmp_path, '*" cluster "*"--part 1"', FAIL) as spoilt:
        started = submit(airflow, **{"parts.min_rows": 20, "neighbours.k": 23})
        airflow.api.wait(DAG_ID, started["dag_run_id"])
        assert job(airflow, started)["state"] == "failed"
        spoilt.switch.unlink()
        ask(airflow, "PATCH", f"jobs/{started['job_id']}", {"action": "retry"})
        ended = airflow.api.wait(DAG_ID, started["dag_run_id"])
    assert ended["state"] == "success", airflow.explain(ended)
    found = airflow.task_instances(run_of(started)).items()
    tries = [each["try_number"] for (task, _), each in sorted(found) if task == "cluster"]
    assert tries == [1, 2, *[1] * (len(tries) - 2)]
    assert published(airflow, LEVEL).counts["unassigned"] == 0
