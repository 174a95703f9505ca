"""Which run is meant, and what is known of runs."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from psycopg.sql import SQL

from stage4.api.pool import Reader, Row, read_row, read_rows
from stage4.api.problems import ProblemError

# `loaded`: never published, because its gate or a later run stood before it.
_RUNS = SQL("""
SELECT runs.load_id, runs.level, job_id, as_of, algorithm, read, clustered, noise, filtered,
    unassigned, clusters, coverage, outlier_share, largest_cluster_share, loaded_at, published_at,
    CASE WHEN published.load_id = runs.load_id THEN 'current'
        WHEN published_at IS NOT NULL THEN 'published'
        ELSE 'loaded' END AS state
FROM stage4.runs JOIN stage4.published ON published.level = runs.level
""")
_RUN_KEY = SQL(
    "SELECT level, load_id, coalesce(changed_at, loaded_at) AS changed_at FROM stage4.runs"
)


@dataclass(frozen=True)
class RunKey:
    """A run that rows are read from.

    Attributes:
        level: plural name.
        load_id: of the load; its tables are named by it.
        changed_at: when its rows were written, or a document's were taken out last; tells it also
            from a load with the same number in another database.
    """

    level: str
    load_id: int
    changed_at: datetime


async def find_run(
    connection: Reader,
    level: str,
    load_id: int | None = None,
    published_at: datetime | None = None,
) -> RunKey:
    """Find the run to read: the published one, or one that the caller names.

    Args:
        connection: to read from.
        level: plural name.
        load_id: of a run; None: the published one.
        published_at: a moment, for the run that was published then; None: now.

    Raises:
        ProblemError: 404, when nothing is published, or was by then, or the level has no such run;
            410, when the run that was published then has been removed.
    """
    if published_at is not None:
        return await _published_at(connection, level, published_at)
    if load_id is None:
        current = SQL(" JOIN stage4.published USING (level, load_id) WHERE level = %s")
        row = await read_row(connection, _RUN_KEY + current, [level])
    else:
        named = SQL(" WHERE level = %s AND load_id = %s")
        row = await read_row(connection, _RUN_KEY + named, [level, load_id])
    if row is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, _missing(level, load_id))
    return RunKey(**row)


async def _published_at(connection: Reader, level: str, moment: datetime) -> RunKey:
    row = await read_row(
        connection,
        "SELECT load_id FROM stage4.publications WHERE level = %s AND moved_at <= %s"
        " ORDER BY publication_id DESC LIMIT 1",
        [level, moment],
    )
    if row is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, f"No run of {level} was published by {moment.isoformat()}."
        )
    try:
        return await find_run(connection, level, row["load_id"])
    except ProblemError:
        raise ProblemError(
            HTTPStatus.GONE,
            f"At {moment.isoformat()} load {row['load_id']} of {level} was published, which has "
            "been removed (STAGE4_RETENTION_DAYS).",
        ) from None


async def current_runs(connection: Reader, levels: list[str]) -> list[RunKey]:
    """Find the published runs of several levels; a level without one is left out."""
    current = SQL(
        " JOIN stage4.published USING (level, load_id) WHERE level = ANY(%s) ORDER BY level"
    )
    return [RunKey(**row) for row in await read_rows(connection, _RUN_KEY + current, [levels])]


def _missing(level: str, load_id: int | None) -> str:
    if load_id is None:
        return (
            f"No run of {level} is published yet: a run of the DAG `cluster_{level}` that passes "
            "its quality gate will be."
        )
    return (
        f"{level} has no load {load_id}; it may have been removed. `GET runs?level={level}` lists "
        "those that are there; without `load_id` the published one is read."
    )


async def run_of_list(
    connection: Reader,
    level: str,
    load_id: int | None,
    began_in: int | None,
    published_at: datetime | None = None,
) -> RunKey:
    """Find the run to read a page of a list from.

    Args:
        connection: to read from.
        level: plural name.
        load_id: that the caller names; None: the published one.
        began_in: the run of the list's first page; None: this is the first page.
        published_at: as for `find_run`.

    Raises:
        ProblemError: 404, as of `find_run`; 410, when the run that the list began in has been
            removed meanwhile.
    """
    if began_in is None:
        return await find_run(connection, level, load_id, published_at)
    try:
        return await find_run(connection, level, began_in)
    except ProblemError:
        raise ProblemError(
            HTTPStatus.GONE,
            f"The list was read from load {began_in} of {level}, which has been removed: begin "
            "again without `cursor`.",
        ) from None


async def published_runs(connection: Reader, levels: list[str]) -> list[Row]:
    """Read the current run of each level that has one, with its counts."""
    current = SQL(
        " WHERE published.load_id = runs.load_id AND runs.level = ANY(%s) ORDER BY runs.level"
    )
    return await read_rows(connection, _RUNS + current, [levels])


async def count_runs(connection: Reader, levels: list[str]) -> dict[str, int]:
    """Count the loads that are kept, by level; a level without any is left out."""
    rows = await read_rows(
        connection,
        "SELECT level, count(*) AS runs FROM stage4.runs WHERE level = ANY(%s) GROUP BY level",
        [levels],
    )
    return {row["level"]: row["runs"] for row in rows}


async def list_runs(
    connection: Reader, levels: list[str], *, state: str | None, before: int | None, limit: int
) -> list[Row]:
    """Read loads, newest first.

    Args:
        connection: to read from.
        levels: only of these.
        state: `current`, `published` or `loaded`; None: all.
        before: only loads with a lesser number.
        limit: most rows.
    """
    return await read_rows(
        connection,
        SQL(
            "SELECT * FROM ({runs} WHERE runs.level = ANY(%(levels)s)) found"
            " WHERE (%(state)s::text IS NULL OR state = %(state)s)"
            " AND (%(before)s::bigint IS NULL OR load_id < %(before)s)"
            " ORDER BY load_id DESC LIMIT %(limit)s"
        ).format(runs=_RUNS),
        {"levels": levels, "state": state, "before": before, "limit": limit},
    )


async def read_run(connection: Reader, key: RunKey) -> Row:
    """Read one run, with its report.

    Raises:
        ProblemError: 410, when it has just been removed.
    """
    row = await read_row(
        connection,
        SQL(
            "SELECT found.*, runs.report FROM ({runs} WHERE runs.load_id = %(load_id)s) found"
            " JOIN stage4.runs USING (load_id)"
        ).format(runs=_RUNS),
        {"load_id": key.load_id},
    )
    if row is None:
        raise just_removed(key)
    return row


async def dimension(connection: Reader, key: RunKey) -> int:
    """Read how many numbers a vector of a run has.

    Raises:
        ProblemError: 410, when the run has just been removed.
    """
    row = await read_row(
        connection,
        "SELECT (report->'settings'->'input'->>'dimension')::int AS dimension FROM stage4.runs"
        " WHERE load_id = %s",
        [key.load_id],
    )
    if row is None:
        raise just_removed(key)
    return int(row["dimension"])


def just_removed(key: RunKey) -> ProblemError:
    """Say that a run was there a moment ago."""
    return ProblemError(HTTPStatus.GONE, f"Load {key.load_id} has just been removed.")
