"""Prepare an installation: the results database's schema, and Airflow's pools.

`python -m stage4.setup`, with `plugins` on PYTHONPATH. Running it again brings both up to date, and
running it twice at a time is safe.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import orjson
import structlog
from airflow.configuration import conf
from airflow.exceptions import AirflowConfigException
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from psycopg import errors
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import DeploymentSettings, deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.dag_factory import schedule_of
from stage4.database.connection import Database, database
from stage4.versions import AIRFLOW, PGVECTOR, POSTGRES_PROVIDER, POSTGRESQL, Product

MIGRATIONS = Path(__file__).parent / "database" / "migrations"
LOCK = 0x57A6E4  # any number, as long as every setup takes the same

log = structlog.get_logger()


@dataclass(frozen=True)
class AirflowValue:
    """A value of Airflow's configuration with which runs survive a restart of two minutes.

    Attributes:
        section, key: its place.
        least: that is advised.
        reason: what a lower one costs.
    """

    section: str
    key: str
    least: int
    reason: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"AIRFLOW__{self.section.upper()}__{self.key.upper()}"


# `make up` and docker-compose.yaml set these, too.
AIRFLOW_VALUES = (
    AirflowValue(
        "workers",
        "max_failed_heartbeats",
        60,
        "restarting the API server ends every running task",
    ),
    AirflowValue(
        "workers",
        "execution_api_retries",
        20,
        "a task fails that starts or reports while the API server is restarted",
    ),
    AirflowValue(
        "dag_processor",
        "dag_file_processor_timeout",
        300,
        "a busy machine's DAGs are not read to their end, and then taken for gone",
    ),
    AirflowValue(
        "dag_processor",
        "stale_dag_threshold",
        300,
        "a busy machine's DAGs are taken for gone, and their running runs stand still",
    ),
    AirflowValue(
        "scheduler",
        "task_instance_heartbeat_timeout",
        120,
        "a database or an API server that is away for two minutes costs running tasks a try",
    ),
)


def main() -> None:
    """Check versions and schedules and do both, or end with a message that says what to do."""
    # As Airflow's own commands do: connections may be kept in its database, which tasks cannot see.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        check_airflow()
        for level in LEVELS.values():
            schedule_of(level)
        with database() as connection:
            # Held until the connection closes; whoever comes second finds everything done.
            connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            migrate(connection)
            ensure_pools(deployment())
        for advice in advised_values():
            log.warning(advice)
    except (AirflowException, SettingsError) as error:
        sys.exit(f"setup failed: {error}")


def check_airflow() -> None:
    """Check this environment.

    Raises:
        AirflowFailException: Airflow or its provider for PostgreSQL has another version.
    """
    where = f"the environment of {sys.executable}"
    _check(AIRFLOW, version("apache-airflow-core"), where)
    _check(POSTGRES_PROVIDER, version(POSTGRES_PROVIDER.name), where)


def advised_values() -> Iterator[str]:
    """Tell which values of Airflow's configuration cost runs when something is restarted."""
    for value in AIRFLOW_VALUES:
        name = f"[{value.section}] {value.key} of Airflow"
        remedy = f"Set {value.variable}={value.least}, or more, for all of Airflow's services"
        try:
            found = conf.getint(value.section, value.key)  # as Airflow reads it
        except AirflowConfigException:
            yield f"{name} is no whole number: a service ends over it, or every task. {remedy}"
            continue
        if found < value.least:
            yield f"{name} is {found}: {value.reason}. {remedy}"


def migrate(connection: Database, revision: str = "head") -> None:
    """Bring the schema `stage4` to a revision, in one transaction.

    Args:
        connection: in autocommit mode, as `database()` gives it.
        revision: of `migrations/versions`, also an earlier one; `base` drops everything.

    Raises:
        AirflowFailException: the server or pgvector is too old, pgvector is missing, or so is a
            permission.
    """
    number = connection.info.server_version
    where = f"the server of database {connection.info.dbname}"
    _check(POSTGRESQL, f"{number // 10_000}.{number % 10_000}", where)
    _ensure_vector(connection)
    _ensure_schema(connection)
    connection.autocommit = False  # SQLAlchemy's transactions rely on it
    try:
        _run_alembic(connection, revision)
    except DBAPIError as error:
        raise (error.orig or error) from None
    finally:
        connection.rollback()
        connection.autocommit = True
    log.info("schema stage4 is ready", database=connection.info.dbname, revision=revision)


def ensure_pools(settings: DeploymentSettings) -> None:
    """Create Airflow's pools, or set their sizes.

    Raises:
        AirflowFailException: Airflow's own command line refused.
    """
    sizes = {
        settings.cluster_pool: (settings.cluster_slots, "The mapped `cluster` tasks"),
        settings.steps_pool: (settings.steps_pool_slots, "All other steps of the clustering"),
    }
    pools = {
        name: {"slots": slots, "description": description, "include_deferred": False}
        for name, (slots, description) in sizes.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pools.json"
        file.write_bytes(orjson.dumps(pools))
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "pools", "import", str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise AirflowFailException(
            f"`airflow pools import` ended with {done.returncode}. If Airflow's own database is "
            f"new, run `airflow db migrate` first. It said:\n{(done.stderr or done.stdout).strip()}"
        )
    log.info("pools are ready", **{name: slots for name, (slots, _) in sizes.items()})


def _check(product: Product, found: str, where: str) -> None:
    if refusal := product.refusal(found, where):
        raise AirflowFailException(refusal)


def _ensure_vector(connection: Database) -> None:
    where = f"database {connection.info.dbname}"
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except errors.InsufficientPrivilege:
        raise AirflowFailException(
            f"pgvector is not in {where}, and role {connection.info.user} may not create it: run "
            "there, as a superuser, CREATE EXTENSION vector;"
        ) from None
    except (errors.FeatureNotSupported, errors.UndefinedFile):
        raise AirflowFailException(
            f"the server of {where} has no pgvector: install it (Debian: postgresql-NN-pgvector; "
            "Docker: the image pgvector/pgvector) and run this again"
        ) from None
    found = connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    if found is not None:
        _check(PGVECTOR, found[0], where)


def _ensure_schema(connection: Database) -> None:
    # Not IF NOT EXISTS: that asks for the permission even where the schema exists.
    if connection.execute("SELECT to_regnamespace('stage4')").fetchone() != (None,):
        return
    try:
        connection.execute("CREATE SCHEMA stage4")
    except errors.InsufficientPrivilege:
        user = connection.info.user
        raise AirflowFailException(
            f"role {user} may not create the schema `stage4` in database {connection.info.dbname}: "
            f"run there, as its owner, CREATE SCHEMA stage4 AUTHORIZATION {user};"
        ) from None


def _run_alembic(connection: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool
    )
    with engine.begin() as transaction:
        config.attributes["connection"] = transaction
        now = MigrationContext.configure(
            transaction, opts={"version_table_schema": "stage4"}
        ).get_current_revision()
        if revision == "base" or (now is not None and revision < now):  # 0003 < head
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)


if __name__ == "__main__":
    main()
