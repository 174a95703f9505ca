"""Writing a published run back to the table that it was read from.

What is written is what readers see when the table's lock is held, so that it does not matter which
run's task comes last: each row's cluster is that of the published run, NULL where it has none.
"""

import time
from collections.abc import Collection, Mapping
from typing import Any, LiteralString

import structlog
from psycopg.sql import SQL, Composable, Identifier

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.source_tables import SourceTable
from stage4.database.connection import Database
from stage4.source_tables.choice import Chosen, Tables
from stage4.source_tables.clusters_table import ensure_clusters, write_clusters
from stage4.source_tables.connection import table_database
from stage4.source_tables.indexes import ensure_indexes
from stage4.source_tables.inspection import inspect_table, of_level, relation
from stage4.source_tables.published import (
    Centroids,
    Files,
    Load,
    published_load,
    published_rows,
)
from stage4.source_tables.staging import fill

# For this transaction: a task that waits for somebody's lock is tried again later.
_LOCK_TIMEOUT: LiteralString = "SET LOCAL lock_timeout = '60s'"
_ONE_AT_A_TIME: LiteralString = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_STAGE: LiteralString = """
CREATE TEMPORARY TABLE stage4_members ON COMMIT DROP AS
SELECT rows.{id} AS id, rows.{cluster_id} AS cluster_id FROM {table} AS rows WITH NO DATA
"""
_ASSIGN: LiteralString = """
UPDATE {table} AS rows SET {cluster_id} = new.cluster_id FROM pg_temp.stage4_members AS new
WHERE rows.{id} = new.id AND rows.{cluster_id} IS DISTINCT FROM new.cluster_id AND {level}
"""
_CLEAR: LiteralString = """
UPDATE {table} AS rows SET {cluster_id} = NULL
WHERE rows.{cluster_id} IS NOT NULL AND {level}
AND NOT EXISTS (SELECT FROM pg_temp.stage4_members AS new WHERE new.id = rows.{id})
"""
# Rows that are gone since, or whose id is another one now.
_WITHOUT_ROW: LiteralString = """
SELECT count(*) FROM pg_temp.stage4_members AS new
WHERE NOT EXISTS (SELECT FROM {table} AS rows WHERE rows.{id} = new.id AND {level})
"""

log = structlog.get_logger()


def write_back_level(level: str, tables: Tables, *, erase: bool = False) -> dict[str, Any] | None:
    """Write the published run of a level back; safe to repeat, and to run twice at a time.

    Args:
        level: plural name.
        tables: that the installation lists.
        erase: whether ended clusters lose what they say, because documents have been deleted.

    Returns:
        `{"table": ..., "load_id": 17, "job_id": ..., "rows_assigned": 95000, "rows_cleared": 12,
        "rows_updated": 95012, "ids_without_row": 0, "clusters_inserted": 2100,
        "clusters_updated": 0, "clusters_ended": 0, "clusters_erased": 0, "indexes_created": [],
        "seconds": 8.1}`; only
        changed rows are counted, because only they are touched; `ids_without_row`: published ids
        that the table does not have (any more). None: the run was not read from a
        table, or nothing is to be written to it.

    Raises:
        SettingsError: the run's table is no longer listed.
        BadInputError: the table, a column or a right is missing.
        AirflowFailException, AirflowException: as `table_database` and `database`.
    """
    load = published_load(level)
    chosen = None if load is None else _listed(load, level, tables)
    if load is None or chosen is None or chosen.table.cluster_id is None:
        return None
    started = time.perf_counter()
    with table_database(chosen.table) as connection:
        former = load.sources - tables.keys()
        done = _write(connection, chosen, load.dimension, former, erase=erase)
        created = ensure_indexes(connection, chosen.table, load.dimension)
    if done is None:
        return None
    seconds = round(time.perf_counter() - started, 3)
    return {"table": chosen.name, **done, "indexes_created": created, "seconds": seconds}


def _listed(load: Load, level: str, tables: Tables) -> Chosen | None:
    if load.table is None:
        return None
    table = tables.get(load.table)
    if table is None or table.level != level:
        raise SettingsError(
            f"the published run {load.job_id} of {level} was read from table `{load.table}`, which "
            "STAGE4_SOURCE_TABLES does not list (any more) for the level: list it, or publish "
            "another run"
        )
    return Chosen(load.table, table)


def _write(
    connection: Database,
    chosen: Chosen,
    dimension: int,
    former: Collection[str],
    *,
    erase: bool,
) -> dict[str, Any] | None:
    table = chosen.table
    inspect_table(connection, chosen)
    with connection.transaction():
        connection.execute(_LOCK_TIMEOUT)
        connection.execute(_ONE_AT_A_TIME, [f"stage4 {table.shown}"])
        centroids: Centroids | None = None
        if table.clusters is not None:
            centroids = ensure_clusters(connection, table.clusters, dimension)
        with published_rows(table.level, centroids) as rows:
            # Another run may have been published since, of another table even.
            if rows is None or rows.load.table != chosen.name:
                return None
            counts: dict[str, Any] = {"load_id": rows.load.load_id, "job_id": rows.load.job_id}
            if table.clusters is not None:
                counts |= write_clusters(
                    connection, chosen, table.clusters, rows, former=former, erase=erase
                )
            return counts | _write_members(connection, table, rows)


def _write_members(connection: Database, table: SourceTable, rows: Files) -> dict[str, int]:
    names: Mapping[str, Composable] = {
        "table": relation(table.table),
        "id": Identifier(table.id),
        "cluster_id": Identifier(str(table.cluster_id)),
        "level": of_level(table),
    }
    connection.execute(SQL(_STAGE).format(**names))
    fill(connection, "stage4_members", rows.members)
    assigned = connection.execute(SQL(_ASSIGN).format(**names)).rowcount
    cleared = connection.execute(SQL(_CLEAR).format(**names)).rowcount
    (without_row,) = connection.execute(SQL(_WITHOUT_ROW).format(**names)).fetchone() or (0,)
    if without_row:
        log.warning("published ids have no row", table=table.shown, ids=without_row)
    return {
        "rows_assigned": assigned,
        "rows_cleared": cleared,
        "rows_updated": assigned + cleared,
        "ids_without_row": without_row,
    }
