"""The connections to the results database that the endpoints share."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
import structlog
from airflow.models.connection import (  # noqa: TID251 - the API server has the metadata database
    Connection,
)
from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row
from psycopg.sql import SQL, Composed
from psycopg_pool import AsyncConnectionPool
from starlette.concurrency import run_in_threadpool

from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import Database
from stage4.database.direct import IN_UTC, PATIENCE, parameters_of

Row = dict[str, Any]
Reader = AsyncConnection[Row]
Statement = LiteralString | SQL | Composed
Values = Sequence[Any] | Mapping[str, Any]
_Answer = TypeVar("_Answer")

# A request that gets no connection in this time is told to come back.
_WAIT_SECONDS = 2.0
_MOST_WAITING = 100
_CONNECT_SECONDS = 5

log = structlog.get_logger()


def airflow_connection(conn_id: str) -> Connection:
    """Look an Airflow connection up, wherever this Airflow keeps it.

    Raises:
        AirflowNotFoundException: there is none of that name.
    """
    return Connection.get_connection_from_secrets(conn_id)


class ReadPool:
    """A pool of read-only connections, each made as the Airflow connection says at that moment."""

    def __init__(self) -> None:
        where = deployment()
        self._pool: AsyncConnectionPool[Reader] = AsyncConnectionPool(
            kwargs=_parameters,
            configure=_configure,
            check=AsyncConnectionPool.check_connection,
            min_size=1,
            max_size=where.api_connections,
            timeout=_WAIT_SECONDS,
            max_waiting=_MOST_WAITING,
            open=False,
            name="stage4-api",
        )

    async def open(self) -> None:
        """Begin to connect; a database that is down does not keep the API server from starting."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """Borrow a connection in autocommit mode.

        Raises:
            psycopg.OperationalError: the database cannot be reached, or all connections are busy
                for too long.
        """
        async with self._pool.connection() as connection:
            yield connection


async def read_rows(connection: Reader, statement: Statement, values: Values = ()) -> list[Row]:
    """Execute a statement and read all that it finds.

    Args:
        connection: to read from.
        statement: with placeholders for `values`.
        values: of the placeholders.
    """
    cursor = await connection.execute(statement, values)
    return await cursor.fetchall()


async def read_row(connection: Reader, statement: Statement, values: Values = ()) -> Row | None:
    """`read_rows` of a statement that finds one row or none."""
    cursor = await connection.execute(statement, values)
    return await cursor.fetchone()


async def _parameters() -> dict[str, Any]:
    return await run_in_threadpool(connection_parameters, deployment().postgres_conn_id)


def connection_parameters(conn_id: str) -> dict[str, Any]:
    """Read what psycopg needs from an Airflow connection, as PostgresHook does."""
    own = {
        "autocommit": True,
        "row_factory": dict_row,
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": "stage4-api",
        # A statement names its run's tables, so that few are ever repeated; and PgBouncer.
        "prepare_threshold": None,
    }
    return PATIENCE | parameters_of(airflow_connection(conn_id)) | own


async def _configure(connection: AsyncConnection[Any]) -> None:
    """Read times in UTC, limit what a statement may take, and let none change anything."""
    await connection.execute(IN_UTC)
    milliseconds = round(deployment().api_statement_seconds * 1000)
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, false),"
        " set_config('default_transaction_read_only', 'on', false),"
        # Compiling costs more than these statements.
        " set_config('jit', 'off', false)",
        [str(milliseconds)],
    )


def connected(act: Callable[[Database], _Answer]) -> _Answer:
    """Let a function have a connection in autocommit mode that may change something.

    Raises:
        AirflowNotFoundException: there is no such Airflow connection.
        psycopg.Error: the database cannot be reached, or refuses.
    """
    parameters = connection_parameters(deployment().postgres_conn_id)
    with psycopg.connect(**parameters | {"row_factory": tuple_row}) as connection:
        connection.execute(IN_UTC)
        return act(connection)
