"""Alerts of a loaded run: found with the level's history, logged, and kept in `stage4.alerts`."""

from collections.abc import Mapping
from typing import Any

import structlog
from airflow.sdk.exceptions import AirflowException

from clustering_tasks.publication.alerts import METRICS, Alert, Metrics, check_drift, find_alerts
from clustering_tasks.publication.report import Report
from stage4.database.connection import Database, database

# A roll-back does not take a run out of the history: the median bears it.
_HISTORY = """
SELECT load_id FROM (
    SELECT DISTINCT ON (as_of, job_id) load_id, as_of FROM stage4.runs
    WHERE level = %(level)s AND published_at IS NOT NULL
    AND as_of <= %(as_of)s AND job_id <> %(job_id)s
    ORDER BY as_of DESC, job_id, load_id DESC
) jobs ORDER BY as_of DESC, load_id DESC LIMIT %(limit)s
"""
_VALUES = (
    "SELECT load_id, name, value FROM stage4.metrics WHERE load_id = ANY(%s) AND name = ANY(%s)"
)
_INSERT_METRIC = """
INSERT INTO stage4.metrics (load_id, level, name, value) VALUES (%s, %s, %s, %s)
ON CONFLICT (load_id, name) DO UPDATE SET value = excluded.value
"""
_INSERT_ALERT = """
INSERT INTO stage4.alerts (load_id, level, name, severity, message, action, value, limit_value)
VALUES (%(load_id)s, %(level)s, %(name)s, %(severity)s, %(message)s, %(action)s, %(value)s,
    %(limit_value)s)
"""

log = structlog.get_logger()


def watch(
    load_id: int,
    report: Report,
    seconds: Mapping[str, float] | None = None,
    measured: Mapping[str, float] | None = None,
    *,
    conn_id: str | None = None,
) -> list[dict[str, Any]] | None:
    """Find what a loaded run gives cause to look at, log it and store it; never fails the run.

    Args:
        load_id: of the load.
        report: of the run.
        seconds: that steps took which the report cannot know; stored as `seconds.<step>`.
        measured: further metrics of the run, by their names.
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.

    Returns:
        The alerts as `clustering_tasks.publication.alerts.Alert.record`; None where the database
        did not answer, so that nothing is known.
    """
    try:
        with database(conn_id) as connection, connection.transaction():
            of_steps = {f"seconds.{step}": value for step, value in (seconds or {}).items()}
            _insert_metrics(connection, load_id, report.level, {**of_steps, **(measured or {})})
            found = find_alerts(
                report.level, *_compared(connection, load_id, report), report.settings.alerts
            )
            _insert(connection, load_id, report.level, found)
    except AirflowException as error:
        log.error("no alerts: the run is loaded, but not looked at", reason=str(error))  # noqa: TRY400
        return None
    for alert in found:
        _log(report, alert)
    return [alert.record() for alert in found]


def drift(connection: Database, load_id: int, report: Report) -> list[str]:
    """Apply the gate's conditions on drift (`clustering_tasks.publication.alerts`) to a load."""
    return check_drift(
        *_compared(connection, load_id, report), report.settings.alerts, report.settings.publish
    )


def _compared(connection: Database, load_id: int, report: Report) -> tuple[Metrics, list[Metrics]]:
    """Read a run's metrics, and those of the published runs of its level before it."""
    values = {
        "level": report.level,
        "as_of": report.as_of,
        "job_id": report.job_id,
        "limit": report.settings.alerts.history,
    }
    before = [number for (number,) in connection.execute(_HISTORY, values).fetchall()]
    metrics: dict[int, dict[str, float | None]] = {number: {} for number in (load_id, *before)}
    for number, name, value in connection.execute(_VALUES, [[*metrics], [*METRICS]]).fetchall():
        metrics[number][name] = value
    return metrics[load_id], [metrics[number] for number in before]


def _insert_metrics(
    connection: Database, load_id: int, level: str, metrics: Mapping[str, float]
) -> None:
    for name, value in metrics.items():
        connection.execute(_INSERT_METRIC, [load_id, level, name, value])


def _insert(connection: Database, load_id: int, level: str, alerts: list[Alert]) -> None:
    connection.execute("DELETE FROM stage4.alerts WHERE load_id = %s", [load_id])
    for alert in alerts:
        values = {"load_id": load_id, "level": level} | alert.record()
        connection.execute(_INSERT_ALERT, values)


def _log(report: Report, alert: Alert) -> None:
    say = {"info": log.info, "warning": log.warning, "critical": log.critical}[alert.severity]
    say("alert", level_name=report.level, job_id=report.job_id, **alert.record())
