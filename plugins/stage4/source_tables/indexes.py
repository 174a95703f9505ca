"""HNSW indexes (cosine) of a listed table's vectors and of its clusters' centroids.

They are built beside readers and writers (`CONCURRENTLY`), and only where the column has none.
"""

import hashlib
from dataclasses import dataclass
from typing import LiteralString

import structlog
from psycopg.sql import SQL, Composable, Identifier, Literal

from clustering_tasks.settings.source_tables import Relation, SourceTable
from stage4.database.connection import Database
from stage4.source_tables.inspection import find_columns, relation

_LONGEST_NAME = 63  # bytes; PostgreSQL cuts longer ones
# pgvector's limits of an HNSW index.
_MOST_DIMENSIONS = {"vector": 2000, "halfvec": 4000}
_FOUND: LiteralString = """
SELECT indexes.relname, found.indisvalid
FROM pg_index found
JOIN pg_class indexes ON indexes.oid = found.indexrelid
JOIN pg_class tables ON tables.oid = found.indrelid
JOIN pg_namespace schemas ON schemas.oid = tables.relnamespace
JOIN pg_opclass classes ON classes.oid = found.indclass[0]
WHERE schemas.nspname = %(schema)s AND tables.relname = %(table)s AND (
    classes.opcname = %(operators)s AND pg_get_indexdef(found.indexrelid, 1, true) IN (
        quote_ident(%(column)s),
        format('(%%I::%%s(%%s))', %(column)s::text, %(kind)s::text, %(dimension)s::text)
    ) OR indexes.relname = %(name)s
)
"""
_CREATE: LiteralString = """
CREATE INDEX CONCURRENTLY {name} ON {table} USING hnsw ({column} {operators})
"""
_DROP: LiteralString = "DROP INDEX CONCURRENTLY {name}"

log = structlog.get_logger()


@dataclass(frozen=True)
class _Index:
    """An HNSW index that a table is to have.

    Attributes:
        table: schema and name.
        column: that is indexed.
        kind: type of the column.
        dimension: of its vectors.
        has_dimension: whether the type has it; else the column is cast, without which there is no
            index.
    """

    table: Relation
    column: str
    kind: str
    dimension: int
    has_dimension: bool

    @property
    def operators(self) -> str:
        return f"{self.kind}_cosine_ops"

    @property
    def name(self) -> str:
        """Of the table and the column; a long one is cut, and a digest keeps it apart."""
        name = f"{self.table[1]}_{self.column}_hnsw_cosine".encode()
        if len(name) <= _LONGEST_NAME:
            return name.decode()
        digest = hashlib.sha256(name).hexdigest()[:8]
        return f"{name[: _LONGEST_NAME - 9].decode(errors='ignore')}_{digest}"

    @property
    def expression(self) -> Composable:
        if self.has_dimension:
            return Identifier(self.column)
        return SQL("({}::{}({}))").format(
            Identifier(self.column), Identifier(self.kind), Literal(self.dimension)
        )


def ensure_indexes(connection: Database, table: SourceTable, dimension: int) -> list[str]:
    """Create the indexes that a listing asks for and that are missing; returns their names.

    Args:
        connection: in autocommit mode, outside a transaction.
        table: the listing.
        dimension: of the vectors.
    """
    if not table.indexes:
        return []
    wanted = [(table.table, table.vector)]
    wanted += [(table.clusters, "centroid")] if table.clusters is not None else []
    indexes = [_index(connection, where, column, dimension) for where, column in wanted]
    missing = [index for index in indexes if index and not _is_there(connection, index)]
    for index in missing:
        connection.execute(
            SQL(_CREATE).format(
                name=Identifier(index.name),
                table=relation(index.table),
                column=index.expression,
                operators=Identifier(index.operators),
            )
        )
    return [index.name for index in missing]


def _index(connection: Database, table: Relation, column: str, dimension: int) -> _Index | None:
    """Plan an index; None where pgvector has none for the column."""
    found = (find_columns(connection, table) or {}).get(column)
    if found is not None and dimension <= _MOST_DIMENSIONS.get(found.type, 0):
        return _Index(table, column, found.type, dimension, found.modifier > 0)
    log.warning(
        "no HNSW index: pgvector has them for `vector` of up to 2,000 dimensions and for `halfvec`"
        " of up to 4,000",
        table=".".join(table),
        column=column,
        dimension=dimension,
    )
    return None


def _is_there(connection: Database, index: _Index) -> bool:
    """Whether a table has such an index; one whose build was broken off is dropped."""
    values = {
        "schema": index.table[0],
        "table": index.table[1],
        "column": index.column,
        "kind": index.kind,
        "dimension": index.dimension,
        "operators": index.operators,
        "name": index.name,
    }
    names = connection.execute(_FOUND, values).fetchall()
    for name, valid in names:
        if not valid:
            connection.execute(SQL(_DROP).format(name=Identifier(index.table[0], name)))
    return any(valid for _, valid in names)
