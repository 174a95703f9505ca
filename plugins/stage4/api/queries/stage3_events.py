"""Stage 3's events as readers ask for them."""

from collections.abc import Sequence

from stage4.api.pool import Reader, Row, read_rows

_LIST = """
SELECT number, level, type, stage3_job, total_embeddings, received_by, received_at, run_id
FROM stage4.stage3_events
WHERE level = ANY(%(levels)s)
AND (%(waits)s::boolean IS NULL OR (run_id IS NULL) = %(waits)s)
AND (%(before)s::bigint IS NULL OR number < %(before)s)
ORDER BY number DESC LIMIT %(limit)s
"""
_WAITING = """
SELECT level, count(*) AS events, coalesce(sum(total_embeddings), 0)::bigint AS embeddings
FROM stage4.stage3_events WHERE run_id IS NULL AND level = ANY(%(levels)s)
GROUP BY level ORDER BY level
"""


async def list_events(
    connection: Reader,
    levels: Sequence[str],
    *,
    waits: bool | None,
    before: int | None,
    limit: int,
) -> list[Row]:
    """Read events, newest first.

    Args:
        connection: to read from.
        levels: plural names.
        waits: only those that no run is for, or only the others; None: all.
        before: only those with a lesser number.
        limit: most rows.
    """
    values = {"levels": [*levels], "waits": waits, "before": before, "limit": limit}
    return await read_rows(connection, _LIST, values)


async def read_waiting(connection: Reader, levels: Sequence[str]) -> list[Row]:
    """Count what waits: events and announced embeddings of each level that has any."""
    return await read_rows(connection, _WAITING, {"levels": [*levels]})
