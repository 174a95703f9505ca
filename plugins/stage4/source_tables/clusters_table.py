"""The table that gets a listed table's clusters: made if it is missing, upserted by cluster id."""

from collections.abc import Collection
from typing import LiteralString

from psycopg.sql import SQL, Composable, Identifier, Literal

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.source_tables import Relation
from stage4.database.connection import Database
from stage4.source_tables.choice import Chosen
from stage4.source_tables.inspection import ARRAYS, find_columns, relation, wrong_clusters
from stage4.source_tables.published import Centroids, Files
from stage4.source_tables.staging import fill

# `source` and `level` let several tables share one of clusters: each ends only its own.
_CREATE: LiteralString = """
CREATE TABLE {table} (
    cluster_id text PRIMARY KEY,
    source text NOT NULL,
    level text NOT NULL,
    label text NOT NULL,
    size integer NOT NULL,
    keywords jsonb NOT NULL,
    centroid {type},
    job_id text NOT NULL,
    updated_at timestamptz NOT NULL,
    ended_at timestamptz
)
"""
# Which of the ended clusters held a deleted document is not known any more.
_ERASE: LiteralString = """
UPDATE {table} SET label = '', keywords = '[]', centroid = NULL, updated_at = now()
WHERE source = ANY({sources}) AND level = {level} AND ended_at IS NOT NULL AND label <> ''
"""
_MOST_DIMENSIONS = 16_000  # of pgvector's type
_STAGE: LiteralString = """
CREATE TEMPORARY TABLE stage4_clusters ON COMMIT DROP AS
SELECT cluster_id, label, size, keywords, centroid FROM {table} WITH NO DATA
"""
_UPSERT: LiteralString = """
WITH written AS (
    INSERT INTO {table} AS old (
        cluster_id, source, level, label, size, keywords, centroid, job_id, updated_at, ended_at
    )
    SELECT cluster_id, {source}, {level}, label, size, keywords, centroid, {job_id}, now(), NULL
    FROM pg_temp.stage4_clusters
    ON CONFLICT (cluster_id) DO UPDATE SET
        source = excluded.source, level = excluded.level, label = excluded.label,
        size = excluded.size, keywords = excluded.keywords, centroid = excluded.centroid,
        job_id = excluded.job_id, updated_at = excluded.updated_at, ended_at = NULL
    WHERE (old.source, old.level, old.label, old.size, old.keywords, old.centroid, old.ended_at)
        IS DISTINCT FROM (
            excluded.source, excluded.level, excluded.label, excluded.size, excluded.keywords,
            excluded.centroid, NULL
        )
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""
# Marked and not deleted: rows of others may refer to the id, and a story that returns has it again.
_END: LiteralString = """
UPDATE {table} AS old SET ended_at = now(), updated_at = now(), job_id = {job_id}
WHERE old.source = ANY({sources}) AND old.level = {level} AND old.ended_at IS NULL
AND NOT EXISTS (
    SELECT FROM pg_temp.stage4_clusters AS new WHERE new.cluster_id = old.cluster_id
)
"""


def ensure_clusters(connection: Database, table: Relation, dimension: int) -> Centroids:
    """Create the table of clusters, unless it is there; returns the form of its centroids.

    Args:
        connection: to the listed table's database.
        table: of the clusters.
        dimension: of the centroids.

    Raises:
        BadInputError: it is there, with other columns, or for centroids of another dimension.
    """
    columns = find_columns(connection, table)
    if columns is None:
        kind, form = _centroid_type(connection, dimension)
        connection.execute(SQL(_CREATE).format(table=relation(table), type=kind))
        return form
    if problems := [*wrong_clusters(table, columns, dimension)]:
        raise BadInputError("; ".join(problems))
    return "arrays" if columns["centroid"].type in ARRAYS else "vectors"


def write_clusters(
    connection: Database,
    chosen: Chosen,
    table: Relation,
    rows: Files,
    *,
    former: Collection[str] = (),
    erase: bool,
) -> dict[str, int]:
    """Upsert the clusters, and mark those that are gone; only what changes is touched.

    Args:
        connection: inside a transaction.
        chosen: the listed table.
        former: names that this installation lists no more: their clusters end as its own do.
        table: of the clusters.
        rows: that are published.
        erase: whether label, keywords and centroid of all ended clusters are removed, because
            documents have been deleted.

    Returns:
        how many rows were inserted, updated, marked as ended, and erased.
    """
    connection.execute(SQL(_STAGE).format(table=relation(table)))
    fill(connection, "stage4_clusters", rows.clusters)
    values = {
        "table": relation(table),
        "source": Literal(chosen.name),
        "sources": Literal([chosen.name, *former]),
        "level": Literal(chosen.table.level),
        "job_id": Literal(rows.load.job_id),
    }
    inserted, updated = connection.execute(SQL(_UPSERT).format(**values)).fetchone() or (0, 0)
    ended = connection.execute(SQL(_END).format(**values)).rowcount
    erased = connection.execute(SQL(_ERASE).format(**values)).rowcount if erase else 0
    return {
        "clusters_inserted": inserted,
        "clusters_updated": updated,
        "clusters_ended": ended,
        "clusters_erased": erased,
    }


def _centroid_type(connection: Database, dimension: int) -> tuple[Composable, Centroids]:
    """Return the type of new centroids; without pgvector it is an array."""
    row = connection.execute(
        "SELECT nspname FROM pg_extension JOIN pg_namespace schemas ON schemas.oid = extnamespace"
        " WHERE extname = 'vector'"
    ).fetchone()
    if row is None or dimension > _MOST_DIMENSIONS:
        return SQL("real[]"), "arrays"
    return SQL("{}({})").format(Identifier(row[0], "vector"), Literal(dimension)), "vectors"
