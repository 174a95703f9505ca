"""Airflow's own command line and an integer that no task can be given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
DAG = "cluster_storylines"
# Airflow's settings and database are a process's own, so this runs in one of its own.
INSTALL = f"""
from airflow.utils.db import initdb
initdb()
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
bag = DagBag({str(REPO / "dags" / f"{DAG}.py")!r}, bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
"""
# As the scheduler does with a run that has started, when its DAG has changed.
MAKE_INSTANCES = """
from airflow import plugins_manager, settings
plugins_manager.ensure_plugins_loaded()
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select
with settings.Session() as session:
    run = session.scalars(select(DagRun)).one()
    run.dag = SerializedDagModel.get_dag(run.dag_id, session=session)
    for instance in run.get_task_instances(session=session):
        session.delete(instance)
    run.conf = {"typo": 10**30}
    run.state = "running"
    session.flush()
    run.verify_integrity(session=session, dag_version_id=run.created_dag_version_id)
    print(run.run_id, len(run.get_task_instances(session=session)) > 10)
"""


class AirflowProcesses:
    """Processes of one Airflow, with a database of its own."""

    def __init__(self, home: Path) -> None:
        self._env = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": f"{REPO}:{REPO / 'plugins'}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        }

    def python(self, program: str) -> str:
        """Run a program; what it prints last."""
        done = self._run(sys.executable, "-c", program)
        assert done.returncode == 0, done.stderr[-3000:]
        return (done.stdout.splitlines() or [""])[-1]

    def trigger(self, run_id: str, conf: str) -> subprocess.CompletedProcess[str]:
        return self._run("airflow", "dags", "trigger", DAG, "--run-id", run_id, "--conf", conf)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> AirflowProcesses:
    airflow = AirflowProcesses(tmp_path_factory.mktemp("airflow"))
    airflow.python(INSTALL)
    return airflow


def test_the_command_line_makes_no_run_with_a_large_integer(airflow: AirflowProcesses) -> None:
    """And the scheduler goes on with a run that has one, which an earlier version let pass."""
    for conf, named in (
        ('{"typo": {"deep": [1, -1000000000000000000000000]}}', "conf.typo.deep[1]: an integer"),
        ('{"neighbours": {"exact_rows": 1000000000000000000000000}}', "exact_rows"),
    ):
        done = airflow.trigger("refused", conf)
        assert done.returncode != 0
        assert named in done.stderr
    assert airflow.trigger("made", '{"typo": {"deep": [1, 9223372036854775807]}}').returncode == 0
    assert airflow.python(MAKE_INSTANCES) == "made True"
