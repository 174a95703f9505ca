"""`python -m stage4.setup` against a real database and a real Airflow."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from airflow.sdk.exceptions import AirflowFailException

from local.configuration import Options, settings
from local.postgres import Postgres
from local.state import State
from stage4.setup import AIRFLOW_VALUES, advised_values, main, migrate
from tests.integration.conftest import CONNECTION_VARIABLE, Server

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Airflow:
    """An Airflow that is installed and has never been started."""

    environment: dict[str, str]

    def with_variables(self, **variables: str) -> "Airflow":
        return replace(self, environment=self.environment | variables)

    def setup(self) -> subprocess.CompletedProcess[str]:
        return self._run("-m", "stage4.setup")

    def airflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("-m", "airflow", *arguments)

    def pools(self) -> dict[str, int]:
        # Read from the database: the command line takes seconds to start.
        file = Path(self.environment["AIRFLOW_HOME"]) / "airflow.db"
        with closing(sqlite3.connect(file)) as own:
            return dict(own.execute("SELECT pool, slots FROM slot_pool"))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def airflow() -> Iterator[Airflow]:
    with tempfile.TemporaryDirectory() as home:
        ours = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "plugins"))),
        }
        names = ("PATH", "HOME", "LANG")
        inherited = {name: os.environ[name] for name in names if name in os.environ}
        made = Airflow(inherited | ours)
        done = made.airflow("db", "migrate")
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database without anything in it."""
    name = server.create_database()
    yield name
    server.drop_database(name)


def connection(server: Server, database: str, **changes: Any) -> str:
    return json.dumps(server.airflow_connection(database, "postgres") | changes)


def test_two_setups_at_a_time_make_one_schema_and_the_pools(
    server: Server, database: str, airflow: Airflow
) -> None:
    ready = airflow.with_variables(**{CONNECTION_VARIABLE: connection(server, database)})
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda _: ready.setup(), range(2)):
            assert done.returncode == 0, done.stderr
    with server.connect(database) as superuser:
        assert superuser.execute("SELECT count(*) FROM stage4.current_runs").fetchone() == (0,)
    assert {"stage4_cluster": 2, "stage4_steps": 4}.items() <= ready.pools().items()


def test_running_it_again_sets_the_sizes_of_the_pools(
    server: Server, database: str, airflow: Airflow
) -> None:
    """The connection is kept in Airflow's own database this time."""
    stored = airflow.airflow(
        *("connections", "add", "results"),
        *("--conn-json", connection(server, database)),
    )
    assert stored.returncode == 0, stored.stderr
    ready = airflow.with_variables(
        STAGE4_POSTGRES_CONN_ID="results",
        STAGE4_CLUSTER_POOL_SLOTS="1",
        STAGE4_STEPS_POOL="mine",
    )
    done = ready.setup()
    assert done.returncode == 0, done.stderr
    assert {"stage4_cluster": 1, "mine": 4}.items() <= ready.pools().items()


def test_values_of_airflow_that_cost_runs_are_named_with_the_remedy(
    server: Server, database: str, airflow: Airflow
) -> None:
    plain = airflow.with_variables(**{CONNECTION_VARIABLE: connection(server, database)})
    done = plain.setup()
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "[workers] max_failed_heartbeats of Airflow is 3: restarting the API server" in said
    assert "Set AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS=60, or more" in said
    assert "task_instance_heartbeat_timeout" not in said  # its default will do
    advised = {each.variable: str(each.least) for each in AIRFLOW_VALUES}
    calm = plain.with_variables(**advised).setup()
    assert "AIRFLOW__" not in calm.stdout + calm.stderr


