"""Corrections as readers ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Composed, Literal

from clustering_tasks.settings.levels import LEVELS
from stage4.api.pool import Reader, Row, read_rows
from stage4.api.queries.runs import RunKey, current_runs
from stage4.database import schema

_RECENT = 50  # in a cluster's lineage
_COLUMNS = (
    *("correction_id", "level", "kind", "items", "others", "cluster_id", "label", "reason"),
    *("clusters", "made_by", "made_at", "undone_by", "undone_at"),
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
    SELECT correction_id FROM stage4.corrections WHERE clusters @> ARRAY[%(cluster)s::text]
    UNION ALL
    SELECT correction_id FROM stage4.corrections linked, unnest(items || others) named
    JOIN {members} members ON members.vector_id = named
    WHERE linked.level = %(level)s AND members.cluster_id = %(cluster)s
)
""")
# `load_id` is the first column of the primary keys.
_LABELS = SQL("""
SELECT cluster_id AS id, label AS name FROM {clusters}
WHERE load_id = {load_id} AND cluster_id = ANY(%s)
""")
_TITLES = SQL("""
SELECT vector_id AS id, coalesce({titles}) AS name FROM {members}
WHERE load_id = {load_id} AND vector_id = ANY(%s)
""")
_MARKS = SQL("""
SELECT correction_id, kind, label FROM stage4.corrections
WHERE cluster_id = %s AND undone_at IS NULL ORDER BY correction_id
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


async def with_names(connection: Reader, rows: Sequence[Row], items: int) -> list[Row]:
    """Add to corrections, as `names`, what the published runs call their clusters and items.

    Args:
        connection: to read from.
        rows: corrections.
        items: how many of a correction's items, and of its others, get a title.
    """
    known: dict[str, str] = {}
    for run in await current_runs(connection, sorted({row["level"] for row in rows})):
        mine = [row for row in rows if row["level"] == run.level]
        labels, titles = _naming(run)
        for statement, ids in (
            (labels, [name for row in mine for name in _clusters(row)]),
            (titles, [name for row in mine for name in _items(row, items)]),
        ):
            found = await read_rows(connection, statement, [ids])
            known |= {row["id"]: row["name"] for row in found if row["name"]}
    return [row | {"names": _pick(known, row, items)} for row in rows]


def _pick(known: Mapping[str, str], row: Row, items: int) -> dict[str, str]:
    named = (*_clusters(row), *_items(row, items))
    return {name: known[name] for name in named if name in known}


def _clusters(row: Row) -> list[str]:
    return [*row["clusters"], *([row["cluster_id"]] if row["cluster_id"] else [])]


def _items(row: Row, most: int) -> list[str]:
    return [*row["items"][:most], *row["others"][:most]]


def _naming(run: RunKey) -> tuple[Composed, Composed]:
    """Compose what reads the labels of clusters, and the titles of items."""
    titles = [
        SQL("nullif(metadata->>{}, '')").format(Literal(field))
        for field in LEVELS[run.level].title_fields
    ]
    tables = {each: schema.partition(each, run.load_id) for each in ("clusters", "members")}
    load_id = Literal(run.load_id)
    return (
        _LABELS.format(**tables, load_id=load_id),
        _TITLES.format(**tables, load_id=load_id, titles=SQL(", ").join(titles)),
    )


async def marks_of(connection: Reader, cluster_id: str) -> list[Row]:
    """Read what holds of a cluster itself: its name, whether it is pinned or hidden."""
    return await read_rows(connection, _MARKS, [cluster_id])


async def marked_clusters(connection: Reader, level: str) -> Marked:
    """Read which clusters of a level are pinned, and which are hidden."""
    rows = await read_rows(connection, _MARKED, [level])
    found = {row["kind"]: tuple(row["cluster_ids"]) for row in rows}
    return Marked(found.get("pin", ()), found.get("hide", ()))
