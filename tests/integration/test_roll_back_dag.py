"""The DAG `roll_back` itself: PostgreSQL, Airflow's own database, and a Stage 5 over HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.asset import AssetDagRunQueue, AssetEvent, AssetModel  # noqa: TID251
from airflow.models.dag import DagModel  # noqa: TID251
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select
from structlog.testing import capture_logs

from clustering_tasks.publication.files import published
from clustering_tasks.settings.deployment import deployment
from local.stage5_receiver import Stage5Receiver
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from stage4.database.roll_back import roll_back
from stage4.tasks.roll_back import choose_run
from tests.contract import checking_receiver
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of
from tests.integration.synced_dags import run_here, synced

REPO = Path(__file__).parents[2]
FOLLOWER = """
from airflow.sdk import DAG, Asset

with DAG("follower", schedule=[Asset(name="stage4_events", uri="x-stage4://events")]):
    pass
"""


@pytest.fixture
def stage5(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Iterator[Stage5Receiver]:
    with checking_receiver("a token") as receiver:
        for name, value in receiver.environment().items():
            monkeypatch.setenv(name, value)
        deployment.cache_clear()
        yield receiver


@pytest.fixture
def runs(results: Results, workspace: Path, tmp_path: Path) -> list[Label]:
    """Three published runs of three days."""
    labels = [Label(tmp_path, mark="1")]
    labels += [labels[0].later(mark="2", as_of=labels[0].as_of + timedelta(days=1))]
    labels += [labels[1].later(mark="3", as_of=labels[0].as_of + timedelta(days=2))]
    for label in labels:
        files = label.write()
        load_run(files["files"], report_of(files))
        publish_run(files)
    return labels


@pytest.fixture
def dag(airflow_metadata: None, tmp_path: Path) -> Iterator[DAG]:
    """The DAG as a scheduler knows it, among the others and one that follows the events' asset."""
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "follower.py").write_text(FOLLOWER)
    for file in (REPO / "dags").glob("*.py"):
        (folder / file.name).symlink_to(file)
    with synced(folder) as bag:
        with create_session() as session:
            for follower in session.scalars(select(DagModel).where(DagModel.dag_id == "follower")):
                follower.is_paused = False
        yield bag.dags["roll_back"]


def perform(dag: DAG, **conf: Any) -> dict[str, str]:
    run = run_here(dag, conf)
    return {each.task_id: str(each.state) for each in run.get_task_instances()}


def asset_events() -> list[tuple[str, str, dict[str, Any]]]:
    query = (
        select(AssetModel.name, AssetModel.uri, AssetEvent.extra)
        .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
        .order_by(AssetEvent.id)
    )
    with create_session() as session:
        return [tuple(row) for row in session.execute(query)]


def woken() -> set[str]:
    """DAGs that the scheduler is about to start because of an asset."""
    with create_session() as session:
        return set(session.scalars(select(AssetDagRunQueue.target_dag_id)))


def seen(results: Results, workspace: Path) -> str:
    """The job that readers of the database and of the files see."""
    pointer = published(str(workspace), "events")
    assert pointer is not None
    assert results.rows("SELECT job_id FROM stage4.current_runs") == [(pointer.job_id,)]
    return pointer.job_id


def test_readers_stage5_and_followers_get_the_run_before(
    results: Results, workspace: Path, runs: list[Label], stage5: Stage5Receiver, dag: DAG
) -> None:
    states = perform(dag, level="events")
    assert states.pop("write_back") == "skipped"  # of Stage 3's folder
    assert set(states.values()) == {"success"}
    assert seen(results, workspace) == runs[1].job_id
    ((name, uri, extra),) = asset_events()
    assert (name, uri) == ("stage4_events", "x-stage4://events")
    assert (extra["job_id"], extra["act"]) == (runs[1].job_id, "roll_back")
    assert extra["counts"]["read"] > 0
    assert woken() == {"follower"}
    (event,) = stage5.received
    assert event["event_type"] == "clustering.job.completed"
    assert (event["job_id"], event["act"], event["publication_id"]) == (
        runs[1].job_id,
        "roll_back",
        4,  # after three publications
    )
    assert [Path(name).name for name in event["output_files"]] == [
        f"clustered_events_{runs[1].job_id}.jsonl",
        "clustered_events_2026-03-02.jsonl",
    ]
    assert stage5.keys == [f"{runs[1].job_id}.4"]


def test_a_stage5_that_fails_can_be_told_later_without_another_step_back(
    results: Results,
    workspace: Path,
    runs: list[Label],
    stage5: Stage5Receiver,
    dag: DAG,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage5.token = "another"
    assert perform(dag, level="events", load_id=1)["notify_stage5"] == "skipped"
    assert stage5.refused == 1
    stage5.token = "a token"
    assert perform(dag, level="events", load_id=1)["notify_stage5"] == "success"
    assert seen(results, workspace) == runs[0].job_id
    assert stage5.keys == [f"{runs[0].job_id}.4"]


def test_what_the_command_did_is_told_by_the_dag(
    results: Results, workspace: Path, runs: list[Label], stage5: Stage5Receiver, dag: DAG
) -> None:
    done = roll_back("events")
    assert (stage5.received, asset_events()) == ([], [])
    perform(dag, level="events", load_id=done["load_id"])
    assert seen(results, workspace) == runs[1].job_id
    assert stage5.keys == [f"{runs[1].job_id}.{done['publication_id']}"]
    assert [name for name, _, _ in asset_events()] == ["stage4_events"]


def test_a_run_that_is_not_there_moves_and_tells_nothing(
    results: Results, workspace: Path, runs: list[Label], stage5: Stage5Receiver, dag: DAG
) -> None:
    states = perform(dag, level="events", load_id=99)
    assert states["choose_run"] == "failed"
    assert seen(results, workspace) == runs[2].job_id
    assert (stage5.received, asset_events()) == ([], [])


def test_the_former_name_of_a_loads_number_is_understood(
    results: Results, workspace: Path, runs: list[Label], stage5: Stage5Receiver, dag: DAG
) -> None:
    assert perform(dag, level="events", run_id=1)["roll_back"] == "success"
    assert seen(results, workspace) == runs[0].job_id
    assert perform(dag, level="events", run_id=2, load_id=1)["choose_run"] == "failed"
    assert perform(dag, level="events", run_id="last")["choose_run"] == "failed"
    assert seen(results, workspace) == runs[0].job_id
    with capture_logs() as logs:
        chosen = choose_run({"level": "events", "load_id": None, "run_id": 2})
    assert chosen == {"level": "events", "load_id": 2}
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert "`run_id` is the former name of `load_id`" in warning["event"]


@pytest.mark.parametrize("conf", [{}, {"level": "cats"}, {"level": "events", "load_id": "last"}])
def test_the_form_refuses(dag: DAG, conf: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"level|load_id"):
        run_here(dag, conf)
