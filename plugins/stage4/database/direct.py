"""Connections without Airflow's provider, whose import costs 0.7 s."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import TupleRow

# What PostgresHook reads of a connection's extra, and libpq does not know.
IGNORED_EXTRA = frozenset(
    {
        "iam",
        "redshift",
        "redshift-serverless",
        "cursor",
        "cluster-identifier",
        "workgroup-name",
        "aws_conn_id",
        "sqlalchemy_scheme",
        "sqlalchemy_query",
        "azure_conn_id",
    }
)
# A date is the same wherever the database is: its own setting may be any zone, in which the first
# and the last day of the calendar cannot be read.
IN_UTC: LiteralString = "SET TIME ZONE 'UTC'"

# By a system's defaults, a server that vanishes without a word is waited for for two hours, and it
# keeps the locks of a client that does for as long. Each finds out after a minute. What the Airflow
# connection's extra says goes before; a unix socket ignores all of it.
PATIENCE = {
    "connect_timeout": 30,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
SERVERS_PATIENCE: LiteralString = """
SELECT set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '60s', false)
"""

_SECONDS = 3


def parameters_of(connection: Any) -> dict[str, Any]:
    """Read what psycopg needs from an Airflow connection, as PostgresHook does."""
    login, password, port = connection.login, connection.password, connection.port
    extra = connection.extra_dejson
    if extra.get("iam", False):
        from airflow.providers.postgres.hooks.postgres import PostgresHook

        hook = PostgresHook(postgres_conn_id=connection.conn_id)
        login, password, port = hook.get_iam_token(connection)
    given = {
        "host": connection.host,
        "user": login,
        "password": password,
        "dbname": connection.schema,
        "port": port,
    }
    given |= {name: value for name, value in extra.items() if name not in IGNORED_EXTRA}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def brief_connection(connection: Any) -> Iterator[psycopg.Connection[TupleRow]]:
    """Connect for a moment: nothing takes longer than a few seconds, whatever the server does.

    Args:
        connection: of Airflow.

    Raises:
        psycopg.Error: the server is away, busy, or refuses.
    """
    limits = {
        "connect_timeout": _SECONDS,
        "tcp_user_timeout": 1000 * _SECONDS,
        "application_name": "stage4-events",
    }
    with psycopg.connect(**parameters_of(connection) | limits, autocommit=True) as connected:
        connected.execute(IN_UTC)
        connected.execute(
            "SELECT set_config('statement_timeout', %s, false),"
            " set_config('lock_timeout', %s, false)",
            [f"{_SECONDS}s", f"{_SECONDS - 1}s"],
        )
        yield connected
