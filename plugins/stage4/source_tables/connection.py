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
        (errors.ReadOnlySqlTransaction,),
        Meaning(
            True,
            "The role or the server only reads: name a server that writes in the Airflow "
            "connection, and reset the role's `default_transaction_read_only`.",
        ),
    ),
    (
        (
            errors.GeneratedAlways,
            errors.WrongObjectType,
            errors.ObjectNotInPrerequisiteState,
            errors.InvalidColumnReference,
        ),
        Meaning(
            True,
            "What is listed cannot be written so: list a table, or a view that can be updated, "
            "with a plain column `cluster_id`, and for the clusters a table with PRIMARY KEY "
            "(cluster_id) (docs/DEPLOYMENT.md). Nothing was changed.",
        ),
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

# Ids are compared as text, which may not depend on the settings of the role or the server.
_FORMS = """
SELECT set_config('extra_float_digits', '1', false), set_config('datestyle', 'ISO, YMD', false),
    set_config('intervalstyle', 'postgres', false), set_config('bytea_output', 'hex', false)
"""


@contextmanager
def table_database(table: SourceTable) -> Iterator[Database]:
    """Connect to a listed table's database, in autocommit mode.

    Raises:
        AirflowFailException: no such Airflow connection, or an error that another try cannot mend.
        AirflowException: an error that may pass, such as a lost connection.
    """
    with database(table.conn_id, _MEANINGS) as connection:
        connection.execute(_FORMS)
        yield connection
