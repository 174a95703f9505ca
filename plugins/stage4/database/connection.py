"""The connection to the results database, and what its errors mean for a task."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import psycopg
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowNotFoundException
from psycopg import errors
from psycopg.rows import TupleRow, tuple_row

from clustering_tasks.settings.deployment import deployment
from stage4.database.direct import IN_UTC, PATIENCE, SERVERS_PATIENCE

Database = psycopg.Connection[TupleRow]

_COPY_PLACE = re.compile(r"COPY \w+, line \d+(?:, column \w+)?")
_MESSAGE_LENGTH = 300  # an invalid vector is quoted whole


@dataclass(frozen=True)
class Meaning:
    """What an error means: whether another try is in vain, and what to do."""

    fatal: bool
    advice: str


Meanings = tuple[tuple[tuple[type[psycopg.Error], ...], Meaning], ...]

# What a statement asks for is wrong: a value, a constraint, a right, an object; or the session only
# reads. https://www.postgresql.org/docs/current/errcodes-appendix.html
_PERMANENT = ("0A", "22", "23", "25006", "42")

MEANINGS: Meanings = (
    (
        (
            errors.InvalidSchemaName,
            errors.UndefinedTable,
            errors.UndefinedColumn,
            errors.UndefinedFunction,
            errors.UndefinedObject,
        ),
        Meaning(True, "The schema `stage4` is missing or old: run `python -m stage4.setup`."),
    ),
    (
        (errors.InsufficientPrivilege,),
        Meaning(
            True,
            "Runs are loaded by the role that ran `python -m stage4.setup`, because only a table's "
            "owner may attach partitions to it: use that role, or make this one a member of it.",
        ),
    ),
    (
        (psycopg.DataError, psycopg.IntegrityError),
        Meaning(
            True,
            "A file of `label` breaks its contract, and nothing was loaded: clear `label`. If the "
            "message stays, it is a defect of `label`.",
        ),
    ),
    (
        (errors.DiskFull,),
        Meaning(False, "The database's disk is full: make room, for example by dropping old runs."),
    ),
    (
        (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout),
        Meaning(False, "Nothing was changed; trying again may help."),
    ),
)


@contextmanager
def database(conn_id: str | None = None, meanings: Meanings = MEANINGS) -> Iterator[Database]:
    """Connect in autocommit mode, so that `connection.transaction()` is what it says.

    Args:
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.
        meanings: of errors; default: those of the results database.

    Raises:
        AirflowFailException: no such Airflow connection, or an error that another try cannot mend.
        AirflowException: an error that may pass, such as a lost connection.
    """
    conn_id = conn_id or deployment().postgres_conn_id
    try:
        with _connect(conn_id) as connection:
            yield connection
    except psycopg.Error as error:
        # `from None`: the original quotes the rows themselves, and logs are no place for them.
        raise _as_airflow_error(error, conn_id, meanings) from None


def _connect(conn_id: str) -> Database:
    try:
        hook = PostgresHook(postgres_conn_id=conn_id)
        hook.connection.extra = json.dumps(PATIENCE | hook.connection.extra_dejson)
        connection = cast("Database", hook.get_conn())  # see stage4.versions
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"Airflow has no connection `{conn_id}`: define it (`airflow connections add`, or the "
            f"variable AIRFLOW_CONN_{conn_id.upper()}), or name another in STAGE4_POSTGRES_CONN_ID"
            " (of a table that runs are read from: in STAGE4_SOURCE_TABLES)"
        ) from None
    connection.row_factory = tuple_row  # the Airflow connection's extra may choose another
    connection.autocommit = True
    connection.execute(IN_UTC)
    connection.execute(SERVERS_PATIENCE)
    return connection


def _as_airflow_error(error: psycopg.Error, conn_id: str, meanings: Meanings) -> AirflowException:
    kind = AirflowFailException if _is_permanent(error) else AirflowException
    for types, meaning in meanings:
        if isinstance(error, types):
            kind = AirflowFailException if meaning.fatal else kind
            return kind(f"database of `{conn_id}`: {_message(error)}. {meaning.advice}")
    return kind(f"database of `{conn_id}`: {_message(error)} ({error.sqlstate})")


def _is_permanent(error: psycopg.Error) -> bool:
    """Whether the same statement fails again, by the class of the error's code."""
    return (error.sqlstate or "").startswith(_PERMANENT)


def _message(error: psycopg.Error) -> str:
    """Say what went wrong and where, but not the data: a detail may quote whole rows."""
    diagnostic = error.diag
    parts = [diagnostic.message_primary or str(error).strip()]
    if isinstance(error, errors.UniqueViolation | errors.ForeignKeyViolation):
        parts.append(diagnostic.message_detail or "")  # the key alone
    if place := _COPY_PLACE.search(diagnostic.context or ""):
        parts.append(f"in {place[0]}")
    return "; ".join(part.rstrip(".")[:_MESSAGE_LENGTH] for part in parts if part)
