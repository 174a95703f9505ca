"""Corrections as readers ask for them."""

from dataclasses import dataclass

from psycopg.sql import SQL, Composable

from stage4.api.pool import Reader, Row, read_rows
from stage4.api.queries.runs import RunKey, current_runs
from stage4.database import schema

_RECENT = 50  # in a cluster's lineage
_COLUMNS = (
    *("correction_id", "level", "kind", "items", "others", "cluster_id", "label", "reason"),
    *("made_by", "made_at", "undone_by", "undone_at"),
)
_LIST = SQL("""
SELECT {columns} FROM stage4.corrections
WHERE level = ANY(%(levels)s)
AND (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(holds)s::boolean IS NULL OR (undone_at IS NULL) = %(holds)s)
AND (%(before)s::bigint IS NULL OR correction_id < %(before)s) {cluster}
ORDER BY correction_id DESC LIMIT %(limit)s
""")
# About the cluster, or about an item that is in it now.
_OF_CLUSTER = SQL("""
AND correction_id IN (
    SELECT correction_id FROM stage4.corrections WHERE cluster_id = %(cluster)s
    UNION ALL
    SELECT correction_id FROM stage4.corrections linked, unnest(items || others) named
    JOIN {members} members ON members.vector_id = named
    WHERE linked.level = %(level)s AND members.cluster_id = %(cluster)s
)
""")
_MARKED = SQL("""
SELECT kind, array_agg(DISTINCT cluster_id ORDER BY cluster_id) AS cluster_ids
FROM stage4.corrections
WHERE level = %s AND kind IN ('pin', 'hide') AND undone_at IS NULL GROUP BY kind
""")


@dataclass(frozen=True)
class Wanted:
    """Which corrections.

    Attributes:
        levels: plural names.
        kind: None: every kind.
        holds: False: only those that are undone; None: both.
        cluster_id: only those about this cluster, or items in it.
    """

    levels: list[str]
    kind: str | None = None
    holds: bool | None = None
    cluster_id: str | None = None


@dataclass(frozen=True)
class Marked:
    """Clusters that people pinned or hid, by corrections that hold."""

    pinned: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


async def list_corrections(
    connection: Reader, wanted: Wanted, run: RunKey | None, *, before: int | None, limit: int
) -> list[Row]:
    """Read corrections, newest first.

    Args:
        connection: to read from.
        wanted: which.
        run: in which `wanted.cluster_id` has its members; None where no cluster is asked for.
        before: only those with a lesser number.
        limit: most rows.
    """
    cluster: Composable = SQL("")
    values = vars(wanted) | {"before": before, "limit": limit, "cluster": wanted.cluster_id}
    if run is not None:
        cluster = _OF_CLUSTER.format(members=schema.partition("members", run.load_id))
        values |= {"level": run.level}
    statement = _LIST.format(columns=schema.columns(_COLUMNS), cluster=cluster)
    return await read_rows(connection, statement, values)


async def corrections_about(connection: Reader, level: str, cluster_id: str) -> list[Row]:
    """Read the newest corrections about a cluster, or items that it holds in the published run."""
    runs = await current_runs(connection, [level])
    wanted = Wanted([level], cluster_id=cluster_id)
    if not runs:
        return []
    return await list_corrections(connection, wanted, runs[0], before=None, limit=_RECENT)


async def marked_clusters(connection: Reader, level: str) -> Marked:
    """Read which clusters of a level are pinned, and which are hidden."""
    rows = await read_rows(connection, _MARKED, [level])
    found = {row["kind"]: tuple(row["cluster_ids"]) for row in rows}
    return Marked(found.get("pin", ()), found.get("hide", ()))
