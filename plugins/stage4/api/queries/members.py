"""Members: those of a cluster, and where an item or a document's items have come to."""

from collections.abc import Sequence
from typing import Any, Literal

from psycopg.sql import SQL, Composed

from clustering_tasks.contract.columns import MEMBERS
from stage4.api.pool import Reader, Row, read_row, read_rows
from stage4.api.queries.runs import RunKey
from stage4.database import schema

Order = Literal["probability", "similarity"]

_COLUMNS = schema.columns(MEMBERS)
_BEHIND = (
    "CASE WHEN %(key)s::float8 IS NULL THEN {column} IS NULL AND vector_id > %(last)s"
    " ELSE {column} IS NULL OR {column} < %(key)s::float8"
    " OR {column} = %(key)s::float8 AND vector_id > %(last)s END"
)
_ORDERS: dict[Order, SQL] = {"probability": SQL("probability"), "similarity": SQL("similarity")}


def sort_key(row: Row, order: Order) -> tuple[float | None, str]:
    """Take from a row what a cursor holds."""
    return row[order], row["vector_id"]


async def list_members(
    connection: Reader,
    run: RunKey,
    cluster_id: str,
    *,
    order: Order,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """Read a page of a cluster's members, the surest or the most central first.

    Args:
        connection: to read from.
        run: that the cluster is of.
        cluster_id: of the cluster.
        order: by membership probability or by cosine to the centroid, descending.
        after: `sort_key` of the row before the page; None: from the start.
        limit: most rows.
    """
    values: dict[str, Any] = {"cluster_id": cluster_id, "limit": limit}
    behind = SQL("")
    if after is not None:
        behind = SQL(f"AND ({_BEHIND})")
        values |= {"key": after[0], "last": after[1]}
    statement = SQL(
        "SELECT {columns} FROM {table} WHERE cluster_id = %(cluster_id)s {behind}"
        " ORDER BY {column} DESC NULLS LAST, vector_id LIMIT %(limit)s"
    )
    composed = statement.format(
        columns=_COLUMNS,
        table=schema.partition("members", run.load_id),
        behind=behind.format(column=_ORDERS[order]),
        column=_ORDERS[order],
    )
    return await read_rows(connection, composed, values)


async def read_item(connection: Reader, run: RunKey, source_id: str) -> Row | None:
    """Read the row of an item, by Stage 3's id, and how many `vectors` it has.

    Of several vectors the surest member of a cluster stands for the item, then the first by id.
    """
    statement = SQL(
        "SELECT {columns}, count(*) OVER () AS vectors FROM {table}"
        " WHERE source_id = %(source_id)s"
        " ORDER BY cluster_id IS NULL, probability DESC NULLS LAST, vector_id LIMIT 1"
    )
    return await read_row(connection, _of_run(statement, run), {"source_id": source_id})


async def count_of_document(connection: Reader, run: RunKey, document_id: str) -> list[Row]:
    """Count a document's items by status and cluster: `status`, `cluster_id`, `items`."""
    statement = SQL(
        "SELECT status, cluster_id, count(*) AS items FROM {table}"
        " WHERE document_id = %(document_id)s GROUP BY status, cluster_id"
        " ORDER BY items DESC, cluster_id"
    )
    return await read_rows(connection, _of_run(statement, run), {"document_id": document_id})


def _of_run(statement: SQL, run: RunKey) -> Composed:
    return statement.format(columns=_COLUMNS, table=schema.partition("members", run.load_id))
