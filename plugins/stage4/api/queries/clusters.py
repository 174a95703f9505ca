"""Clusters of a run: lists, one of them, and those that a text or a vector is near to.

The names of a run's tables and the columns to sort by come from this code; whatever a caller has
written is a parameter of the statement.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from psycopg.sql import SQL, Composable, Composed
from psycopg.sql import Literal as Value

from clustering_tasks.contract.columns import CLUSTERS
from stage4.api.pool import Reader, Row, read_row, read_rows
from stage4.api.queries import words
from stage4.api.queries.runs import RunKey
from stage4.database import schema

Order = Literal["size", "start", "label", "growth"]

_DETAILS = ("representatives", "document_ids", "record")
# The type is the level's; the centroid takes most of a row, and few ask for it.
_LEFT_OUT = {"cluster_type", "centroid", *_DETAILS}
SUMMARY = tuple(name for name in CLUSTERS if name not in _LEFT_OUT)
# HNSW looks at this many candidates, and at more while filters leave too few of them.
_LEAST_CANDIDATES = 100


@dataclass(frozen=True)
class ClusterFilter:
    """Which clusters are asked for; None: any.

    Attributes:
        domain: in its long form.
        event_type: dominant one.
        entity_type: of entities.
        start: clusters whose span ends earlier are left out, and those without a time.
        end: clusters whose span starts later are left out, and those without a time.
        min_size: members at least.
        max_size: members at most.
        document_id: of a document that the cluster has items of.
        tag: as it is written, of any category.
        trend: `growing`, `steady`, `fading` or `unknown`.
        text: words, "phrases", -exclusions, `or`: PostgreSQL's websearch form; of the last word
            the beginning.
        only: ids of the clusters among which to look.
        hidden: ids of clusters to leave out.
    """

    domain: str | None = None
    event_type: str | None = None
    entity_type: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    min_size: int | None = None
    max_size: int | None = None
    document_id: str | None = None
    tag: str | None = None
    trend: str | None = None
    text: str | None = None
    only: tuple[str, ...] | None = None
    hidden: tuple[str, ...] | None = None


_CONDITIONS = {
    "domain": "domain = %(domain)s",
    "event_type": "event_type = %(event_type)s",
    "entity_type": "entity_type = %(entity_type)s",
    # A span without an end is a moment.
    "start": "coalesce(end_time, start_time) >= %(start)s",
    "end": "start_time <= %(end)s",
    "min_size": "size >= %(min_size)s",
    "max_size": "size <= %(max_size)s",
    "document_id": "document_ids @> jsonb_build_array(%(document_id)s::text)",
    "tag": "tags @> jsonb_build_array(jsonb_build_object('tag', %(tag)s::text))",
    "trend": "trend = %(trend)s",
    "text": f"{schema.SEARCHED} @@ {{query}}",
    "only": "cluster_id = ANY(%(only)s)",
    "hidden": "cluster_id <> ALL(%(hidden)s)",
}

# What the rows are sorted by: each has its index, that of labels for their beginning.
_ORDERS: dict[Order, str] = {
    "size": "size DESC, cluster_id",
    "start": "start_time DESC NULLS LAST, cluster_id",
    "label": "left(label, 100), cluster_id",
    "growth": "growth DESC NULLS LAST, cluster_id",
}
# That a row comes behind another one; with nulls last, behind all that have a value.
_BEHIND: dict[Order, str] = {
    "size": "size <= %(key)s::int AND (size < %(key)s::int OR cluster_id > %(last)s)",
    "start": "CASE WHEN %(key)s::timestamptz IS NULL"
    " THEN start_time IS NULL AND cluster_id > %(last)s"
    " ELSE start_time IS NULL OR start_time < %(key)s::timestamptz"
    " OR start_time = %(key)s::timestamptz AND cluster_id > %(last)s END",
    "label": "left(label, 100) >= %(key)s"
    " AND (left(label, 100) > %(key)s OR cluster_id > %(last)s)",
    "growth": "CASE WHEN %(key)s::float8 IS NULL"
    " THEN growth IS NULL AND cluster_id > %(last)s"
    " ELSE growth IS NULL OR growth < %(key)s::float8"
    " OR growth = %(key)s::float8 AND cluster_id > %(last)s END",
}
_KEYS: dict[Order, Callable[[Row], Any]] = {
    "size": lambda row: row["size"],
    "start": lambda row: row["start_time"] and row["start_time"].isoformat(),
    "label": lambda row: row["label"][:100],
    "growth": lambda row: row["growth"],
}


def sort_key(row: Row, order: Order) -> tuple[Any, str]:
    """Take from a row what a cursor holds, in JSON's types."""
    return _KEYS[order](row), row["cluster_id"]


async def list_clusters(
    connection: Reader,
    run: RunKey,
    wanted: ClusterFilter,
    *,
    order: Order,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Row]:
    """Read a page of a run's clusters.

    Args:
        connection: to read from.
        run: whose clusters.
        wanted: which of them.
        order: `size`: largest first; `start`: latest first, undated last; `label`: alphabetical;
            `growth`: the surest growth first, without a known one last.
        after: `sort_key` of the row before the page; None: from the start.
        limit: most rows.
    """
    conditions = list(_conditions(wanted))
    values = _values(wanted) | {"limit": limit}
    if after is not None:
        conditions.append(SQL(f"({_BEHIND[order]})"))
        values |= {"key": after[0], "last": after[1]}
    statement = SQL("SELECT {columns} FROM {table} {where} ORDER BY {order} LIMIT %(limit)s")
    return await read_rows(
        connection,
        statement.format(
            columns=schema.columns(SUMMARY),
            table=schema.partition("clusters", run.load_id),
            where=_where(conditions),
            order=SQL(_ORDERS[order]),
        ),
        values,
    )


