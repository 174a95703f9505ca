"""A news database of somebody else's, with a table of articles, and the role that Stage 4 has."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from clustering_tasks.arrays import F32
from clustering_tasks.settings.deployment import deployment
from tests.integration.conftest import Server
from tests.stage3_folder import DIMENSION

CONN_ID = "news"
SCHEMA, TABLE = "news", "articles"
_CREATE = """
CREATE TABLE {table} (
    id {id} PRIMARY KEY, embedding {vector}, metadata jsonb, title text,
    published_at timestamptz, updated_at timestamptz DEFAULT now(), cluster_id text
)
"""


@dataclass(frozen=True)
class News:
    """The database, and the role that Stage 4 connects as.

    Attributes:
        role: has the grants of docs/DEPLOYMENT.md, and no other right.
        table: schema and name.
    """

    server: Server
    database: str
    role: str
    monkeypatch: pytest.MonkeyPatch
    table: tuple[str, str] = (SCHEMA, TABLE)

    def connect(self, user: str = "postgres") -> psycopg.Connection:
        return self.server.connect(self.database, user)

    def execute(self, statement: str, *values: Any, **names: Any) -> list[tuple[Any, ...]]:
        """Perform a statement as a superuser; `{table}` is the table, `{role}` the role."""
        parts = {name: sql.Identifier(name_) for name, name_ in names.items()}
        own = {"table": sql.Identifier(*self.table), "role": sql.Identifier(self.role)}
        query = sql.SQL(statement).format(**own, **parts)
        with self.connect() as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def create(self, vector: str = f"vector({DIMENSION})", id_type: str = "text") -> None:
        """Create the table with the documented grants."""
        create = _CREATE.replace("{id}", id_type).replace("{vector}", vector)
        self.execute("CREATE SCHEMA IF NOT EXISTS {schema}", schema=self.table[0])
        self.execute(create)
        self.execute("GRANT USAGE ON SCHEMA {schema} TO {role}", schema=self.table[0])
        self.execute("GRANT SELECT ON {table} TO {role}")
        self.execute("GRANT UPDATE (cluster_id) ON {table} TO {role}")
        self.execute("GRANT CREATE ON SCHEMA {schema} TO {role}", schema=self.table[0])

    def fill(self, ids: Sequence[Any], vectors: F32, metadata: Sequence[dict[str, Any]]) -> None:
        rows = zip(ids, vectors.tolist(), map(Jsonb, metadata), strict=True)
        query = sql.SQL(
            "INSERT INTO {} (id, embedding, metadata) VALUES (%s, %s::real[], %s)"
        ).format(sql.Identifier(*self.table))
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(query, list(rows))

    def listing(self, **changes: Any) -> dict[str, Any]:
        own = {"conn_id": CONN_ID, "level": "documents", "table": list(self.table)}
        return own | {"metadata": "metadata"} | changes

    def install(self, **listings: dict[str, Any]) -> None:
        """Let the installation list tables; without any, `articles` as `listing` has it."""
        listed = listings or {"articles": self.listing()}
        self.monkeypatch.setenv("STAGE4_SOURCE_TABLES", json.dumps(listed))
        deployment.cache_clear()

    def clusters(self) -> dict[Any, str | None]:
        return dict(self.execute("SELECT id, cluster_id FROM {table}"))


@pytest.fixture
def news(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[News]:
    """A database with pgvector, and a role in it."""
    name, role = server.create_database(), server.create_role()
    with server.connect(name) as superuser:
        superuser.execute("CREATE EXTENSION vector")
    connection = server.airflow_connection(name, role)
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))
    yield News(server, name, role, monkeypatch)
    deployment.cache_clear()
    server.drop_database(name)
