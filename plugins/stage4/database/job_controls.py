"""What people decided about jobs: the rows of `stage4.job_controls`.

A job is a run of a DAG; this is no queue and no list of jobs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowFailException

from stage4 import job_ids
from stage4.database.connection import Database

_PAUSE = """
INSERT INTO stage4.job_controls (job_id, dag_id, dag_run, paused_by, paused_at)
VALUES (%(job)s, %(dag)s, %(run)s, %(by)s, now())
ON CONFLICT (job_id) DO UPDATE SET
    paused_by = coalesce(job_controls.paused_by, excluded.paused_by),
    paused_at = coalesce(job_controls.paused_at, excluded.paused_at)
"""
_RESUME = "UPDATE stage4.job_controls SET paused_by = NULL, paused_at = NULL WHERE job_id = %(job)s"
_CANCEL = """
INSERT INTO stage4.job_controls (job_id, dag_id, dag_run, canceled_by, canceled_at)
VALUES (%(job)s, %(dag)s, %(run)s, %(by)s, now())
ON CONFLICT (job_id) DO UPDATE SET
    canceled_by = coalesce(job_controls.canceled_by, excluded.canceled_by),
    canceled_at = coalesce(job_controls.canceled_at, excluded.canceled_at)
"""
_TAKE_BACK = (
    "UPDATE stage4.job_controls SET canceled_by = NULL, canceled_at = NULL WHERE job_id = %(job)s"
)
_READ = """
SELECT job_id, dag_id, dag_run, paused_at IS NOT NULL, canceled_at IS NOT NULL
FROM stage4.job_controls
WHERE (paused_at IS NOT NULL OR canceled_at IS NOT NULL)
"""
# A cancellation that commits meanwhile waits until the transaction of the reader is over.
_CANCELED = """
SELECT canceled_by FROM stage4.job_controls
WHERE job_id = %s AND canceled_at IS NOT NULL FOR SHARE
"""


@dataclass(frozen=True)
class Control:
    """What holds for a job, by its own row or by that of the run of all levels that started it."""

    paused: bool = False
    canceled: bool = False


@dataclass(frozen=True)
class Row:
    """One job's row."""

    job_id: str
    dag_id: str
    run_id: str
    paused: bool
    canceled: bool


def pause(connection: Database, dag_id: str, run_id: str, by: str) -> None:
    """Let no further task of a job start; asking again changes nothing."""
    connection.execute(_PAUSE, _values(dag_id, run_id, by))


def resume(connection: Database, dag_id: str, run_id: str, by: str) -> None:
    """Let a job's tasks start again."""
    connection.execute(_RESUME, _values(dag_id, run_id, by))


def cancel(connection: Database, dag_id: str, run_id: str, by: str) -> None:
    """Record that a job is over for good; asking again changes nothing."""
    connection.execute(_CANCEL, _values(dag_id, run_id, by))


def take_cancel_back(connection: Database, dag_id: str, run_id: str, by: str) -> None:
    """Forget a cancellation that Airflow did not carry out."""
    connection.execute(_TAKE_BACK, _values(dag_id, run_id, by))


def read(connection: Database, jobs: Sequence[str] | None = None) -> list[Row]:
    """Read the rows of paused and canceled jobs.

    Args:
        connection: to read from.
        jobs: their ids; None: all.
    """
    if jobs is None:
        return [Row(*each) for each in connection.execute(_READ).fetchall()]
    found = connection.execute(_READ + " AND job_id = ANY(%s)", [[*jobs]]).fetchall()
    return [Row(*each) for each in found]


def control_of(rows: Iterable[Row], dag_id: str, run_id: str) -> Control:
    """Tell what holds for a job."""
    governing = job_ids.governing_ids(dag_id, run_id)
    own = [row for row in rows if row.job_id in governing]
    return Control(any(row.paused for row in own), any(row.canceled for row in own))


def refuse_canceled(connection: Database, job_id: str) -> None:
    """Refuse to publish a canceled job, in the transaction that would.

    Raises:
        AirflowFailException: it is canceled.
    """
    row = connection.execute(_CANCELED, [job_id]).fetchone()
    if row is not None:
        raise AirflowFailException(f"job {job_id} was canceled by {row[0]}")


def _values(dag_id: str, run_id: str, by: str) -> dict[str, str]:
    return {"job": job_ids.job_id(dag_id, run_id), "dag": dag_id, "run": run_id, "by": by}
