"""Lasting ids: what each of them is now, what each load made of it, and what a move changes.

`stage4.identities` has one row for each id that was ever published. Only the transaction that moves
a level's pointer writes it, from the rows that the step `identify` has made for the load: going
back to a load restores its rows, and going forward again those of the later one.
"""

from typing import Any

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from clustering_tasks.contract.columns import IDENTITIES
from stage4.database import schema
from stage4.database.connection import Database

_VALUES = IDENTITIES[1:]
# In the order of the ids, as every writer of these rows: none waits for another in a circle.
_RESTORE = """
INSERT INTO stage4.identities AS known (level, {columns})
SELECT {level}, {columns} FROM {identities} ORDER BY cluster_id
ON CONFLICT (cluster_id) DO UPDATE SET ({values}) = ROW ({new})
WHERE ({old}) IS DISTINCT FROM ({new})
"""
# A load of a version without lasting ids: all that is known of its ids is that they are there.
_ADOPT = """
INSERT INTO stage4.identities AS known (level, {columns})
SELECT level, cluster_id, 'active', job_id, as_of, job_id, as_of, '[]', 1
FROM {clusters} JOIN stage4.runs USING (load_id) ORDER BY cluster_id
ON CONFLICT (cluster_id) DO UPDATE SET state = 'active', successors = '[]',
    last_seen_job = excluded.last_seen_job, last_seen_at = excluded.last_seen_at,
    (born_job, born_at) = (
        SELECT job, at FROM (VALUES
            (known.born_job, known.born_at), (excluded.born_job, excluded.born_at)
        ) birth (job, at) ORDER BY at LIMIT 1
    )
"""
# Ids of runs that the load does not descend from: roll-back went behind them.
_END_UNKNOWN = """
UPDATE stage4.identities SET state = 'ended', successors = '[]'
WHERE level = {level} AND state NOT IN ('ended', 'deleted')
AND NOT EXISTS (SELECT FROM {known} known WHERE known.cluster_id = identities.cluster_id)
"""
_KEEP_LINEAGE = """
INSERT INTO stage4.lineage (level, job_id, load_id, as_of, cluster_id, change, size, related)
SELECT level, job_id, load_id, as_of, cluster_id, change, size, related
FROM {lineage} JOIN stage4.runs USING (load_id) WHERE published_at IS NOT NULL ORDER BY cluster_id
ON CONFLICT (cluster_id, job_id) DO UPDATE SET load_id = excluded.load_id,
    as_of = excluded.as_of, change = excluded.change, size = excluded.size,
    related = excluded.related, withdrawn = false
"""
# Rows of the job's former load, with other ids, have not been published since.
_FORGET_FORMER = """
DELETE FROM stage4.lineage USING stage4.runs
WHERE runs.load_id = {load_id} AND runs.published_at IS NOT NULL AND lineage.level = runs.level
AND lineage.as_of = runs.as_of AND lineage.job_id = runs.job_id AND lineage.load_id <> runs.load_id
"""
_WITHDRAW = """
UPDATE stage4.lineage SET withdrawn = lineage.as_of > runs.as_of
FROM stage4.runs WHERE runs.load_id = {load_id} AND lineage.level = runs.level
AND withdrawn <> (lineage.as_of > runs.as_of)
"""
_DELETE = """
UPDATE stage4.identities SET state = 'deleted', successors = '[]'
FROM (
    SELECT cluster_id FROM stage4.identities
    WHERE state <> 'deleted' AND cluster_id IN (
        SELECT jsonb_array_elements_text(deleting->'removed')
        FROM stage4.published JOIN stage4.runs USING (level, load_id)
    )
    ORDER BY cluster_id FOR UPDATE
) gone
WHERE identities.cluster_id = gone.cluster_id
"""
_DELETE_IN_LOAD = """
UPDATE {identities} SET state = 'deleted', successors = '[]' WHERE cluster_id = ANY(%s)
"""


def restore(connection: Database, level: str, load_id: int) -> None:
    """Make the identities of a level what they are with a load; in the transaction that shows it.

    Ids that the load does not know, because it is older or of another branch, become `ended`;
    publishing a load that knows them restores them.

    Args:
        connection: inside the transaction, with the level's pointer locked.
        level: plural name.
        load_id: that readers are about to see.
    """
    with_ids = has_identities(connection, load_id)
    parts = _parts(level, load_id)
    known = parts["identities" if with_ids else "clusters"]
    connection.execute(_compose(_RESTORE if with_ids else _ADOPT, **parts))
    connection.execute(_compose(_END_UNKNOWN, **parts, known=known))


def keep_lineage(connection: Database, load_id: int) -> None:
    """Keep what became of the ids in a load; nothing of one that was never published.

    Args:
        connection: inside a transaction.
        load_id: of the load.
    """
    if has_identities(connection, load_id):
        lineage = schema.partition("load_lineage", load_id)
        connection.execute(_compose(_KEEP_LINEAGE, lineage=lineage))
        connection.execute(_compose(_FORGET_FORMER, load_id=Literal(load_id)))


def withdraw_later(connection: Database, load_id: int) -> None:
    """Mark the history of the level's runs behind a load as withdrawn, and no other."""
    connection.execute(_compose(_WITHDRAW, load_id=Literal(load_id)))


def mark_deleted(connection: Database, load_id: int, removed: list[str]) -> None:
    """Note in a load's identities that a deletion has left less than two members of some clusters.

    Args:
        connection: inside the transaction that removes the clusters.
        load_id: of the load.
        removed: their ids.
    """
    if has_identities(connection, load_id):
        identities = schema.partition("load_identities", load_id)
        connection.execute(_compose(_DELETE_IN_LOAD, identities=identities), [removed])


def mark_deleted_for_readers(connection: Database) -> None:
    """Do the same with the published loads; behind all changes of rows of `stage4.runs`."""
    connection.execute(_DELETE)


def has_identities(connection: Database, load_id: int) -> bool:
    """Tell whether a load has lasting ids: one of an earlier version has none."""
    table = f"stage4.load_identities_{load_id}"
    found = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone()
    return found == (True,)


def _parts(level: str, load_id: int) -> dict[str, Composable]:
    return {
        "level": Literal(level),
        "columns": schema.columns(IDENTITIES),
        "values": schema.columns(_VALUES),
        "new": _of("excluded"),
        "old": _of("known"),
        "identities": schema.partition("load_identities", load_id),
        "clusters": schema.partition("clusters", load_id),
    }


def _of(row: str) -> Composed:
    return SQL(", ").join(Identifier(row, name) for name in _VALUES)


def _compose(statement: str, **parts: Any) -> Composed:
    return SQL(statement).format(**parts)
