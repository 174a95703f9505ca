"""Clearing by Airflow's own REST API, as its pages do: what is cleared along."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from stage4.tasks import ALL_PARTS, LEVEL_TASKS
from tests.integration.api.conftest import bearer
from tests.integration.api.whole_airflow import (
    end_run,
    expand_parts,
    set_states,
    states_of,
    whole_airflow,
)

DAG = "cluster_events"
BEHIND = {*LEVEL_TASKS[LEVEL_TASKS.index("merge") :], ALL_PARTS}
# A part has failed, and the run was published without it.
PARTIAL = ("success", "failed", "success")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def airflow(airflow_metadata: None) -> Iterator[TestClient]:
    with whole_airflow() as client:
        client.headers.update(bearer("admin", "ada"))
        yield client


@pytest.fixture
def run(airflow: TestClient, request: pytest.FixtureRequest) -> str:
    """A failed run that was published without a part."""
    return partial_run(airflow, f"run.{request.node.name.partition('[')[0]}.{id(request)}")


def partial_run(airflow: TestClient, run_id: str) -> str:
    body = {"logical_date": None, "dag_run_id": run_id, "conf": {"allow_partial": True}}
    answer = airflow.post(f"/api/v2/dags/{DAG}/dagRuns", json=body)
    assert answer.status_code == 200, answer.text
    set_states(DAG, run_id, {ALL_PARTS: "upstream_failed"}, "success")
    expand_parts(DAG, run_id, *PARTIAL)
    end_run(DAG, run_id, "failed")
    return run_id


def post(airflow: TestClient, path: str, body: Json, **how: Any) -> Json:
    answer = airflow.post(f"/api/v2/dags/{path}", json=body, **how)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def named(answer: Json) -> set[str]:
    return {
        each["task_id"] if each["map_index"] < 0 else f"{each['task_id']}[{each['map_index']}]"
        for each in answer["task_instances"]
    }


def cleared(run: str) -> set[str]:
    return {task for task, state in states_of(DAG, run).items() if state is None}


FAILED_PART = {"cluster[1]", *BEHIND}


@pytest.mark.parametrize(
    "asked",
    [
        {"task_ids": [["cluster", 1]]},  # only_failed is Airflow's default
        {"task_ids": [["cluster", 1]], "only_failed": False},
        {"task_ids": ["cluster"], "include_downstream": True},
        {"task_ids": [["cluster", 1]], "only_failed": False, "include_downstream": True},
        {},
    ],
)
def test_what_follows_a_cleared_part_is_cleared_and_the_dialog_shows_it(
    airflow: TestClient, run: str, asked: Json
) -> None:
    body = asked | {"dag_run_id": run}
    shown = post(airflow, f"{DAG}/clearTaskInstances", body)  # a dry run is Airflow's default
    assert named(shown) == FAILED_PART
    assert shown["total_entries"] == len(FAILED_PART)
    assert cleared(run) == set()
    done = post(airflow, f"{DAG}/clearTaskInstances", body | {"dry_run": False})
    assert named(done) == FAILED_PART
    assert cleared(run) == FAILED_PART


def test_only_failed_of_a_whole_run(airflow: TestClient, run: str) -> None:
    path = f"{DAG}/dagRuns/{run}/clear"
    shown = post(airflow, path, {"dry_run": True, "only_failed": True})
    assert named(shown) == FAILED_PART
    assert cleared(run) == set()
    done = post(airflow, path, {"dry_run": False, "only_failed": True, "note": "again"})
    assert (done["dag_run_id"], done["state"], done["note"]) == (run, "queued", "again")
    assert cleared(run) == FAILED_PART


def test_only_failed_of_several_runs(airflow: TestClient, run: str) -> None:
    other = partial_run(airflow, f"{run}.other")
    runs = [{"dag_id": DAG, "dag_run_id": each} for each in (run, other)]
    body = {"dag_runs": runs, "only_failed": True}
    shown = post(airflow, f"{DAG}/clearDagRuns", body | {"dry_run": True})
    assert shown["total_entries"] == 2 * len(FAILED_PART)
    done = post(airflow, "~/clearDagRuns", body | {"dry_run": False})
    assert {each["state"] for each in done["dag_runs"]} == {"queued"}
    assert cleared(run) == cleared(other) == FAILED_PART


def test_a_whole_run_is_cleared_as_ever(airflow: TestClient, run: str) -> None:
    post(airflow, f"{DAG}/dagRuns/{run}/clear", {"dry_run": False, "only_failed": False})
    assert set(states_of(DAG, run).values()) == {None}


def test_a_sink_that_failed_is_cleared_alone(airflow: TestClient, run: str) -> None:
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["notify_stage5"]}
    post(airflow, f"{DAG}/clearTaskInstances", body | {"only_failed": False})
    assert cleared(run) == {"notify_stage5"}


def test_a_map_that_is_made_again_is_loaded_again(airflow: TestClient, run: str) -> None:
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["map"], "only_failed": False}
    post(airflow, f"{DAG}/clearTaskInstances", body)
    assert cleared(run) == {"map", *LEVEL_TASKS[LEVEL_TASKS.index("load_postgres") :]}


def test_nothing_to_clear_clears_nothing(airflow: TestClient, run: str) -> None:
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["snapshot"]}
    assert post(airflow, f"{DAG}/clearTaskInstances", body)["total_entries"] == 0
    assert cleared(run) == set()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("clearTaskInstances", {"dag_run_id": "none", "task_ids": ["merge"]}, 404),
        ("clearTaskInstances", {"task_ids": []}, 422),
        ("clearTaskInstances", {"typo": 1}, 422),
        ("dagRuns/none/clear", {"only_failed": True}, 404),
        ("dagRuns/none/clear", {"only_failed": "maybe"}, 422),
    ],
)
def test_airflow_refuses_in_its_own_words(
    airflow: TestClient, path: str, body: Json, status: int
) -> None:
    answer = airflow.post(f"/api/v2/dags/{DAG}/{path}", json=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("user", 200)])
def test_airflow_decides_who_may_clear(
    airflow: TestClient, run: str, role: str, status: int
) -> None:
    body = {"dry_run": False, "dag_run_id": run, "task_ids": [["cluster", 1]]}
    answer = airflow.post(
        f"/api/v2/dags/{DAG}/clearTaskInstances", json=body, headers=bearer(role, "uma")
    )
    assert answer.status_code == status
    assert cleared(run) == (FAILED_PART if status == 200 else set())


def test_nobody_clears_without_a_token(airflow: TestClient, run: str) -> None:
    answer = airflow.post(
        f"/api/v2/dags/{DAG}/clearTaskInstances",
        json={"dag_run_id": run},
        headers={"Authorization": ""},
    )
    assert answer.status_code == 401


def test_what_is_no_object_is_airflows_to_refuse(airflow: TestClient) -> None:
    for content in (b"{", b"[]", b"\xff", b"[" * 100_000):
        answer = airflow.post(f"/api/v2/dags/{DAG}/clearTaskInstances", content=content)
        assert answer.status_code in (400, 422, 500), content[:9]  # 500: Airflow 3.3.2


def test_clearing_is_in_the_audit_log_with_its_user(airflow: TestClient, run: str) -> None:
    body = {"dry_run": False, "dag_run_id": run, "task_ids": [["cluster", 1]]}
    post(airflow, f"{DAG}/clearTaskInstances", body)
    entries = airflow.get("/api/v2/eventLogs", params={"run_id": run}).json()["event_logs"]
    assert {each["owner"] for each in entries} == {"ada"}
    assert "post_clear_task_instances" in {each["event"] for each in entries}
