"""`jobs`: DAG runs in Airflow's database, as users see them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.utils.session import create_session
from sqlalchemy import insert

from stage4.runs import job_id
from tests.integration.api.conftest import Api, Corpus

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUNS = [
    ("cluster_events", "manual__2026-03-01T12:00:00+00:00", "success"),
    ("cluster_events", "plain", "running"),
    ("cluster_documents", "scheduled__1", "failed"),
    ("cluster_all", "everything", "queued"),
    ("somebody_elses", "manual__1", "running"),
]


@pytest.fixture(scope="module", autouse=True)
def dag_runs(airflow_metadata: None) -> Iterator[None]:
    """Rows as the scheduler writes them, without what jobs do not show."""
    from airflow.models.dagrun import DagRun  # noqa: TID251

    with create_session() as session:
        for number, (dag, run_id, state) in enumerate(RUNS):
            values: dict[str, Any] = {
                "dag_id": dag,
                "run_id": run_id,
                "state": state,
                "run_type": "manual",
                "queued_at": NOON + timedelta(minutes=number),
                "run_after": NOON,
                "clear_number": 0,
            }
            session.execute(insert(DagRun).values(**values))
    yield
    with create_session() as session:
        session.query(DagRun).delete()


def test_jobs_are_those_of_our_dags_newest_first(viewer: Api, corpus: Corpus) -> None:
    pages = viewer.pages("jobs", limit=3)
    jobs = [job for page in pages for job in page["jobs"]]
    assert [(job["dag_id"], job["dag_run_id"]) for job in jobs] == [
        (dag, run_id) for dag, run_id, _ in reversed(RUNS[:4])
    ]
    assert [job["state"] for job in jobs] == ["queued", "failed", "running", "completed"]
    assert [job["level"] for job in jobs] == [None, "documents", "events", "events"]
    assert jobs[-1]["job_id"] == job_id(*RUNS[0][:2])


@pytest.mark.parametrize(
    ("parameters", "count"),
    [
        ({"level": "event"}, 2),
        ({"state": "failed"}, 1),
        ({"level": "events", "state": "failed"}, 0),
    ],
)
def test_jobs_by_level_and_state(viewer: Api, parameters: dict[str, str], count: int) -> None:
    assert len(viewer.get("jobs", **parameters)["jobs"]) == count


@pytest.mark.parametrize("place", range(4))
def test_a_job_by_its_id(viewer: Api, place: int) -> None:
    dag, run_id, _ = RUNS[place]
    job = viewer.get(f"jobs/{job_id(dag, run_id)}")
    assert job["dag_run_id"] == run_id
    assert (job["percent"], job["items_total"], job["items_done"], job["tasks"]) == (
        0,
        None,
        None,
        [],
    )


@pytest.mark.parametrize(
    "name", ["cluster_events.none", "cluster_other.plain", "cluster_events.manual__1"]
)
def test_an_unknown_job_is_404(viewer: Api, name: str) -> None:
    assert viewer.ask("GET", f"jobs/{name}").status_code == 404


def test_other_dags_are_no_jobs(viewer: Api) -> None:
    assert viewer.ask("GET", "jobs/somebody_elses.manual__1").status_code == 422
