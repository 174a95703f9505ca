"""What Airflow sees of the DAG files, without any connection, database or running service."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from airflow.serialization.serialized_objects import DagSerialization

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps import STEPS
from stage4.dag_factory import level_dag, receive_events_dag
from stage4.tasks.errors import keep_error

REPO = Path(__file__).parents[2]
LEVEL_DAGS = [f"cluster_{level}" for level in LEVELS]
UPSTREAM = {
    "check_stage3": set(),
    "snapshot": {"check_stage3"},
    "plan": {"snapshot"},
    "cluster": {"plan"},
    "all_parts": {"cluster"},
    "merge": {"cluster"},
    "tag": {"merge"},
    "trend": {"tag"},
    "identify": {"trend"},
    "label": {"identify"},
    "map": {"label"},
    "load_postgres": {"label", "map"},
    "publish": {"label", "load_postgres"},
    "notify_stage5": {"publish"},
    "write_back": {"publish"},
}


@pytest.fixture(scope="module")
def dags() -> dict[str, DAG]:
    deployment.cache_clear()
    bag = DagBag(str(REPO / "dags"))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_the_dags_are_the_levels_all_of_them_housekeeping_and_the_example(
    dags: dict[str, DAG],
) -> None:
    assert set(dags) == {
        *LEVEL_DAGS,
        "cluster_all",
        "delete_document",
        "housekeeping",
        "receive_events",
        "roll_back",
        "send_events",
        "upstream_example",
    }


@pytest.mark.parametrize("dag_id", [*LEVEL_DAGS, "cluster_all", "roll_back"])
def test_params_are_the_dags_and_no_copies_of_its_tasks(dags: dict[str, DAG], dag_id: str) -> None:
    dag = dags[dag_id]
    assert dag.params
    assert [task.task_id for task in dag.tasks if task.params] == []
    (task, *_) = dag.tasks
    assert set(process_params(dag, task, None, suppress_exception=True)) == set(dag.params)


@pytest.mark.parametrize("dag_id", LEVEL_DAGS)
def test_a_level_runs_the_steps_in_their_order(dags: dict[str, DAG], dag_id: str) -> None:
    assert {task.task_id: task.upstream_task_ids for task in dags[dag_id].tasks} == UPSTREAM


@pytest.mark.parametrize("dag_id", LEVEL_DAGS)
def test_neither_a_part_nor_the_map_keeps_a_level_from_going_on(
    dags: dict[str, DAG], dag_id: str
) -> None:
    lenient = {task.task_id for task in dags[dag_id].tasks if task.trigger_rule != "all_success"}
    assert lenient == {"merge", "load_postgres"}
    for task_id in lenient:
        rule = dags[dag_id].get_task(task_id).trigger_rule
        assert rule == "all_done_min_one_success"


@pytest.mark.parametrize("dag_id", LEVEL_DAGS)
def test_tasks_have_pools_retries_and_a_timeout(dags: dict[str, DAG], dag_id: str) -> None:
    for task in dags[dag_id].tasks:
        pool = "stage4_cluster" if task.task_id == "cluster" else "stage4_steps"
        assert task.pool == pool
        assert task.retries == 2
        assert task.retry_exponential_backoff == 2.0
        assert task.retry_delay == timedelta(seconds=30)
        assert task.max_retry_delay == timedelta(hours=1)
        assert task.execution_timeout == timedelta(hours=4)
        assert task.on_failure_callback == [keep_error]


@pytest.mark.parametrize("dag_id", LEVEL_DAGS)
def test_a_mapped_part_shows_its_name(dags: dict[str, DAG], dag_id: str) -> None:
    cluster: Any = dags[dag_id].get_task("cluster")
    assert cluster.is_mapped
    assert cluster.map_index_template == "{{ task.part['name'] }}"


@pytest.mark.parametrize("level", LEVELS)
def test_assets_tie_a_level_to_its_neighbours(dags: dict[str, DAG], level: str) -> None:
    dag = dags[f"cluster_{level}"]
    assert [asset.uri for asset in dag.get_task("snapshot").inlets] == [f"x-stage3://{level}"]
    assert [asset.uri for asset in dag.get_task("publish").outlets] == [f"x-stage4://{level}"]
    assert f"expression='{LEVELS[level].schedule}', timezone='UTC'" in repr(dag.timetable)
    assert f"x-stage3://{level}" in repr(dags["receive_events"].timetable)


@pytest.mark.parametrize(
    "dag_id",
    [
        *LEVEL_DAGS,
        *("cluster_all", "delete_document", "housekeeping", "roll_back"),
        *("receive_events", "send_events"),
    ],
)
def test_one_run_at_a_time_described_and_tagged(dags: dict[str, DAG], dag_id: str) -> None:
    dag = dags[dag_id]
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert dag.description
    assert dag.doc_md
    assert "stage4" in dag.tags


def test_cluster_all_waits_for_each_level_whatever_the_others_do(dags: dict[str, DAG]) -> None:
    dag = dags["cluster_all"]
    for level in LEVELS:
        task: Any = dag.get_task(f"cluster_{level}")
        assert task.upstream_task_ids == {"check_settings"}
        assert task.trigger_dag_id == f"cluster_{level}"
        assert task.trigger_run_id == f"{{{{ run_id }}}}__{level}"
        assert (task.deferrable, task.wait_for_completion, task.reset_dag_run) == (True, True, True)
        assert task.retries == 0


def test_the_workspace_is_cleaned_when_every_level_is_pruned(dags: dict[str, DAG]) -> None:
    task = dags["housekeeping"].get_task("clean_workspace")
    assert task.upstream_task_ids == {f"prune_{level}" for level in LEVELS}
    assert "30 5 * * *" in repr(dags["housekeeping"].timetable)


def test_a_deletion_ends_when_every_level_is_rewritten(dags: dict[str, DAG]) -> None:
    dag = dags["delete_document"]
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    for level in LEVELS:
        assert upstream[f"redact_{level}"] == {"start"}
        assert upstream[f"reload_{level}"] == {f"redact_{level}"}
    assert upstream["close"] == {"start", *(f"reload_{level}" for level in LEVELS)}
    assert upstream["notify_stage5"] == upstream["write_back"] == {"close"}
    assert "17 * * * *" in repr(dag.timetable)


def test_a_roll_back_fixes_its_run_first_and_tells_last(dags: dict[str, DAG]) -> None:
    dag = dags["roll_back"]
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "choose_run": set(),
        "roll_back": {"choose_run"},
        "notify_stage5": {"roll_back"},
        "write_back": {"roll_back"},
    }
    assert dag.timetable.can_be_scheduled is False


def test_every_dag_survives_serialisation(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        encoded = json.dumps(DagSerialization.serialize_dag(dag))
        assert dag.dag_id in encoded


PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
heavy = {"numpy", "pandas", "faiss", "sklearn", "scipy", "numba", "pyarrow", "psycopg"}
found = {
    dag.dag_id: [repr(dag.timetable), [task.operator_name for task in dag.tasks]]
    for dag in bag.dags.values()
}
loaded = sorted(heavy & set(sys.modules))
json.dump({"errors": bag.import_errors, "dags": found, "heavy": loaded}, sys.stdout)
"""


