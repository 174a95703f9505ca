"""A listed table as a pair of files in the workspace, which `snapshot` reads like Stage 3's.

The containers of the steps have no database, so the worker exports. All rows are of one moment: the
transaction reads one snapshot, whatever is written to the table meanwhile.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from psycopg import IsolationLevel
from upath import UPath

from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.workspace.exports import new_export
from clustering_tasks.workspace.resources import check_count
from stage4.database.connection import Database
from stage4.source_tables.choice import Chosen
from stage4.source_tables.connection import table_database
from stage4.source_tables.inspection import inspect_table
from stage4.source_tables.pair import new_pair
from stage4.source_tables.rows import measure, read_rows

log = structlog.get_logger()


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        folder: URI, with the level's pair of files.
        rows: in the files.
        without_vector: rows that were left out (`null_vectors`: `skip`).
        newest_update: the newest time in the column `updated_at`; None: unknown.
        seconds: that it took.
    """

    folder: str
    rows: int
    without_vector: int
    newest_update: str | None
    seconds: float


def export_table(chosen: Chosen, settings: InputSettings, workspace: str) -> Export:
    """Read a table into a new export of its level; earlier exports are removed.

    Args:
        chosen: the table.
        settings: what its vectors must be.
        workspace: URI.

    Raises:
        BadInputError: the table, a column or a right is missing, there are more rows than the
            installation takes, or rows break the contract; all of them are named.
        AirflowFailException, AirflowException: as `table_database`.
    """
    started = time.perf_counter()
    level = LEVELS[chosen.table.level]
    with _one_snapshot(chosen) as connection:
        columns = inspect_table(connection, chosen)
        size = measure(connection, chosen.table)
        count = size.with_vector if chosen.table.null_vectors == "skip" else size.rows
        check_count(count, level.name)
        with (
            new_export(UPath(workspace), level.name) as folder,
            new_pair(folder, level, (count, settings.dimension)) as pair,
        ):
            for row in read_rows(connection, chosen, columns, settings):
                pair.add(row.source_id, row.vector, row.metadata)
    done = Export(
        folder=str(folder),
        rows=count,
        without_vector=size.rows - count,
        newest_update=size.newest_update,
        seconds=round(time.perf_counter() - started, 3),
    )
    log.info("table exported", table=chosen.name, rows=done.rows, seconds=done.seconds)
    return done


@contextmanager
def _one_snapshot(chosen: Chosen) -> Iterator[Database]:
    with table_database(chosen.table) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            yield connection
