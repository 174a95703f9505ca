"""How two runs map to each other."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg.rows import args_row

from clustering_tasks.settings.deployment import deployment
from stage4.api.pool import Reader, Row, read_rows
from stage4.api.queries.differences import Change, Kind, Summary, page_query, summary_query
from stage4.api.queries.runs import RunKey
from stage4.database.changes import IdChange, changes_query

_TIMES_AS_LONG = 6


def sort_key(row: Row) -> tuple[int, str, bool]:
    """Take from a row what a cursor holds."""
    return row["size"], row["cluster_id"], row["kind"] == "vanished"


async def read_changes(
    connection: Reader,
    base: RunKey,
    other: RunKey,
    *,
    kind: Kind | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """Read a page of what became of the clusters, largest first.

    Args:
        connection: to read from.
        base: the earlier run.
        other: the later run, of the same level.
        kind: only those of it; None: all.
        after: `sort_key` of the row before the page; None: from the start.
        limit: most rows.
    """
    keys = ("size", "cluster_id", "vanished")
    values = {"kind": kind, "limit": limit} | dict(zip(keys, after or [None] * 3, strict=True))
    async with _patient(connection), connection.cursor(row_factory=args_row(Change)) as cursor:
        await cursor.execute(page_query(base.load_id, other.load_id), values)
        return [vars(change) for change in await cursor.fetchall()]


async def read_id_changes(
    connection: Reader,
    base: RunKey,
    other: RunKey,
    *,
    change: IdChange | None,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """Read a page of what became of the ids, sorted by them.

    Args:
        connection: to read from.
        base: a run.
        other: another run of the same level.
        change: only those of it; None: all.
        after: the id of the row before the page, alone; None: from the start.
        limit: most rows.
    """
    values = {"change": change, "last": after[0] if after else None, "limit": limit}
    async with _patient(connection):
        return await read_rows(connection, changes_query(base.load_id, other.load_id), values)


async def read_summary(connection: Reader, base: RunKey, other: RunKey) -> Row:
    """Count what became of all clusters and items."""
    async with _patient(connection), connection.cursor(row_factory=args_row(Summary)) as cursor:
        await cursor.execute(summary_query(base.load_id, other.load_id))
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101 - it counts: there is always one row
    return vars(found)


@asynccontextmanager
async def _patient(connection: Reader) -> AsyncIterator[None]:
    """Give a statement more time than others have: two runs of a million members take 3 s."""
    milliseconds = round(_TIMES_AS_LONG * 1000 * deployment().api_statement_seconds)
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)]
        )
        yield
