"""What became of each cluster id from one load of a level to another.

| word | the id is in the base | in the other load | and |
| --- | --- | --- | --- |
| `born` | | x | it is younger than the base |
| `returned` | | x | it is not |
| `changed` | x | x | with other members |
| `relabelled` | x | x | with the same members and another label |
| `unchanged` | x | x | with the same members and label |
| `merged`, `split`, `dormant`, `deleted` | x | | that is its state by the other load's identities |
| `ended` | x | | with any other state, or none |

Whoever keeps a copy of the base's clusters gets that of the other load by adding `born` and
`returned`, replacing `changed` and `relabelled`, and removing the last five.
"""

from typing import Literal, get_args

from psycopg.sql import SQL, Composed
from psycopg.sql import Literal as Value

from stage4.database import schema
from stage4.database.connection import Database

IdChange = Literal[
    "born",
    "returned",
    "changed",
    "relabelled",
    "unchanged",
    "merged",
    "split",
    "dormant",
    "ended",
    "deleted",
]
ID_CHANGES: tuple[IdChange, ...] = get_args(IdChange)

# The parent of the identities, not the partition: a load of an earlier version has none.
_CHANGES = """
WITH shared AS (
    SELECT one.cluster_id, count(*) AS shared
    FROM {members_a} one JOIN {members_b} other USING (vector_id, cluster_id) GROUP BY 1
), identities AS (
    SELECT * FROM stage4.load_identities WHERE load_id = {other}
), base AS (
    SELECT as_of FROM stage4.runs WHERE load_id = {base}
), changes AS (
    SELECT b.cluster_id, CASE
        WHEN shared IS DISTINCT FROM a.size OR a.size <> b.size THEN 'changed'
        WHEN a.label <> b.label THEN 'relabelled'
        ELSE 'unchanged'
    END AS change, b.label, a.size AS size_before, b.size, coalesce(shared, 0) AS shared,
        '[]'::jsonb AS successors
    FROM {clusters_a} a JOIN {clusters_b} b USING (cluster_id) LEFT JOIN shared USING (cluster_id)
    UNION ALL
    SELECT b.cluster_id,
        CASE WHEN born_at <= (SELECT as_of FROM base) THEN 'returned' ELSE 'born' END,
        b.label, NULL, b.size, 0, '[]'
    FROM {clusters_b} b LEFT JOIN identities USING (cluster_id)
    WHERE NOT EXISTS (SELECT FROM {clusters_a} a WHERE a.cluster_id = b.cluster_id)
    UNION ALL
    SELECT a.cluster_id,
        CASE WHEN state IN ('merged', 'split', 'dormant', 'deleted') THEN state ELSE 'ended' END,
        a.label, a.size, NULL, 0, coalesce(successors, '[]')
    FROM {clusters_a} a LEFT JOIN identities USING (cluster_id)
    WHERE NOT EXISTS (SELECT FROM {clusters_b} b WHERE b.cluster_id = a.cluster_id)
)
"""
_COUNT = "SELECT change, count(*) FROM changes GROUP BY change"
_PAGE = """
SELECT cluster_id, change, label, size_before, size, shared, successors FROM changes
WHERE (%(change)s::text IS NULL OR change = %(change)s)
AND (%(last)s::text IS NULL OR cluster_id > %(last)s::text COLLATE "C")
ORDER BY cluster_id LIMIT %(limit)s
"""


def count_changes(connection: Database, base: int, other: int) -> dict[IdChange, int]:
    """Count the ids of two loads by what became of them; every word is a key.

    Reads all members of both: two loads of a million take about 2 s.

    Args:
        connection: to read from.
        base: a load_id.
        other: another load_id of the same level.
    """
    statement = SQL(_CHANGES + _COUNT).format(**_parts(base, other))
    found: dict[str, int] = dict(connection.execute(statement).fetchall())
    return {word: found.get(word, 0) for word in ID_CHANGES}


def changes_query(base: int, other: int) -> Composed:
    """The query for a page of ids, sorted by them.

    Its parameters: `change` (null: all), `last` (id of the row before the page; null: the first
    page), `limit`.

    Args:
        base: a load_id.
        other: another load_id of the same level.
    """
    return SQL(_CHANGES + _PAGE).format(**_parts(base, other))


def _parts(base: int, other: int) -> dict[str, Composed]:
    parts = {"base": SQL("{}").format(Value(base)), "other": SQL("{}").format(Value(other))}
    for side, load_id in (("a", base), ("b", other)):
        for parent in ("clusters", "members"):
            parts[f"{parent}_{side}"] = SQL("{}").format(schema.partition(parent, load_id))
    return parts
