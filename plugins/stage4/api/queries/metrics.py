"""Metrics and alerts: what the runs have left besides clusters."""

from typing import Any

from psycopg.sql import SQL

from stage4.api.pool import Reader, Row, read_row, read_rows
from stage4.api.queries.runs import RunKey

_COLUMNS = """
load_id, job_id, as_of, published_at, (
    SELECT coalesce(jsonb_object_agg(name, value), '{}') FROM stage4.metrics
    WHERE metrics.load_id = runs.load_id AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s))
) AS values
"""
_ONE = SQL("SELECT {columns} FROM stage4.runs WHERE load_id = %(load_id)s").format(
    columns=SQL(_COLUMNS)
)
_TREND = SQL("""
SELECT * FROM (
    SELECT {columns} FROM stage4.runs
    WHERE level = %(level)s AND published_at IS NOT NULL
    ORDER BY as_of DESC, load_id DESC LIMIT %(limit)s
) found ORDER BY as_of, load_id
""").format(columns=SQL(_COLUMNS))
_ALERTS = """
SELECT alert_id, alerts.level, alerts.load_id, name, severity, message, action, value, limit_value,
    raised_at, published.load_id IS NOT DISTINCT FROM alerts.load_id AS current
FROM stage4.alerts JOIN stage4.published ON published.level = alerts.level
WHERE alerts.level = ANY(%(levels)s)
AND (%(severity)s::text IS NULL OR severity = %(severity)s)
AND (%(current)s::bool IS NULL
    OR (published.load_id IS NOT DISTINCT FROM alerts.load_id) = %(current)s)
AND (%(before)s::bigint IS NULL OR alert_id < %(before)s)
ORDER BY alert_id DESC LIMIT %(limit)s
"""


async def metrics_of_run(connection: Reader, run: RunKey, names: list[str] | None) -> Row | None:
    """Read a run's metrics; None: the run has just been removed."""
    return await read_row(connection, _ONE, {"load_id": run.load_id, "names": names})


async def history(connection: Reader, level: str) -> list[Any]:
    """Tell a level's history from another one.

    Returns:
        its last published run, how many there are, and when a deletion last changed one of them.
    """
    row = await read_row(
        connection,
        "SELECT max(load_id) AS last, count(*) AS runs, max(changed_at) AS changed FROM stage4.runs"
        " WHERE level = %s AND published_at IS NOT NULL",
        [level],
    )
    return [row["last"], row["runs"], row["changed"]] if row else []


async def trend(connection: Reader, level: str, names: list[str] | None, limit: int) -> list[Row]:
    """Read the metrics of a level's last published runs, oldest first.

    Args:
        connection: to read from.
        level: plural name.
        names: of metrics; None: all.
        limit: runs at most.
    """
    return await read_rows(connection, _TREND, {"level": level, "names": names, "limit": limit})


async def list_alerts(
    connection: Reader,
    levels: list[str],
    *,
    severity: str | None,
    current: bool | None,
    before: int | None,
    limit: int,
) -> list[Row]:
    """Read alerts, newest first.

    Args:
        connection: to read from.
        levels: only of these.
        severity: only of this one; None: all.
        current: only about the runs that readers see, or only about others; None: all.
        before: only those with a lesser number.
        limit: most rows.
    """
    return await read_rows(
        connection,
        _ALERTS,
        {
            "levels": levels,
            "severity": severity,
            "current": current,
            "before": before,
            "limit": limit,
        },
    )