async def read_cluster(connection: Reader, run: RunKey, cluster_id: str) -> Row | None:
    """Read all that is stored of a cluster, its centroid apart."""
    statement = SQL(
        "SELECT {columns}, {details}, coalesce(record->'key_phrases', '[]') AS key_phrases"
        " FROM {table}"
        " WHERE load_id = {load_id} AND cluster_id = %(cluster_id)s"
    )
    return await _row(connection, run, statement, cluster_id)


async def read_centroid(connection: Reader, run: RunKey, cluster_id: str) -> list[float] | None:
    """Read a cluster's centroid: a unit vector of the run's dimension."""
    statement = SQL(
        "SELECT centroid::text AS centroid FROM {table}"
        " WHERE load_id = {load_id} AND cluster_id = %(cluster_id)s"
    )
    row = await _row(connection, run, statement, cluster_id)
    if row is None:
        return None
    centroid: list[float] = orjson.loads(row["centroid"])
    return centroid


async def named_clusters(connection: Reader, run: RunKey, cluster_ids: list[str]) -> list[Row]:
    """Read clusters by their ids, in no order."""
    statement = SQL(
        "SELECT {columns} FROM {table} WHERE load_id = {load_id} AND cluster_id = ANY(%(ids)s)"
    )
    return await read_rows(connection, _of_run(statement, run), {"ids": cluster_ids})


async def search_by_text(
    connection: Reader, run: RunKey, wanted: ClusterFilter, limit: int
) -> list[Row]:
    """Read the clusters that fit `wanted.text` best, with `rank` (higher is better).

    A last word that is whole counts twice, so that `war` is in front of `Warsaw`.
    """
    statement = SQL(
        "SELECT {columns}, ts_rank_cd({searched}, {whole}) + ts_rank_cd({searched}, {begun})"
        " AS rank FROM {table} {where}"
        " ORDER BY rank DESC, size DESC, cluster_id LIMIT %(limit)s"
    )
    composed = statement.format(
        columns=schema.columns(SUMMARY),
        searched=SQL(schema.SEARCHED),
        whole=words.whole_words(),
        begun=words.begun_words(),
        table=schema.partition("clusters", run.load_id),
        where=_where(list(_conditions(wanted))),
    )
    return await read_rows(connection, composed, _values(wanted) | {"limit": limit})


async def search_by_vector(
    connection: Reader,
    run: RunKey,
    wanted: ClusterFilter,
    vector: Sequence[float],
    *,
    limit: int,
    without: str | None = None,
) -> list[Row]:
    """Read the clusters whose centroids are nearest to a vector, with `similarity` (cosine).

    Args:
        connection: to read from.
        run: whose clusters.
        wanted: which of them.
        vector: of the run's dimension, finite, not zero; of any length.
        limit: most rows.
        without: id of a cluster to leave out.
    """
    dimension = len(vector)
    distance = SQL("{} <=> {}").format(schema.centroid(dimension), schema.vector(dimension))
    conditions = list(_conditions(wanted))
    if without is not None:
        conditions.append(SQL("cluster_id <> %(without)s"))
    # The inner query is the index's; the outer one puts equal similarities into a fixed order.
    statement = SQL(
        "SELECT * FROM (SELECT {columns}, 1 - ({distance}) AS similarity FROM {table} {where}"
        " ORDER BY {distance} LIMIT %(limit)s) found ORDER BY similarity DESC, cluster_id"
    )
    composed = statement.format(
        columns=schema.columns(SUMMARY),
        distance=distance,
        table=schema.partition("clusters", run.load_id),
        where=_where(conditions),
    )
    values = _values(wanted) | {
        "limit": limit,
        "without": without,
        "vector": orjson.dumps(unit(vector)).decode(),
    }
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('hnsw.ef_search', %s, true),"
            " set_config('hnsw.iterative_scan', 'strict_order', true)",
            [str(max(_LEAST_CANDIDATES, 2 * limit))],
        )
        return await read_rows(connection, composed, values)


def unit(vector: Sequence[float]) -> list[float]:
    """Scale a vector to length 1: `halfvec` holds no number beyond 65,504."""
    largest = max(map(abs, vector))  # first, or the smallest numbers lose their digits
    scaled = [value / largest for value in vector]
    length = math.hypot(*scaled)
    return [value / length for value in scaled]


def _conditions(wanted: ClusterFilter) -> Iterator[Composable]:
    for name, condition in _CONDITIONS.items():
        if getattr(wanted, name) is not None:
            yield SQL(condition).format(query=words.begun_words())


def _values(wanted: ClusterFilter) -> dict[str, Any]:
    given = {name: value for name, value in vars(wanted).items() if value is not None}
    given |= {name: list(given[name]) for name in ("only", "hidden") if name in given}
    return given if wanted.text is None else given | words.values(wanted.text)


def _where(conditions: list[Composable]) -> Composable:
    return SQL("WHERE ") + SQL(" AND ").join(conditions) if conditions else SQL("")


def _of_run(statement: SQL, run: RunKey) -> Composed:
    return statement.format(
        columns=schema.columns(SUMMARY),
        details=schema.columns(_DETAILS),
        table=schema.partition("clusters", run.load_id),
        load_id=Value(run.load_id),  # the first column of the primary key
    )


async def _row(connection: Reader, run: RunKey, statement: SQL, cluster_id: str) -> Row | None:
    return await read_row(connection, _of_run(statement, run), {"cluster_id": cluster_id})
