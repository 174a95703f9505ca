"""The states of jobs: Airflow's states of their runs, and what people decided about them."""

from collections.abc import Iterable, Iterator, Sequence

import psycopg
import structlog
from airflow.models.dagrun import DagRun  # noqa: TID251 - the API server has Airflow's database
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.utils.state import DagRunState
from sqlalchemy import ColumnElement, and_, not_, tuple_

from stage4.api.models.jobs import JobState
from stage4.api.pool import connected
from stage4.database import job_controls
from stage4.database.job_controls import Control, Row
from stage4.job_ids import ALL_LEVELS_DAG, level_runs

log = structlog.get_logger()

_STATES: dict[str, JobState] = {
    DagRunState.QUEUED: "queued",
    DagRunState.RUNNING: "running",
    DagRunState.SUCCESS: "completed",
    DagRunState.FAILED: "failed",
}
_UNFINISHED = ("queued", "running")
ENDED = ("completed", "failed", "canceled")


def job_state(airflow: str, control: Control) -> JobState:
    """Tell a job's state.

    Args:
        airflow: state of its run.
        control: what people decided about it.
    """
    state = _STATES[airflow]
    if state == "completed":  # it was faster
        return state
    if control.canceled:
        return "canceled"
    return "paused" if control.paused and state in _UNFINISHED else state


def in_state(state: JobState, controls: Sequence[Row]) -> ColumnElement[bool]:
    """Write the condition that a run's job is in a state.

    Args:
        state: of the job.
        controls: all of them.
    """
    run = tuple_(DagRun.dag_id, DagRun.run_id)
    canceled = run.in_([*_governed(row for row in controls if row.canceled)])
    paused = run.in_([*_governed(row for row in controls if row.paused)])
    if state == "canceled":
        return and_(canceled, DagRun.state != DagRunState.SUCCESS)
    if state == "paused":
        return and_(paused, not_(canceled), DagRun.state.in_(_UNFINISHED))
    own = DagRun.state == next(airflow for airflow, ours in _STATES.items() if ours == state)
    if state == "completed":
        return own
    return (
        and_(own, not_(canceled)) if state == "failed" else and_(own, not_(canceled), not_(paused))
    )


def read_controls(jobs: Sequence[str] | None = None) -> list[Row]:
    """Read what people decided; nothing where it cannot be read: Airflow's states stay.

    Args:
        jobs: ids of those that are meant; None: all.
    """
    try:
        return connected(lambda connection: job_controls.read(connection, jobs))
    except (psycopg.Error, AirflowNotFoundException) as error:
        log.warning("which jobs are paused or canceled cannot be read", kind=type(error).__name__)
        return []


def _governed(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Name the runs that rows hold for, by DAG and run id."""
    for row in rows:
        yield row.dag_id, row.run_id
        if row.dag_id == ALL_LEVELS_DAG:
            yield from level_runs(row.run_id)
