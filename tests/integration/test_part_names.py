"""Names of parts that have not started: Airflow's own expansion, on a database of its own."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]
# Airflow's settings and database are a process's own, so this runs in one of its own.
PROGRAM = """
import sys, uuid
from airflow.utils.db import initdb
initdb()
from airflow import plugins_manager, settings
plugins_manager.ensure_plugins_loaded()
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
bag = DagBag(sys.argv[1], bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
from airflow.dag_processing.bundles.manager import DagBundlesManager
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskmap import TaskMap
from airflow.models.xcom import XComModel
from airflow.timetables.base import DataInterval
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from airflow.utils.state import DagRunState
import pendulum
with settings.Session() as session:
    dag = SerializedDagModel.get_dag("cluster_events", session=session)
    now = pendulum.now("UTC")
    run = dag.create_dagrun(
        run_id="r", logical_date=None, run_after=now, run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, session=session,
    )
    parts = [{"part": n, "name": name} for n, name in enumerate(sys.argv[2:])]
    # as the API does that tasks send their results to
    XComModel.set("return_value", parts, dag_id="cluster_events", task_id="plan", run_id="r",
                  serialize=False, session=session)
    session.add(TaskMap("cluster_events", "plan", "r", -1, len(parts), None))
    session.flush()
    made, _ = TaskMap.expand_mapped_task(dag.get_task("cluster"), "r", session=session)
    session.commit()
    print([(ti.map_index, ti.state, ti.rendered_map_index) for ti in run.get_task_instances(
        session=session) if ti.task_id == "cluster"])
"""


def test_parts_that_have_not_started_bear_their_names(tmp_path: Path) -> None:
    names = ["military_operations 1/2", "military_operations 2/2", "other domains (3)"]
    env = os.environ | {
        "PYTHONPATH": f"{REPO}:{REPO / 'plugins'}",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path / 'airflow.db'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(REPO / "dags" / "cluster_events.py"), *names],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = done.stdout.splitlines()[-1]
    assert found == str([(number, None, name) for number, name in enumerate(names)])
