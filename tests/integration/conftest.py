"""A real PostgreSQL with pgvector for a session, and a fresh results database for a test."""

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from clustering_tasks.settings.deployment import deployment
from local.postgres import Postgres

CONNECTION_VARIABLE = "AIRFLOW_CONN_STAGE4_POSTGRES"


@dataclass(frozen=True)
class Server:
    """The session's server; connections to it are in autocommit mode."""

    postgres: Postgres

    def airflow_connection(self, database: str, user: str) -> dict[str, Any]:
        return self.postgres.connection(database) | {"login": user}

    def connect(self, database: str = "postgres", user: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.postgres.socket), dbname=database, user=user, autocommit=True
        )

    def create_database(self, template: str = "template1") -> str:
        name = f"stage4_test_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return name

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def create_role(self) -> str:
        """A role that may log in, and nothing else."""
        name = f"stage4_test_{uuid.uuid4().hex[:12]}"
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        return name


@dataclass(frozen=True)
class Results:
    """A migrated results database, and the roles with just the grants that their work needs.

    Attributes:
        loader: sets up, loads, publishes. It owns the schema `stage4` and has no other right; the
            extension `vector` was created for it by a superuser.
        reader: what an API needs: USAGE of the schema, SELECT of the three views.
    """

    server: Server
    database: str
    loader: str
    reader: str

    def rows(self, query: str, *values: Any, user: str | None = None) -> list[tuple[Any, ...]]:
        with self.server.connect(self.database, user or self.reader) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def connection_json(self) -> str:
        """The loader's Airflow connection."""
        return json.dumps(self.server.airflow_connection(self.database, self.loader))

    def tables(self) -> set[str]:
        """The partitions, attached or not."""
        found = self.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'stage4'::regnamespace"
            " AND relkind = 'r' AND relname ~ '_[0-9]+$'"
        )
        return {name for (name,) in found}


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    # Not tmp_path: as root the server runs as another user, to whom pytest's folders are closed.
    folder = Path(tempfile.mkdtemp(prefix="stage4-tests-"))
    folder.chmod(0o711)
    postgres = Postgres(folder / "postgres")
    postgres.start()
    try:
        found = Server(postgres)
        with found.connect() as connection:
            # Its data need not outlive the session; databases are made and dropped 10 times faster.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield found
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[Results]:
    """A migrated database to copy, made with the permissions of the real thing."""
    from stage4.setup import migrate

    name, loader, reader = server.create_database(), server.create_role(), server.create_role()
    with server.connect(name) as superuser:
        superuser.execute("CREATE EXTENSION vector")
        superuser.execute(
            sql.SQL("CREATE SCHEMA stage4 AUTHORIZATION {}").format(sql.Identifier(loader))
        )
    with server.connect(name, loader) as connection:
        migrate(connection)
        role = sql.Identifier(reader)
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA stage4 TO {}").format(role))
        connection.execute(
            sql.SQL(
                "GRANT SELECT ON stage4.current_runs, stage4.current_clusters,"
                " stage4.current_members TO {}"
            ).format(role)
        )
    yield Results(server, name, loader, reader)
    server.drop_database(name)


@pytest.fixture
def results(template: Results, monkeypatch: pytest.MonkeyPatch) -> Iterator[Results]:
    """An empty results database, to which Airflow's connection leads."""
    server = template.server
    name = server.create_database(template.database)
    connection = server.airflow_connection(name, template.loader)
    monkeypatch.setenv(CONNECTION_VARIABLE, json.dumps(connection))
    yield Results(server, name, template.loader, template.reader)
    server.drop_database(name)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation whose workspace is a folder of the test."""
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    deployment.cache_clear()
    yield tmp_path / "workspace"
    deployment.cache_clear()


@pytest.fixture(scope="session")
def airflow_metadata() -> None:
    """Airflow's own database: the auth manager looks for revoked tokens there."""
    from airflow.api_fastapi.app import init_auth_manager
    from airflow.utils.db import initdb

    initdb()
    init_auth_manager()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this machine, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    own, key = folder / "own.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=stage4", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(own)]
    subprocess.run(command, check=True, capture_output=True)
    return own, key
