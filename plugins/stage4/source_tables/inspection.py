"""What a listed table is, and what this role may do with it: looked at before a run begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from psycopg.sql import SQL, Composed, Identifier, Literal

from clustering_tasks.corrections.correction import LONGEST_LABEL
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
    has_column_privilege(columns.attrelid, columns.attnum, 'UPDATE'),
    types.typcategory, columns.attgenerated = '' AND columns.attidentity <> 'a' AND (
        pg_column_is_updatable(columns.attrelid, columns.attnum, true)
        OR EXISTS ( -- INSTEAD OF UPDATE, without one for DELETE, which the function asks for
            SELECT FROM pg_trigger WHERE tgrelid = columns.attrelid AND tgtype & 80 = 80
        )
    )
FROM pg_attribute columns JOIN pg_type types ON types.oid = columns.atttypid
WHERE columns.attrelid = %s AND columns.attnum > 0 AND NOT columns.attisdropped
"""
_MAY: LiteralString = "SELECT has_table_privilege(%(table)s::oid, %(right)s)"
_MAY_STAGE: LiteralString = "SELECT has_database_privilege(current_database(), 'TEMPORARY')"
_MAY_CREATE: LiteralString = """
SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s
"""
_UNIQUE: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_index indexes
    JOIN pg_class tables ON tables.oid = indexes.indrelid
    JOIN pg_namespace schemas ON schemas.oid = tables.relnamespace
    JOIN pg_attribute columns ON columns.attrelid = tables.oid AND columns.attnum = indkey[0]
    WHERE schemas.nspname = %s AND tables.relname = %s AND columns.attname = 'cluster_id'
    AND indisunique AND indimmediate AND indisvalid AND indnkeyatts = 1 AND indpred IS NULL
)
"""
# A read-only transaction of this task tells nothing of the role, so its default is asked for.
_READS_ONLY: LiteralString = """
SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean
"""
_NAMING = ("S", "E")  # categories of types that hold names
_LENGTH_WORD = 4  # bytes that `varchar`'s modifier counts beside the characters
# A cluster's id is its type, a line and 12 digits.
_ID_CHARACTERS = max(len(level.cluster_type) for level in LEVELS.values()) + 13
CLUSTER_COLUMNS = (
    *("cluster_id", "source", "level", "label", "size", "keywords", "centroid", "job_id"),
    *("updated_at", "ended_at"),
)
_TYPES = {"keywords": ("jsonb", *_TEXTS), "centroid": VECTORS}  # `json` cannot be compared
# Labels of people have 200 characters.
_LEAST_CHARACTERS = {"cluster_id": _ID_CHARACTERS, "label": LONGEST_LABEL}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        type: name in `pg_type`.
        modifier: of the type, of a vector its dimension; 0: none.
        readable: whether this role may select it.
        writable: whether this role may update it.
        category: of the type in `pg_type`: S for texts, E for enumerations.
        updatable: whether anybody can: no column of a view that joins, and no generated one.
    """

    type: str
    modifier: int
    readable: bool
    writable: bool
    category: str
    updatable: bool

    @property
    def characters(self) -> int | None:
        """The most that a text has, None for any number."""
        return self.modifier - _LENGTH_WORD if self.type == "varchar" and self.modifier else None


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
        problems += [*_unupdatable(table, columns), *_read_only(connection)]
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


def wrong_clusters(
    table: Relation, columns: dict[str, Column], dimension: int | None = None
) -> Iterator[str]:
    """Name what is wrong with the columns of a table of clusters.

    Args:
        table: of the clusters.
        columns: that it has.
        dimension: of the centroids; None: unknown.
    """
    where = f"table {'.'.join(table)}, which gets the clusters,"
    if missing := [name for name in CLUSTER_COLUMNS if name not in columns]:
        yield (
            f"{where} has no column {', '.join(missing)}: add them (docs/DEPLOYMENT.md), or name "
            "another table"
        )
    for name, types in _TYPES.items():
        if name in columns and columns[name].type not in types:
            yield f"{where}: its {name} is {columns[name].type}, none of {', '.join(types)}"
    for name, least in _LEAST_CHARACTERS.items():
        most = columns[name].characters if name in columns else None
        if most is not None and most < least:
            yield f"{where}: its {name} takes {most} characters, and {least} are needed"
    centroid = columns.get("centroid")
    if dimension is None or centroid is None or centroid.type in ARRAYS:
        return
    if centroid.modifier not in (0, dimension):
        yield (
            f"{where}: its centroid takes {centroid.modifier} dimensions, and the vectors have "
            f"{dimension}"
        )


