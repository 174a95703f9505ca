"""A level's DAG as Airflow performs it, and the task that sends what it has caused."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import database
from stage4.database.job_events import Started
from stage4.database.outbox import JobName, note
from stage4.events import listener
from stage4.tasks import send_events
from stage4.tasks.level import check_stage3
from tests.events_out import NOON, WebhookServer
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.events.sending import outbox, states
from tests.integration.synced_dags import run_here, synced
from tests.integration.test_identity_runs import MORNING, SETTINGS, write
from tests.stage3_folder import SMALL, Stage3Folder

REPO = Path(__file__).parents[3]
JOB = JobName("cluster_events.manual__1", "events", "manual__1")


@dataclass
class Airflow:
    """What a task instance tells of runs: their states, and those of their tasks."""

    runs: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str | None] = field(default_factory=dict)

    def get_dr_count(self, dag_id: str, run_ids: list[str]) -> int:  # noqa: ARG002
        return sum(run in self.runs for run in run_ids)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:  # noqa: ARG002
        return self.runs[run_id]

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> Mapping[str, Any]:  # noqa: ARG002
        return {run_ids[0]: self.tasks}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_events, "WORK_SECONDS", 8.0)
    monkeypatch.setattr(send_events, "PASS_SECONDS", 0.1)


def kinds(hook: WebhookServer) -> list[str]:
    return [got.event["type"].removeprefix("clustering.") for got in hook.received]


@pytest.fixture
def dag(
    airflow_metadata: None,
    results: Results,
    hook: WebhookServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DAG]:
    (tmp_path / "indices").mkdir()
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("STAGE4_INDICES", str(tmp_path / "indices"))
    monkeypatch.setenv("PYTHONPATH", str(REPO))  # of the steps' processes
    deployment.cache_clear()
    with synced(REPO / "dags") as bag:
        yield bag.dags["cluster_documents"]


def test_a_run_is_told_from_its_start_to_its_publication(
    results: Results, hook: WebhookServer, dag: DAG, tmp_path: Path
) -> None:
    from airflow.sdk.listener import get_listener_manager

    manager = get_listener_manager()
    if not manager.pm.is_registered(listener):
        manager.pm.register(listener)
    write(Stage3Folder(tmp_path / "indices"), "documents", MORNING)
    own = {"callback_url": hook.url.replace("/hook", "/own")}
    run = run_here(dag, SMALL | SETTINGS | own)
    assert {each.task_id: str(each.state) for each in run.get_task_instances()}["publish"] == (
        "success"
    )
    told = [kind for _, _, kind in outbox(results)]
    assert told == [
        "clustering.job.created",
        "clustering.job.started",
        "clustering.clusters.changed",
        "clustering.job.completed",
    ]
    send_events.send_events(Airflow({run.run_id: "success"}))
    for path in ("/hook", "/own"):
        got = [each for each in hook.received if each.path == path]
        assert [each.place[1] for each in got] == [1, 2, 3, 4]
    assert {row[2] for row in states(results)} == {"delivered"}
    ended = "SELECT count(*) FROM stage4.event_jobs WHERE ended_at IS NULL"
    assert results.rows(ended, user=results.loader) == [(0,)]


def started() -> None:
    with database() as connection:
        note(connection, JOB, [Started(NOON)])


def test_airflow_is_asked_how_far_a_job_is(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    started()
    tasks: dict[str, str | None] = {
        "snapshot": "success",
        "cluster_0": "success",
        "cluster_1": None,
    }
    airflow = Airflow({"manual__1": "running"}, tasks)
    assert send_events.send_events(airflow) == {"hook": {"delivered": 3}}
    assert kinds(hook) == ["job.created", "job.started", "job.progress"]
    assert hook.received[-1].event["data"]["percent"] == 75
    airflow.runs["manual__1"], tasks["cluster_1"] = "failed", "failed"
    kept = {"cluster_1": "no memory"}
    monkeypatch.setattr(send_events._Runs, "error", lambda *names: kept.get(names[-1]))
    send_events.send_events(airflow)
    failed = hook.received[-1].event
    assert (failed["type"], failed["data"]["error"]) == (
        "clustering.job.failed",
        "cluster_1: no memory",
    )
    assert send_events.send_events(airflow) == {}


@pytest.mark.parametrize(("state", "kind"), [("success", "completed"), (None, "failed")])
def test_a_run_that_published_nothing_or_was_deleted_has_an_end(
    results: Results, hook: WebhookServer, state: str | None, kind: str
) -> None:
    started()
    send_events.send_events(Airflow({} if state is None else {"manual__1": state}))
    assert kinds(hook)[-1] == f"job.{kind}"


@dataclass
class Run:
    """The parts of an Airflow run that the listener reads."""

    dag_id: str = "cluster_events"
    run_id: str = "manual__1"
    start_date: Any = NOON
    conf: Any = None


@dataclass
class Task:
    """The same of a task instance."""

    run: Run = field(default_factory=Run)
    map_index: int = -1

    @property
    def dag_id(self) -> str:
        return self.run.dag_id

    def get_template_context(self) -> dict[str, Any]:
        return {"dag_run": self.run}


def test_a_user_who_marks_a_run_cancels_it_and_the_scheduler_does_not(
    results: Results, hook: WebhookServer
) -> None:
    import threading

    listener.on_task_instance_running(Task())
    listener.on_dag_run_failed(Run(), "task_failure")
    listener.on_dag_run_failed(Run(dag_id="housekeeping"), "was manually set to `failed`.")
    before = set(threading.enumerate())
    listener.on_dag_run_failed(Run(), "Dag Run's state was manually set to `failed`.")
    for thread in set(threading.enumerate()) - before:
        thread.join(20)
    assert [kind.rpartition(".")[2] for _, _, kind in outbox(results)] == [
        *("created", "started", "canceled")
    ]
    send_events.send_events(Airflow({"manual__1": "failed"}))
    assert kinds(hook)[-1] == "job.canceled"


def test_a_database_that_is_away_fails_no_run(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "login": "x"}'
    with monkeypatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, nobody)
        listener.on_task_instance_running(Task())
    assert outbox(results) == []
    listener.on_task_instance_running(Task(Run(start_date=NOON + timedelta(seconds=9))))
    assert len(outbox(results)) == 2


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "https://evil.example/", "file:///etc/passwd"]
)
def test_a_callback_that_is_not_allowed_is_refused_and_not_kept(
    results: Results, hook: WebhookServer, url: str
) -> None:
    conf = {"callback_url": url}
    listener.on_task_instance_running(Task(Run(conf=conf)))
    kept = "SELECT callback_url FROM stage4.event_jobs"
    assert results.rows(kept, user=results.loader) == [(None,)]
    with pytest.raises(AirflowFailException, match=r"callback_url: .*not"):
        check_stage3("events", Run(conf=conf), None)  # type: ignore[arg-type]