def parse(airflow_home: Path, **environment: str) -> Any:
    """Parse the DAG files in a process that knows no connection."""
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith("AIRFLOW")}
    own = {
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////nonexistent/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL",
        "PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "plugins")]),
    }
    command = [sys.executable, "-c", PARSE, str(REPO / "dags")]
    done = subprocess.run(
        command,
        env=inherited | own | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=airflow_home,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_parsing_needs_no_connection_and_loads_no_engine(tmp_path: Path) -> None:
    seen = parse(tmp_path)
    assert seen["errors"] == {}
    assert len(seen["dags"]) == len(LEVELS) + 7
    assert seen["heavy"] == []


def test_deployment_settings_reach_the_dags(tmp_path: Path) -> None:
    seen = parse(tmp_path, STAGE4_RUNNER="docker", STAGE4_SCHEDULE_EVENTS="none")
    timetable, operators = seen["dags"]["cluster_events"]
    assert "Cron" not in timetable
    assert operators.count("DockerStepOperator") == len(STEPS)
    assert "Cron" in seen["dags"]["cluster_documents"][0]


def test_events_are_sent_where_somebody_receives_them(tmp_path: Path) -> None:
    for receivers, sent in (("", False), ("hook", True)):
        timetable, _ = parse(tmp_path, STAGE4_EVENT_RECEIVERS=receivers)["dags"]["send_events"]
        assert ("* * * * *" in timetable) == sent
        assert ("x-stage4://events" in timetable) == sent


def test_events_of_stage3_are_read_where_there_is_a_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for conn_id, watched in (("", 0), ("stage3", 1)):
        monkeypatch.setenv("STAGE4_STAGE3_STREAM_CONN_ID", conn_id)
        deployment.cache_clear()
        dag = receive_events_dag("page")
        deployment.cache_clear()
        encoded = json.dumps(DagSerialization.serialize_dag(dag))
        assert encoded.count("Stage3StreamTrigger") == watched
        start: Any = dag.get_task("start")
        assert start.is_mapped
        assert start.upstream_task_ids == {"request_runs"}
        assert start.partial_kwargs["skip_when_already_exists"] is True
        inlets = {asset.uri for asset in dag.get_task("request_runs").inlets}
        assert inlets == {f"x-stage3://{level}" for level in LEVELS}


def test_a_wrong_cron_stops_the_dag_of_its_level_alone(tmp_path: Path) -> None:
    seen = parse(tmp_path, STAGE4_SCHEDULE_EVENTS="daily")
    (error,) = seen["errors"].values()
    assert "STAGE4_SCHEDULE_EVENTS='daily' is no cron expression" in error
    assert "cluster_events" not in seen["dags"]
    assert {f"cluster_{level}" for level in LEVELS} - set(seen["dags"]) == {"cluster_events"}
    assert {"cluster_all", "housekeeping", "delete_document", "roll_back"} <= set(seen["dags"])


def test_a_run_of_a_level_has_the_time_that_the_installation_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STAGE4_RUN_TIMEOUT_MINUTES", "90")
    deployment.cache_clear()
    limited = level_dag(LEVELS["events"], None)
    monkeypatch.undo()
    deployment.cache_clear()
    assert limited.dagrun_timeout == timedelta(minutes=90)
    assert level_dag(LEVELS["events"], None).dagrun_timeout is None


@pytest.mark.parametrize("cron", ["0 2 30 2 *", "0 2 31 4,6 *", "0 0 1 1 * 0 2020"])
def test_a_cron_of_no_day_is_refused(monkeypatch: pytest.MonkeyPatch, cron: str) -> None:
    """Airflow takes it, and fails over the next run."""
    monkeypatch.setenv("STAGE4_SCHEDULE_EVENTS", cron)
    deployment.cache_clear()
    with pytest.raises(SettingsError, match=r"STAGE4_SCHEDULE_EVENTS='.*' is of a time that never"):
        level_dag(LEVELS["events"], None)
    monkeypatch.setenv("STAGE4_SCHEDULE_EVENTS", "0 2 29 2 *")
    deployment.cache_clear()
    assert level_dag(LEVELS["events"], None).dag_id == "cluster_events"
    monkeypatch.undo()
    deployment.cache_clear()


@pytest.mark.parametrize("cron", ["0 25 * * *", "daily", "* * *", "0 2 * * * * * *"])
def test_a_wrong_cron_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, cron: str
) -> None:
    monkeypatch.setenv("STAGE4_SCHEDULE_EVENTS", cron)
    deployment.cache_clear()
    with pytest.raises(SettingsError, match=r"STAGE4_SCHEDULE_EVENTS='.*' is no cron expression"):
        level_dag(LEVELS["events"], None)
    monkeypatch.setenv("STAGE4_SCHEDULE_EVENTS", "@daily")
    deployment.cache_clear()
    assert level_dag(LEVELS["events"], None).dag_id == "cluster_events"
    monkeypatch.undo()
    deployment.cache_clear()