def _wrong_columns(table: SourceTable, columns: dict[str, Column]) -> Iterator[str]:
    wanted = table.columns
    accepted: dict[str, tuple[str, ...]] = {"vector": VECTORS, "metadata": _JSON}
    if table.cluster_id is not None:
        wanted |= {"cluster_id": table.cluster_id}
        accepted |= {"cluster_id": _TEXTS}
    for part, name in wanted.items():
        types = accepted.get(part)
        if name not in columns:
            yield f"there is no column {name} ({part})"
        elif types is not None and columns[name].type not in types:
            yield f"column {name} ({part}) is {columns[name].type}, none of {', '.join(types)}"
        elif part == "level_column" and columns[name].category not in _NAMING:
            yield (
                f"column {name} ({part}) is {columns[name].type}, which holds no level's name, as "
                f"{table.level} or {LEVELS[table.level].cluster_type}"
            )


def _unupdatable(table: SourceTable, columns: dict[str, Column]) -> Iterator[str]:
    """What keeps anybody from writing to the table's own column."""
    name = str(table.cluster_id)
    if (column := columns.get(name)) is None:
        return
    if not column.updatable:
        yield (
            f"column {name} (cluster_id) cannot be updated: list a table, or a view of one table "
            "that PostgreSQL can update, whose column is no generated one; or set `cluster_id` to "
            "null, and nothing is written back"
        )
    if column.characters is not None and column.characters < _ID_CHARACTERS:
        yield (
            f"column {name} (cluster_id) takes {column.characters} characters, and an id has up to "
            f"{_ID_CHARACTERS}: make it text"
        )


def _read_only(connection: Database) -> Iterator[str]:
    """What keeps this role from writing anything at all."""
    recovers, reads = connection.execute(_READS_ONLY).fetchone() or (False, False)
    if recovers:
        yield (
            "the server is a standby, which only reads: name the primary in the Airflow connection"
        )
    elif reads:
        role = Identifier(connection.info.user).as_string()
        yield (
            f"role {connection.info.user} only reads (default_transaction_read_only): run there "
            f"ALTER ROLE {role} SET default_transaction_read_only = off;"
        )


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
    if columns is not None:
        yield from wrong_clusters(clusters, columns)
        if "cluster_id" in columns and not _is_unique(connection, clusters):
            yield (
                f"{'.'.join(clusters)} is no table with a key of the clusters' ids: run there, as "
                f"its owner, ALTER TABLE {relation(clusters).as_string()} ADD PRIMARY KEY "
                "(cluster_id);"
            )
    rights = () if columns is None else _rights(connection, clusters)
    if missing := [name for name, there in rights if not there]:
        grant = SQL("GRANT {} ON {} TO {};").format(
            SQL(", ").join(map(SQL, missing)), relation(clusters), role
        )
        yield f"role {connection.info.user} lacks a right: {grant.as_string()}"


def _is_unique(connection: Database, table: Relation) -> bool:
    """Whether a table has an index that `ON CONFLICT (cluster_id)` can use."""
    return connection.execute(_UNIQUE, table).fetchone() == (True,)


def _rights(connection: Database, table: Relation) -> list[tuple[LiteralString, bool]]:
    number, _ = connection.execute(_RELATION, table).fetchone() or (None, False)
    values = {"table": number}
    return [
        (right, connection.execute(_MAY, values | {"right": right}).fetchone() == (True,))
        for right in ("SELECT", "INSERT", "UPDATE")
    ]
