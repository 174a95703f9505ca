"""Tasks of a job that people pause and cancel: PostgreSQL, and tasks as Airflow runs them."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dag import DagModel  # noqa: TID251
from airflow.models.dagbundle import DagBundleModel  # noqa: TID251
from airflow.models.dagrun import DagRun  # noqa: TID251
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.session import create_session

from stage4.database import job_controls
from stage4.database.job_controls import Control
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from stage4.job_ids import governing_ids
from stage4.runners import pausing
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.label_files import Label, report_of

DAG_ID, RUN_ID = "cluster_events", "run"
FILE = """
from pathlib import Path
from airflow.sdk import DAG
from stage4.runners.repeating import PausablePythonOperator

def work():
    with open({done!r}, "a") as file:
        file.write("done")

with DAG("cluster_events", schedule=None):
    PausablePythonOperator(task_id="work", python_callable=work, retries=0)
"""


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """What the task's work is written to."""
    return tmp_path / "done"


@pytest.fixture
def dag(airflow_metadata: None, tmp_path: Path, done: Path) -> Iterator[DAG]:
    """A DAG of one task under the name of a level's."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "one.py").write_text(FILE.format(done=str(done)))
    bag = DagBag(str(tmp_path / "dags"))
    assert bag.import_errors == {}
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
        session.flush()
        sync_bag_to_db(bag, "tests", None, session=session)
    yield bag.dags[DAG_ID]
    with create_session() as session:
        for table in (DagRun, DagModel):
            session.query(table).delete()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "POLL_SECONDS", 0.1)


def decide(results: Results, what: str, dag_id: str = DAG_ID, run_id: str = RUN_ID) -> None:
    decision = getattr(job_controls, what)
    with results.server.connect(results.database, results.loader) as connection:
        decision(connection, dag_id, run_id, "uma")


@pytest.fixture
def known_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `dag.test` calls the run, it is the one that people decide about."""
    ids = governing_ids(DAG_ID, RUN_ID)
    monkeypatch.setattr("stage4.job_ids.governing_ids", lambda *_: ids)
    monkeypatch.setattr(pausing, "governing_ids", lambda *_: ids)


@pytest.mark.usefixtures("known_run")
def test_a_task_of_a_paused_job_waits_until_it_is_resumed(
    results: Results, dag: DAG, done: Path
) -> None:
    decide(results, "pause")
    seen = []

    def resume() -> None:
        seen.append(done.exists())
        decide(results, "resume")

    timer = threading.Timer(4.0, resume)
    timer.start()
    run = dag.test()
    timer.join()
    assert seen == [False]
    assert str(run.state) == "success"
    assert done.read_text() == "done"


@pytest.mark.usefixtures("known_run")
def test_a_task_of_a_canceled_job_fails_without_its_work(
    results: Results, dag: DAG, done: Path
) -> None:
    decide(results, "pause")
    decide(results, "cancel")
    assert str(dag.test().state) == "failed"
    assert not done.exists()


@pytest.mark.usefixtures("known_run")
def test_canceling_wakes_a_task_that_waits(results: Results, dag: DAG, done: Path) -> None:
    decide(results, "pause")
    timer = threading.Timer(4.0, decide, (results, "cancel"))
    timer.start()
    assert str(dag.test().state) == "failed"
    timer.join()
    assert not done.exists()


def test_other_jobs_go_on(results: Results, dag: DAG, done: Path) -> None:
    decide(results, "pause")
    assert str(dag.test().state) == "success"
    assert done.exists()


@pytest.mark.parametrize("trouble", ["no database", "no table", "no connection"])
def test_where_it_cannot_be_told_tasks_run(
    results: Results, dag: DAG, done: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "no table":
        with results.server.connect(results.database) as connection:
            connection.execute("DROP TABLE stage4.job_controls")
    elif trouble == "no connection":
        monkeypatch.delenv(CONNECTION_VARIABLE)
    else:
        nowhere = json.loads(results.connection_json()) | {"host": "127.0.0.1", "port": 1}
        monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(nowhere))
    assert str(dag.test().state) == "success"
    assert done.exists()


def test_a_decision_about_all_levels_holds_for_each(results: Results) -> None:
    decide(results, "pause", "cluster_all", "all")
    with results.server.connect(results.database, results.loader) as connection:
        rows = job_controls.read(connection)
        of_run = job_controls.read(connection, governing_ids("cluster_events", "all__events"))
    assert rows == of_run
    assert job_controls.control_of(rows, "cluster_events", "all__events") == Control(paused=True)
    for other in ("all", "all__entities", "other__events"):
        assert job_controls.control_of(rows, "cluster_events", other) == Control()


def test_decisions_are_kept_with_their_user_and_may_be_repeated(results: Results) -> None:
    for what in ("pause", "pause", "resume", "resume", "pause", "cancel", "cancel"):
        decide(results, what)
    query = "SELECT job_id, paused_by, canceled_by FROM stage4.job_controls"
    assert results.rows(query, user=results.loader) == [("cluster_events.run", "uma", "uma")]
    decide(results, "take_cancel_back")
    assert results.rows(query, user=results.loader) == [("cluster_events.run", "uma", None)]


def test_a_canceled_job_is_not_published(results: Results, workspace: Path, tmp_path: Path) -> None:
    files = Label(tmp_path, mark="1").write()
    report = report_of(files)
    load_run(files["files"], report)
    dag_id, _, run_id = report.job_id.partition(".")
    decide(results, "cancel", dag_id, run_id)
    with pytest.raises(AirflowFailException, match="was canceled by uma"):
        publish_run(files)
    assert results.rows("SELECT count(*) FROM stage4.current_runs") == [(0,)]
    decide(results, "take_cancel_back", dag_id, run_id)
    assert publish_run(files)["published"]