@pytest.mark.parametrize("given", ["many", "", "60.5", "60 # twice", "nan", "inf"])
def test_a_value_of_airflow_that_is_none_is_named_and_ends_no_setup(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    for each in AIRFLOW_VALUES:
        monkeypatch.setenv(each.variable, str(each.least))
    assert [*advised_values()] == []
    for each in AIRFLOW_VALUES:
        with monkeypatch.context() as patch:
            patch.setenv(each.variable, given)
            (said,) = advised_values()
        assert said.startswith(f"[{each.section}] {each.key} of Airflow is no whole number")
        assert f"Set {each.variable}={each.least}" in said


def test_a_wrong_schedule_is_refused_before_anything_is_made(
    server: Server, database: str, airflow: Airflow
) -> None:
    given = {CONNECTION_VARIABLE: connection(server, database), "STAGE4_SCHEDULE_EVENTS": "daily"}
    done = airflow.with_variables(**given).setup()
    assert done.returncode == 1
    assert "setup failed: STAGE4_SCHEDULE_EVENTS='daily' is no cron expression" in done.stderr
    with server.connect(database) as found:
        assert found.execute("SELECT to_regnamespace('stage4')").fetchone() == (None,)


def test_make_up_and_compose_set_what_is_advised(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    local = settings(state, Postgres(state.postgres), Options(), 8080)
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_bytes())["services"]
    defaults = {("scheduler", "task_instance_heartbeat_timeout"): "300"}
    for each in AIRFLOW_VALUES:
        place = each.section, each.key
        assert int(local[each.section][each.key]) >= each.least
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            given = services[name]["environment"].get(each.variable, defaults.get(place))
            assert int(given) >= each.least, (name, place)


def test_a_database_that_is_down_is_named(server: Server, database: str, airflow: Airflow) -> None:
    down = connection(server, database, port=1)
    done = airflow.with_variables(**{CONNECTION_VARIABLE: down}).setup()
    assert done.returncode == 1
    assert "setup failed: database of `stage4_postgres`: " in done.stderr
    assert "Is the server running" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_exist_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv(CONNECTION_VARIABLE, connection(server, "no_such_database"))
    with pytest.raises(SystemExit, match='database "no_such_database" does not exist'):
        main()


def test_an_airflow_without_its_own_database_is_told_to_migrate(
    server: Server, database: str, airflow: Airflow, tmp_path: Path
) -> None:
    new = airflow.with_variables(
        **{CONNECTION_VARIABLE: connection(server, database), "AIRFLOW_HOME": str(tmp_path)}
    )
    done = new.setup()
    assert done.returncode == 1
    assert "airflow db migrate" in done.stderr


def test_a_missing_extension_names_the_statement(server: Server, database: str) -> None:
    role = server.create_role()
    with (
        server.connect(database, role) as ours,
        pytest.raises(AirflowFailException, match="as a superuser, CREATE EXTENSION vector;"),
    ):
        migrate(ours)


def test_a_missing_permission_names_the_statement(server: Server, database: str) -> None:
    role = server.create_role()
    with server.connect(database) as superuser:
        superuser.execute("CREATE EXTENSION vector")
    statement = f"CREATE SCHEMA stage4 AUTHORIZATION {role};"
    with server.connect(database, role) as ours:
        with pytest.raises(AirflowFailException, match=statement):
            migrate(ours)
        with server.connect(database) as superuser:
            superuser.execute(statement.encode())
        migrate(ours)


def test_an_old_extension_is_refused_by_name(server: Server, database: str) -> None:
    with server.connect(database) as superuser:
        superuser.execute("CREATE EXTENSION vector")
        # What a server says whose pgvector was never updated; its old scripts are not at hand.
        superuser.execute("UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
        superuser.commit()
        with pytest.raises(AirflowFailException, match=r"pgvector 0\.7\.4, and >=0\.8 is needed"):
            migrate(superuser)


def test_an_old_provider_is_refused_before_anything_is_done(
    server: Server, database: str, airflow: Airflow, tmp_path: Path
) -> None:
    """The metadata of a package come first on the path, as pip leaves them."""
    name = "apache-airflow-providers-postgres"
    metadata = tmp_path / "apache_airflow_providers_postgres-6.2.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 6.2.0\n")
    done = airflow.with_variables(
        **{
            CONNECTION_VARIABLE: connection(server, database),
            "PYTHONPATH": os.pathsep.join((str(tmp_path), airflow.environment["PYTHONPATH"])),
        }
    ).setup()
    assert done.returncode == 1
    assert f"has {name} 6.2.0, and >=6.3 is needed" in done.stderr
    with server.connect(database) as superuser:
        assert superuser.execute("SELECT to_regnamespace('stage4')").fetchone() == (None,)
