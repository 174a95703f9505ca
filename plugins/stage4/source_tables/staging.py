"""Filling temporary tables, which bring many rows into a database in one statement."""

from typing import IO

from psycopg.sql import SQL, Identifier

from stage4.database.connection import Database

_CHUNK = 1 << 20


def fill(connection: Database, name: str, rows: IO[bytes]) -> None:
    """Stream rows in COPY's text format into a temporary table, and analyse it.

    Args:
        connection: inside the transaction that made the table.
        name: of the table.
        rows: a file, at its beginning.
    """
    table = Identifier("pg_temp", name)
    with connection.cursor().copy(SQL("COPY {} FROM STDIN").format(table)) as copy:
        while chunk := rows.read(_CHUNK):
            copy.write(chunk)
    connection.execute(SQL("ANALYZE {}").format(table))
