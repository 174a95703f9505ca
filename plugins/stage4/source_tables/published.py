"""The published rows of a level, taken from the results database into files on the way.

Files, because the two databases may be two servers, and a message must name the one that failed.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Literal, LiteralString

from psycopg import IsolationLevel, sql
from psycopg.sql import SQL

from stage4.database.connection import Database, database

_LOAD: LiteralString = """
SELECT load_id, job_id, (report #>> '{settings,input,dimension}')::integer,
    report #>> '{settings,input,source}', report #>> '{settings,input,table}'
FROM stage4.published JOIN stage4.runs USING (level, load_id) WHERE level = %s
"""
_MEMBERS: LiteralString = """
COPY (
    SELECT source_id, cluster_id FROM stage4.members
    WHERE load_id = {load_id} AND cluster_id IS NOT NULL
) TO STDOUT
"""
_CLUSTERS: LiteralString = """
COPY (
    SELECT cluster_id, label, size, keywords, {centroid} FROM stage4.clusters
    WHERE load_id = {load_id}
) TO STDOUT
"""
_SOURCES: LiteralString = """
SELECT DISTINCT report #>> '{settings,input,table}' FROM stage4.runs
WHERE level = %s AND published_at IS NOT NULL
AND report #>> '{settings,input,source}' = 'postgres'
AND report #>> '{settings,input,table}' IS NOT NULL
"""
Centroids = Literal["vectors", "arrays"]
_FORMS: dict[Centroids, SQL] = {"vectors": SQL("centroid"), "arrays": SQL("centroid::real[]")}


@dataclass(frozen=True)
class Load:
    """The load that readers of a level see.

    Attributes:
        load_id: its number.
        job_id: of its run.
        dimension: of its centroids.
        table: listed table that the run was read from; None: Stage 3's folder.
        sources: names under which published runs of the level were read from tables.
    """

    load_id: int
    job_id: str
    dimension: int
    table: str | None
    sources: frozenset[str]


@dataclass(frozen=True)
class Files:
    """A load's rows in COPY's text format.

    Attributes:
        load: whose rows they are.
        members: `source_id`, `cluster_id` of the items in clusters.
        clusters: `cluster_id`, `label`, `size`, `keywords`, `centroid`; empty if none were wanted.
    """

    load: Load
    members: IO[bytes]
    clusters: IO[bytes]


def published_load(level: str) -> Load | None:
    """Look up what readers of a level see; None: nothing is published.

    Raises:
        AirflowFailException, AirflowException: as `database`.
    """
    with database() as connection:
        return _load(connection, level)


@contextmanager
def published_rows(level: str, centroids: Centroids | None) -> Iterator[Files | None]:
    """Copy the rows that readers of a level see into files; None: nothing is published.

    Args:
        level: plural name.
        centroids: their form in the file of the clusters; None: no clusters are wanted.

    Raises:
        AirflowFailException, AirflowException: as `database`.
    """
    with ExitStack() as stack:
        members = stack.enter_context(tempfile.TemporaryFile())
        clusters = stack.enter_context(tempfile.TemporaryFile())
        with database() as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            with connection.transaction():
                load = _load(connection, level)
                if load is not None:
                    _copy(connection, _MEMBERS, load, members)
                    if centroids is not None:
                        form = _FORMS[centroids]
                        _copy(connection, _CLUSTERS, load, clusters, centroid=form)
        yield None if load is None else Files(load, members, clusters)


def _load(connection: Database, level: str) -> Load | None:
    row = connection.execute(_LOAD, [level]).fetchone()
    if row is None:
        return None
    load_id, job_id, dimension, source, table = row
    sources = frozenset(name for (name,) in connection.execute(_SOURCES, [level]))
    return Load(load_id, job_id, dimension, table if source == "postgres" else None, sources)


def _copy(
    connection: Database, statement: LiteralString, load: Load, file: IO[bytes], **parts: SQL
) -> None:
    query = SQL(statement).format(load_id=sql.Literal(load.load_id), **parts)
    with connection.cursor().copy(query) as copy:
        for block in copy:
            file.write(block)
    file.seek(0)
