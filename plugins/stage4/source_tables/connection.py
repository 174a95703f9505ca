"""Connections to the databases of listed tables, and what their errors mean for a task."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from clustering_tasks.settings.source_tables import SourceTable
from stage4.database.connection import Database, Meaning, Meanings, database

_MEANINGS: Meanings = (
    (
        (
            errors.InvalidSchemaName,
            errors.UndefinedTable,
            errors.UndefinedColumn,
            errors.UndefinedFunction,
            errors.UndefinedObject,
        ),
        Meaning(
            True,
            "The table, a column or the extension `vector` is gone: restore it, or correct "
            "STAGE4_SOURCE_TABLES.",
        ),
    ),
    (
        (errors.InsufficientPrivilege,),
        Meaning(True, "Give the connection's role the grants of docs/DEPLOYMENT.md."),
    ),
    (
        (psycopg.DataError, psycopg.IntegrityError),
        Meaning(
            True,
            "A value does not fit: compare the table with STAGE4_SOURCE_TABLES and "
            "docs/DEPLOYMENT.md. Nothing was changed.",
        ),
    ),
    (
        (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout),
        Meaning(False, "Nothing was changed; trying again may help."),
    ),
)


@contextmanager
def table_database(table: SourceTable) -> Iterator[Database]:
    """Connect to a listed table's database, in autocommit mode.

    Raises:
        AirflowFailException: no such Airflow connection, or an error that another try cannot mend.
        AirflowException: an error that may pass, such as a lost connection.
    """
    with database(table.conn_id, _MEANINGS) as connection:
        yield connection
