"""`jobs`: DAG runs in Airflow's database, as users see them."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from threading import Timer
from typing import Any

import pytest
from airflow.utils.session import create_session
from sqlalchemy import update
from starlette.testclient import TestClient

from clustering_tasks.settings.deployment import deployment
from stage4.api import job_events
from stage4.job_ids import job_id
from tests.integration.api.airflow_rows import (
    NOON,
    enter_error,
    enter_idle_settings,
    enter_part_result,
    enter_parts,
    enter_result,
    enter_runs,
    remove_parts,
    remove_runs,
)
from tests.integration.api.conftest import Api, Corpus, bearer

RUNS = [
    ("cluster_events", "manual__2026-03-01T12:00:00+00:00", "success"),
    ("cluster_events", "plain", "running"),
    ("cluster_documents", "scheduled__1", "failed"),
    ("cluster_all", "everything", "queued"),
    ("somebody_elses", "manual__1", "running"),
]


@pytest.fixture(scope="module", autouse=True)
def dag_runs(airflow_metadata: None) -> Iterator[None]:
    """The runs, without what jobs do not show."""
    enter_runs(RUNS)
    yield
    remove_runs()


@pytest.fixture
def running_parts(dag_runs: None) -> Iterator[str]:
    """A job of which one part is done, one has failed and one runs, as Airflow's tables have it."""
    dag, run_id, _ = RUNS[1]
    enter_parts(dag, run_id, "success", "failed", "running")
    yield job_id(dag, run_id)
    remove_parts()


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
        {"completed": 100, "failed": None}.get(job["state"], 0),
        None,
        None,
        [],
    )


def test_the_progress_of_a_running_job(viewer: Api, running_parts: str) -> None:
    job = viewer.get(f"jobs/{running_parts}")
    assert (job["items_total"], job["items_done"]) == (100, 60)
    assert (job["parts_total"], job["parts_done"], job["parts_failed"]) == (3, 1, 1)
    assert {task["task_id"]: task["states"] for task in job["tasks"]} == {
        "snapshot": {"success": 1},
        "plan": {"success": 1},
        "cluster": {"success": 1, "failed": 1, "running": 1},
    }


def test_a_job_names_its_settings_without_effect(viewer: Api, running_parts: str) -> None:
    assert viewer.get(f"jobs/{running_parts}")["idle_settings"] is None
    idle = {"setting": "kmeans.k", "value": 4, "reason": "acts only where the algorithm is kmeans"}
    enter_idle_settings(*RUNS[1][:2], [idle])
    assert viewer.get(f"jobs/{running_parts}")["idle_settings"] == [idle]


def test_a_job_tells_what_it_found(viewer: Api, running_parts: str) -> None:
    job = viewer.get(f"jobs/{running_parts}")
    assert (job["clusters"], job["outliers"], job["quality"]) == (None, None, None)
    metrics = {"clusters": 7, "noise": 12, "silhouette": 0.4, "davies_bouldin": 1.5}
    enter_result(*RUNS[1][:2], "merge", {"metrics": metrics})
    job = viewer.get(f"jobs/{running_parts}")
    assert (job["clusters"], job["outliers"]) == (7, 12)
    assert (job["quality"]["silhouette"], job["quality"]["davies_bouldin"]) == (0.4, 1.5)
    assert job["quality"]["modularity"] is None


def test_a_job_names_its_first_error(viewer: Api, running_parts: str) -> None:
    job = viewer.get(f"jobs/{running_parts}")
    assert job["error"] == "cluster[1] failed: its log in Airflow has more"
    enter_error(*RUNS[1][:2], "cluster", 1, "cluster (part 1, sports) failed with exit code 69: x")
    job = viewer.get(f"jobs/{running_parts}")
    assert job["error"] == "cluster[1]: cluster (part 1, sports) failed with exit code 69: x"


def test_an_error_of_an_earlier_try_is_none(viewer: Api, running_parts: str) -> None:
    enter_error(*RUNS[1][:2], "cluster", 0, "of a try that another one made good")
    assert viewer.get(f"jobs/{running_parts}")["error"].startswith("cluster[1] failed")


