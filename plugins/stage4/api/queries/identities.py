"""What became of cluster ids: which are alive, where the others went, and their history."""

from collections.abc import Sequence
from typing import Any

from stage4.api.pool import Reader, Row, read_row, read_rows

_IDENTITY = """
SELECT cluster_id, level, state, born_job, born_at, last_seen_job, last_seen_at, successors, version
FROM stage4.identities WHERE cluster_id = %s
"""
# UNION, not UNION ALL: what was seen once is not followed again.
_ENDS = """
WITH RECURSIVE followed AS (
    SELECT cluster_id, state, successors FROM stage4.identities WHERE cluster_id = %s
    UNION
    SELECT next.cluster_id, next.state, next.successors
    FROM followed CROSS JOIN jsonb_array_elements_text(followed.successors) AS successor (name)
    JOIN stage4.identities next ON next.cluster_id = successor.name
)
SELECT cluster_id, state, successors = '[]' AS is_end FROM followed ORDER BY cluster_id
"""
_LINEAGE = """
SELECT job_id, load_id, as_of, change, size, related, withdrawn FROM stage4.lineage
WHERE cluster_id = %(cluster_id)s
AND (%(as_of)s::timestamptz IS NULL OR (as_of, job_id) < (%(as_of)s::timestamptz, %(job_id)s))
ORDER BY as_of DESC, job_id DESC LIMIT %(limit)s
"""


async def read_identity(connection: Reader, cluster_id: str) -> Row | None:
    """Read what an id is; None: it was never published."""
    return await read_row(connection, _IDENTITY, [cluster_id])


async def follow(connection: Reader, cluster_id: str) -> tuple[list[Row], bool]:
    """Follow an id through its successors, and theirs, to the end.

    Returns:
        the ids at the ends, with their `state`, sorted; and whether a split is on the way.
    """
    found = await read_rows(connection, _ENDS, [cluster_id])
    ends = [row for row in found if row["is_end"]]
    return ends, any(row["state"] == "split" for row in found)


async def read_lineage(
    connection: Reader, cluster_id: str, *, after: Sequence[Any] | None, limit: int
) -> list[Row]:
    """Read a page of an id's history, the newest first.

    Args:
        connection: to read from.
        cluster_id: of the cluster.
        after: `sort_key` of the row before the page; None: from the start.
        limit: most rows.
    """
    as_of, job_id = after or (None, None)
    values = {"cluster_id": cluster_id, "as_of": as_of, "job_id": job_id, "limit": limit}
    return await read_rows(connection, _LINEAGE, values)


def sort_key(row: Row) -> tuple[str, str]:
    """Take from a row of the history what a cursor holds."""
    return row["as_of"].isoformat(), row["job_id"]
