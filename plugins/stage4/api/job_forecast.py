"""When a job may be done, by what stands before it and by how long its DAG's jobs have taken."""

from statistics import median
from typing import Any

from airflow.models.dagrun import DagRun  # noqa: TID251 - the API server has Airflow's database
from airflow.utils.state import DagRunState, State
from sqlalchemy import func, select
from sqlalchemy.orm import Session

_LOOKED_AT = 20


def forecast(session: Session, run: DagRun) -> dict[str, Any]:
    """Tell a job's place in the queue, and how long it may take.

    Args:
        session: of Airflow's database.
        run: of the job.

    Returns:
        `jobs_before`, `expected_seconds`: see `models.jobs.Forecast`.
    """
    seconds = _seconds(session, run.dag_id)
    return {
        "jobs_before": _before(session, run) if run.state in State.unfinished_dr_states else None,
        "expected_seconds": round(median(seconds), 1) if seconds else None,
    }


def _before(session: Session, run: DagRun) -> int:
    return (
        session.scalar(
            select(func.count())
            .select_from(DagRun)
            .where(
                DagRun.dag_id == run.dag_id,
                DagRun.state.in_(State.unfinished_dr_states),
                DagRun.id < run.id,
            )
        )
        or 0
    )


def _seconds(session: Session, dag: str) -> list[float]:
    """Read how long the last completed jobs of a DAG have taken, once it was their turn."""
    rows = session.execute(
        select(DagRun.start_date, DagRun.end_date)
        .where(
            DagRun.dag_id == dag,
            DagRun.state == DagRunState.SUCCESS,
            DagRun.start_date.is_not(None),
            DagRun.end_date.is_not(None),
        )
        .order_by(DagRun.id.desc())
        .limit(_LOOKED_AT)
    ).all()
    return [(row.end_date - row.start_date).total_seconds() for row in rows]