def test_a_job_without_failed_tasks_has_no_error_unless_it_was_ended(
    viewer: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert viewer.get(f"jobs/{job_id(*RUNS[1][:2])}")["error"] is None
    failed = f"jobs/{job_id(*RUNS[2][:2])}"
    assert viewer.get(failed)["error"] == "no task has failed: the run was ended from outside"
    set_times("scheduled__1", minutes=90)
    monkeypatch.setenv("STAGE4_RUN_TIMEOUT_MINUTES", "90")
    deployment.cache_clear()
    ended = viewer.get(failed)["error"]
    monkeypatch.undo()
    deployment.cache_clear()
    assert ended == "the run took longer than STAGE4_RUN_TIMEOUT_MINUTES (90) allows"


@pytest.mark.parametrize(
    "name", ["cluster_events.none", "cluster_other.plain", "cluster_events.manual__1"]
)
def test_an_unknown_job_is_404(viewer: Api, name: str) -> None:
    assert viewer.ask("GET", f"jobs/{name}").status_code == 404


def test_other_dags_are_no_jobs(viewer: Api) -> None:
    assert viewer.ask("GET", "jobs/somebody_elses.manual__1").status_code == 422


def test_progress_is_read_once_for_all_and_shown_to_those_who_may(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = iter([job_events._read()])
    monkeypatch.setattr(job_events, "_read", lambda: next(reads))  # a second one fails

    async def look() -> list[list[dict[str, Any]]]:
        shared = job_events.Progress()
        asked = [["cluster_events"], ["cluster_all", "cluster_documents"], []]
        return list(await asyncio.gather(*map(shared.jobs, asked)))

    events, others, none = asyncio.run(look())
    assert [job["dag_run_id"] for job in events] == [RUNS[1][1], RUNS[0][1]]
    assert [job["dag_id"] for job in others] == ["cluster_all", "cluster_documents"]
    assert none == []
    assert events[0]["percent"] == 0  # with its tasks, because it runs
    assert "percent" not in events[1]


def test_a_stream_tells_changes_and_ends(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(job_events, "STREAM_SECONDS", 1.0)

    async def follow() -> list[bytes]:
        events = []
        async for event in job_events.Progress().stream({"cluster_documents"}):
            events.append(event)
            if len(events) == 3:
                set_state("scheduled__1", "running")
        return events

    first, told, *rest = asyncio.run(follow())
    set_state("scheduled__1", "failed")
    assert first == b"retry: 1000\n\n"
    assert told.startswith(b"event: jobs\ndata: [{")
    assert told.endswith(b"}]\n\n")
    changes = [event for event in rest if event != b":\n\n"]
    assert len(changes) == 1
    assert b'"state":"running"' in changes[0]
    assert len(rest) > len(changes)


def test_a_stream_of_a_job_tells_its_changes_and_ends_with_it(
    viewer: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_events, "PERIOD_SECONDS", 0.05)
    set_state("scheduled__1", "running")
    path = f"jobs/{job_id(*RUNS[2][:2])}/events"
    ending = Timer(1.0, set_state, ("scheduled__1", "failed"))
    ending.start()
    answer = viewer.ask("GET", path)  # returns when the stream has ended
    ending.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event for event in answer.text.split("\n\n") if event not in (":", "")]
    assert events[0] == "retry: 1000"
    assert events[-1] == "event: end\ndata: {}"
    states = [json.loads(event.partition("data: ")[2])["state"] for event in events[1:-1]]
    assert states == ["running", "failed"]


def test_a_job_that_has_ended_is_told_once(viewer: Api) -> None:
    text = viewer.ask("GET", f"jobs/{job_id(*RUNS[0][:2])}/events").text
    assert text.count("event: job\n") == text.count("event: end\n") == 1


def test_a_stream_is_for_those_who_may_read_the_job(
    stranger: TestClient, viewer: Api, corpus: Corpus
) -> None:
    path = f"jobs/{job_id(*RUNS[0][:2])}/events"
    assert stranger.get(path).status_code == 401
    assert stranger.get(path, headers=bearer(None)).status_code == 403
    for name in ("cluster_events.none", "cluster_other.plain"):
        assert viewer.ask("GET", f"jobs/{name}/events").status_code == 404


def test_a_user_holds_a_quarter_of_the_streams_at_most(
    viewer: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"jobs/{job_id(*RUNS[0][:2])}/events"
    full = job_events.Streams(8)
    monkeypatch.setattr(job_events, "streams", lambda: full)
    assert [full.take("vera") for _ in range(3)] == [True, True, False]
    refused = viewer.ask("GET", path)
    assert refused.status_code == 429
    assert "STAGE4_API_STREAMS" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "25"
    full.give_back("vera")
    for _ in range(5):  # each gives its place back
        assert viewer.ask("GET", path).status_code == 200


def test_all_streams_together_are_limited() -> None:
    streams = job_events.Streams(2)
    assert [streams.take(name) for name in ("a", "b", "c")] == [True, True, False]
    streams.give_back("a")
    assert streams.take("c")


def set_state(run_id: str, state: str) -> None:
    from airflow.models.dagrun import DagRun  # noqa: TID251

    with create_session() as session:
        session.execute(update(DagRun).where(DagRun.run_id == run_id).values(state=state))


def set_times(run_id: str, minutes: int) -> None:
    from airflow.models.dagrun import DagRun  # noqa: TID251

    end = NOON + timedelta(minutes=minutes, seconds=1)
    with create_session() as session:
        session.execute(
            update(DagRun).where(DagRun.run_id == run_id).values(start_date=NOON, end_date=end)
        )


def test_gpus_are_what_the_workers_tasks_measured(viewer: Api, running_parts: str) -> None:
    reading = {
        "uuid": "GPU-1",
        "name": "NVIDIA H200",
        "memory_total_bytes": 100,
        "memory_before_bytes": 1,
        "memory_peak_bytes": 50,
        "memory_after_bytes": 2,
        "utilisation_percent": None,
        "measured_at": "2026-03-01T12:00:00Z",
    }
    assert viewer.get("resources")["gpus"] == []
    enter_part_result(*RUNS[1][:2], 0, {"step": "cluster", "metrics": {}, "gpus": [reading]})
    assert viewer.get("resources")["gpus"] == [reading | {"job_id": running_parts}]
