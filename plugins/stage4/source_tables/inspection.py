"""What a listed table is, and what this role may do with it: looked at before a run begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from psycopg.sql import SQL, Composed, Identifier, Literal

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.source_tables import Relation, SourceTable
from stage4.database.connection import Database
from stage4.source_tables.choice import Chosen

ARRAYS = ("_float4", "_float8")
VECTORS = ("vector", "halfvec", *ARRAYS)
_TEXTS = ("text", "varchar")
_JSON = ("json", "jsonb")
# The names are compared as values, never read as SQL; a schema that is closed to the role is seen.
_RELATION: LiteralString = """
SELECT tables.oid, has_schema_privilege(tables.relnamespace, 'USAGE')
FROM pg_class tables JOIN pg_namespace schemas ON schemas.oid = tables.relnamespace
WHERE schemas.nspname = %s AND tables.relname = %s AND tables.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_COLUMNS: LiteralString = """
SELECT columns.attname, types.typname, greatest(columns.atttypmod, 0),
    has_column_privilege(columns.attrelid, columns.attnum, 'SELECT'),
    has_column_privilege(columns.attrelid, columns.attnum, 'UPDATE')
FROM pg_attribute columns JOIN pg_type types ON types.oid = columns.atttypid
WHERE columns.attrelid = %s AND columns.attnum > 0 AND NOT columns.attisdropped
"""
_MAY: LiteralString = "SELECT has_table_privilege(%(table)s::oid, %(right)s)"
_MAY_STAGE: LiteralString = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
_MAY_CREATE: LiteralString = """
SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s
"""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        type: name in `pg_type`.
        modifier: of the type, of a vector its dimension; 0: none.
        readable: whether this role may select it.
        writable: whether this role may update it.
    """

    type: str
    modifier: int
    readable: bool
    writable: bool


def relation(table: Relation) -> Identifier:
    """Quote a table's name."""
    return Identifier(*table)


def find_columns(connection: Database, table: Relation) -> dict[str, Column] | None:
    """Read a table's columns; None: there is no such table.

    Raises:
        BadInputError: this role may not use its schema.
    """
    found = connection.execute(_RELATION, table).fetchone()
    if found is None:
        return None
    number, open_to_us = found
    if not open_to_us:
        role, schema = connection.info.user, Identifier(table[0]).as_string()
        raise BadInputError(
            f"role {role} may not use the schema of {'.'.join(table)}: run there, as its owner, "
            f"GRANT USAGE ON SCHEMA {schema} TO {Identifier(role).as_string()};"
        )
    rows = connection.execute(_COLUMNS, [number]).fetchall()
    return {name: Column(*rest) for name, *rest in rows}


def inspect_table(connection: Database, chosen: Chosen) -> dict[str, Column]:
    """Check a listed table: columns, their types, and this role's rights.

    Raises:
        BadInputError: naming everything that is wrong, with the grants that are missing.
    """
    table = chosen.table
    columns = find_columns(connection, table.table)
    where = f"table `{chosen.name}` ({table.shown})"
    if columns is None:
        raise BadInputError(
            f"{where} does not exist in database {connection.info.dbname}: create it, or correct "
            "STAGE4_SOURCE_TABLES"
        )
    problems = [*_wrong_columns(table, columns), *_missing_grants(connection, table, columns)]
    if table.cluster_id is not None:
        problems += [*_unwritable(connection, table.clusters)]
    if problems:
        raise BadInputError(f"{where} cannot be used: {'; '.join(problems)}")
    return columns


def of_level(table: SourceTable) -> Composed:
    """The condition on the rows of a table with the alias `rows`."""
    if table.level_column is None:
        return Composed([SQL("true")])
    names = [table.level, LEVELS[table.level].cluster_type]
    return SQL("rows.{}::text IN ({})").format(
        Identifier(table.level_column), SQL(", ").join(map(Literal, names))
    )


def _wrong_columns(table: SourceTable, columns: dict[str, Column]) -> Iterator[str]:
    wanted = table.columns
    accepted = {"vector": VECTORS, "metadata": _JSON}
    if table.cluster_id is not None:
        wanted |= {"cluster_id": table.cluster_id}
        accepted |= {"cluster_id": _TEXTS}
    for part, name in wanted.items():
        types = accepted.get(part)
        if name not in columns:
            yield f"there is no column {name} ({part})"
        elif types is not None and columns[name].type not in types:
            yield f"column {name} ({part}) is {columns[name].type}, none of {', '.join(types)}"


def _missing_grants(
    connection: Database, table: SourceTable, columns: dict[str, Column]
) -> Iterator[str]:
    written = [] if table.cluster_id is None else [table.cluster_id]
    read = [*dict.fromkeys((*table.columns.values(), *written))]
    closed = [name for name in read if name in columns and not columns[name].readable]
    locked = [name for name in written if name in columns and not columns[name].writable]
    for right, names in (("SELECT", closed), ("UPDATE", locked)):
        if names:
            grant = SQL("GRANT {} ({}) ON {} TO {};").format(
                SQL(right),
                SQL(", ").join(map(Identifier, names)),
                relation(table.table),
                Identifier(connection.info.user),
            )
            yield f"role {connection.info.user} lacks a right: {grant.as_string()}"


def _unwritable(connection: Database, clusters: Relation | None) -> Iterator[str]:
    """What keeps this role from writing back, but for the table's own column."""
    role = Identifier(connection.info.user)
    if connection.execute(_MAY_STAGE).fetchone() != (True,):
        database = Identifier(connection.info.dbname)
        grant = SQL("GRANT TEMPORARY ON DATABASE {} TO {};").format(database, role)
        yield f"role {connection.info.user} lacks a right: {grant.as_string()}"
    if clusters is None:
        return
    columns = find_columns(connection, clusters)
    if columns is None and connection.execute(_MAY_CREATE, clusters[:1]).fetchone() != (True,):
        grant = SQL("GRANT CREATE ON SCHEMA {} TO {};").format(Identifier(clusters[0]), role)
        yield (
            f"table {'.'.join(clusters)} of the clusters does not exist, and role "
            f"{connection.info.user} may not create it (docs/DEPLOYMENT.md): {grant.as_string()}"
        )
    rights = () if columns is None else _rights(connection, clusters)
    if missing := [name for name, there in rights if not there]:
        grant = SQL("GRANT {} ON {} TO {};").format(
            SQL(", ").join(map(SQL, missing)), relation(clusters), role
        )
        yield f"role {connection.info.user} lacks a right: {grant.as_string()}"


def _rights(connection: Database, table: Relation) -> list[tuple[LiteralString, bool]]:
    number, _ = connection.execute(_RELATION, table).fetchone() or (None, False)
    values = {"table": number}
    return [
        (right, connection.execute(_MAY, values | {"right": right}).fetchone() == (True,))
        for right in ("SELECT", "INSERT", "UPDATE")
    ]
