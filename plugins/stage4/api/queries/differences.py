"""What became of the clusters of a run in another run of the same level.

Clusters are linked by the items that they share, not by their ids. A cluster *goes into* one of the
other run that has more than half of its members, and *comes from* one of which it has more than
half of its own; so it can go into one only and come from one only. From this each cluster of the
later run is

- `unchanged`: a cluster of the earlier run has the same members;
- `merged`: two or more go into it;
- `split`: it comes from a cluster from which another one comes, too;
- `changed`: one goes into it, or it comes from one, and there is no other;
- `appeared`: neither;

and a cluster of the earlier run `vanished` when it goes into none and none comes from it. What
became of the ids, which outlive a run, is `stage4.database.changes`.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from psycopg.sql import SQL, Composed

from stage4.database import schema

Kind = Literal["unchanged", "changed", "merged", "split", "appeared", "vanished"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RELATED = 10  # clusters of the other run that a row names

_LINKS = """
WITH pairs AS MATERIALIZED (
    SELECT one.cluster_id AS one, other.cluster_id AS other, count(*) AS shared
    FROM {members_a} one JOIN {members_b} other USING (vector_id)
    WHERE one.cluster_id IS NOT NULL AND other.cluster_id IS NOT NULL
    GROUP BY 1, 2
), links AS (
    SELECT one, other, shared, 2 * shared > a.size AS goes, 2 * shared > b.size AS comes,
        shared = a.size AND shared = b.size AS same
    FROM pairs
    JOIN {clusters_a} a ON a.cluster_id = one
    JOIN {clusters_b} b ON b.cluster_id = other
), parts AS (
    SELECT one, count(*) AS parts FROM links WHERE comes GROUP BY one
), later AS (
    SELECT other AS cluster_id, sum(shared) AS shared, count(*) FILTER (WHERE goes) AS went,
        bool_or(comes) AS comes, max(parts) FILTER (WHERE comes) AS parts, bool_or(same) AS same
    FROM links LEFT JOIN parts USING (one) GROUP BY other
), earlier AS (
    SELECT one AS cluster_id, sum(shared) AS shared, bool_or(goes OR comes) AS stays
    FROM links GROUP BY one
), changes AS (
    SELECT b.cluster_id, b.size, CASE
        WHEN same THEN 'unchanged'
        WHEN went >= 2 THEN 'merged'
        WHEN parts >= 2 THEN 'split'
        WHEN went = 1 OR comes THEN 'changed'
        ELSE 'appeared'
    END AS kind, false AS vanished, coalesce(shared, 0)::bigint AS shared,
    a.cluster_id IS NOT NULL AS same_id, b.label
    FROM {clusters_b} b
    LEFT JOIN {clusters_a} a USING (cluster_id) LEFT JOIN later USING (cluster_id)
    UNION ALL
    SELECT a.cluster_id, a.size, 'vanished', true, coalesce(shared, 0)::bigint,
        b.cluster_id IS NOT NULL, a.label
    FROM {clusters_a} a
    LEFT JOIN {clusters_b} b USING (cluster_id) LEFT JOIN earlier USING (cluster_id)
    WHERE stays IS NOT TRUE
)
"""
# The same id may be a cluster of both runs, so that `vanished` is a part of a row's key.
_PAGE = """
, chosen AS (
    SELECT * FROM changes
    WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
    AND (%(size)s::integer IS NULL OR (-size, cluster_id, vanished)
        > (-%(size)s::integer, %(cluster_id)s::text COLLATE "C", %(vanished)s::boolean))
    ORDER BY size DESC, cluster_id, vanished LIMIT %(limit)s
), related AS (
    SELECT false AS vanished, other AS cluster_id, one AS related, shared FROM pairs
    UNION ALL
    SELECT true, one, other, shared FROM pairs
), ranked AS (
    SELECT cluster_id, vanished, related, related.shared, row_number() OVER (
        PARTITION BY cluster_id, vanished ORDER BY related.shared DESC, related
    ) AS place
    FROM related JOIN chosen USING (cluster_id, vanished)
), gathered AS (
    SELECT cluster_id, vanished, count(*) AS count, jsonb_agg(
        jsonb_build_object('cluster_id', related, 'shared', shared) ORDER BY place
    ) FILTER (WHERE place <= {related}) AS first
    FROM ranked GROUP BY cluster_id, vanished
)
SELECT cluster_id, label, size, kind, same_id, shared, coalesce(count, 0), coalesce(first, '[]')
FROM chosen LEFT JOIN gathered USING (cluster_id, vanished)
ORDER BY size DESC, cluster_id, vanished
"""
_SUMMARY = """
SELECT coalesce(jsonb_object_agg(kind, count), '{{}}'),
    (SELECT coalesce(sum(size), 0) FROM {clusters_a}),
    (SELECT coalesce(sum(size), 0) FROM {clusters_b}),
    coalesce(sum(shared) FILTER (WHERE kind <> 'vanished'), 0)::bigint,
    (SELECT coalesce(sum(shared), 0) FROM links WHERE NOT (goes OR comes))::bigint,
    (SELECT count(*) FROM {clusters_a} a JOIN {clusters_b} b USING (cluster_id))
FROM (SELECT kind, count(*) AS count, sum(shared) AS shared FROM changes GROUP BY kind) AS kinds
"""


@dataclass(frozen=True)
class Change:
    """What became of a cluster.

    Attributes:
        cluster_id: of the later run; of the earlier one when it vanished.
        label: of that cluster.
        size: its members.
        kind: one of `KINDS`.
        same_id: whether a cluster of the other run has the same id.
        shared: its members that are in any cluster of the other run.
        related_count: clusters of the other run that share members with it.
        related: `{"cluster_id": ..., "shared": 12}`, at most `RELATED`, the largest share first.
    """

    cluster_id: str
    label: str
    size: int
    kind: Kind
    same_id: bool
    shared: int
    related_count: int
    related: list[dict[str, Any]]


@dataclass(frozen=True)
class Summary:
    """What became of all clusters and items.

    Attributes:
        kinds: number of clusters of each kind; a kind that does not occur is missing.
        clustered_before: items in a cluster of the earlier run.
        clustered_after: items in a cluster of the later run.
        shared: items in a cluster of both.
        moved: of these, items that share neither with most of their former cluster nor with most
            of their present one.
        same_ids: ids of clusters of both.
    """

    kinds: dict[Kind, int]
    clustered_before: int
    clustered_after: int
    shared: int
    moved: int
    same_ids: int


def page_query(earlier: int, later: int) -> Composed:
    """The query for a page of `Change`, largest clusters first.

    Parameters: `kind` (null: all), `limit`, and of the last row of the page before `size`,
    `cluster_id` and whether it has `vanished` (null: the first page).

    Args:
        earlier: a load_id.
        later: another load_id of the same level.
    """
    return SQL(_LINKS + _PAGE).format(**_tables(earlier, later), related=RELATED)


def summary_query(earlier: int, later: int) -> Composed:
    """The query for the one row of `Summary`."""
    return SQL(_LINKS + _SUMMARY).format(**_tables(earlier, later))


def _tables(earlier: int, later: int) -> dict[str, Any]:
    return {
        f"{parent}_{side}": schema.partition(parent, load_id)
        for parent in ("clusters", "members")
        for side, load_id in (("a", earlier), ("b", later))
    }
