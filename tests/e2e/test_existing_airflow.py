"""The README's section on an Airflow that exists already, followed to the letter."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg
import pytest

from clustering_tasks.settings.levels import LEVELS
from local.postgres import RESULTS, Postgres
from local.state import State
from tests.readme import REPO, blocks

pytestmark = pytest.mark.airflow

SECTION = "Into an Airflow that exists already"
UV = str(Path(sys.executable).with_name("uv"))
OWN_DAG = """
from airflow.sdk import DAG, task

@task
def hello():
    pass

with DAG("not_ours", schedule=None):
    hello()
"""


@dataclass(frozen=True)
class Host:
    """An Airflow of somebody else: an environment, a home, a DAG, and no word about Stage 4."""

    folder: Path
    environment: dict[str, str]

    def sh(self, script: str) -> str:
        """Run a shell script that ends at its first failure; returns its standard output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The results database's server."""
    state = State.open(tmp_path_factory.mktemp("existing") / "state")
    server = Postgres(state.postgres)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A fresh environment with plain Airflow, and its own database (SQLite)."""
    folder = tmp_path_factory.mktemp("host")
    dags = folder / "home" / "dags"
    dags.mkdir(parents=True)
    (dags / "not_ours.py").write_text(OWN_DAG)
    ours = ("AIRFLOW", "STAGE4_", "PYTHONPATH", "VIRTUAL_ENV")
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith(ours)}
    own = {
        "AIRFLOW_HOME": str(folder / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{folder / 'airflow' / 'bin'}:{os.environ['PATH']}",
    }
    host = Host(folder, inherited | own)
    host.sh(f"{UV} venv --quiet --python {sys.executable} airflow")
    airflow = f"apache-airflow=={version('apache-airflow')}"
    host.sh(f"{UV} pip install --quiet --python airflow/bin/python {airflow}")
    host.sh("airflow db migrate")
    return host


def fast(script: str) -> str:
    """Let uv install what pip is told to: it finds the packages of `make setup` in its cache."""
    script = re.sub(
        r'^python3 -m venv ("\S+")',
        rf"{UV} venv --quiet --python {sys.executable} \1",
        script,
        flags=re.M,
    )
    script = re.sub(
        r'^("\S+/python") -m pip install',
        rf"{UV} pip install --quiet --python \1",
        script,
        flags=re.M,
    )
    return re.sub(
        "^pip install", f"{UV} pip install --quiet --python airflow/bin/python", script, flags=re.M
    )


def values(readme: str, host: Host, sample: Path, database: Postgres) -> str:
    """The block of the reader's own values, with ours."""
    ours = {
        "STAGE4": str(REPO),
        "ENGINE": str(host.folder / "engine"),
        "STAGE4_INDICES": str(sample),
        "STAGE4_WORKSPACE": str(host.folder / "workspace"),
        "AIRFLOW_CONN_STAGE4_POSTGRES": json.dumps(database.connection(RESULTS)),
    }
    for name, value in ours.items():
        readme, found = re.subn(rf"^((?:export )?{name})=.*$", rf"\1='{value}'", readme, flags=re.M)
        assert found == 1, f"the README does not say what {name} is"
    return readme


def airflow_knows(host: Host) -> tuple[dict[str, bool], set[str]]:
    """Each DAG with whether it is paused, and the pools, from Airflow's own database."""
    with sqlite3.connect(host.folder / "home" / "airflow.db") as connection:
        dags = connection.execute("SELECT dag_id, is_paused FROM dag").fetchall()
        pools = connection.execute("SELECT pool FROM slot_pool").fetchall()
    return {dag: bool(paused) for dag, paused in dags}, {pool for (pool,) in pools}


@pytest.mark.heavy
def test_the_sections_commands_lead_to_published_clusters(
    host: Host, sample: Path, database: Postgres
) -> None:
    settings, *steps = blocks(SECTION, "sh")
    assert len(steps) == 6
    variables = values(settings, host, sample, database)

    host.sh("\n".join((variables, *map(fast, steps))))

    shown = host.sh(f"{variables}\nairflow plugins --output json")
    (plugin,) = [each for each in json.loads(shown) if each["name"] == "stage4"]
    assert "/stage4/api/v1" in str(plugin["fastapi_apps"])
    paused, pools = airflow_knows(host)
    assert paused == {
        "cluster_all": False,
        **{f"cluster_{level}": False for level in LEVELS},
        "delete_document": False,
        "housekeeping": False,
        "receive_events": False,
        "roll_back": False,
        "send_events": False,
        "not_ours": True,
        "upstream_example": True,
    }
    assert pools >= {"stage4_cluster", "stage4_steps"}
    items = json.loads((sample / "documents_metadata.json").read_text())["metadata_store"]
    with psycopg.connect(database.url(RESULTS)) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM stage4.current_members WHERE level = 'documents'"
        ).fetchone()
        counts = connection.execute("SELECT read, clusters FROM stage4.current_runs").fetchone()
    assert rows == (len(items),)
    assert counts is not None
    assert counts[0] == len(items)
    assert counts[1] > 0
