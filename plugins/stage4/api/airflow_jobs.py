"""Runs of Stage 4's DAGs, read from Airflow's own database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from airflow.api.common.trigger_dag import trigger_dag
from airflow.exceptions import DagNotFound, DagRunAlreadyExists

# The API server is the process that has Airflow's database; a task has not.
from airflow.models.dag import DagModel  # noqa: TID251
from airflow.models.dagrun import DagRun  # noqa: TID251
from airflow.models.taskinstance import TaskInstance  # noqa: TID251
from airflow.models.xcom import XComModel  # noqa: TID251
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType
from sqlalchemy import and_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from clustering_tasks.steps import MAPPED
from stage4.api.gpus import newest_gpus
from stage4.api.job_errors import error_of_task, why_ended
from stage4.api.job_forecast import forecast
from stage4.api.job_progress import TELLING, Instance, progress_of
from stage4.api.job_states import in_state, job_state, read_controls
from stage4.api.models.installation import Gpu
from stage4.api.models.jobs import Job, JobDetails, JobState
from stage4.api.security import DELETE_DOCUMENT_DAG
from stage4.database.job_controls import Row, control_of
from stage4.job_ids import LEVEL_OF_DAG, governing_ids, job_id
from stage4.tasks.errors import ERROR
from stage4.tasks.level import IDLE_SETTINGS

log = structlog.get_logger()

_NEWEST_TASKS = 200  # some runs of all levels
_ERROR_OF_TASK = and_(
    XComModel.dag_id == TaskInstance.dag_id,
    XComModel.run_id == TaskInstance.run_id,
    XComModel.task_id == TaskInstance.task_id,
    XComModel.map_index == TaskInstance.map_index,
    XComModel.key == ERROR,
)


@dataclass(frozen=True)
class Listed:
    """A job, and its place in the list."""

    number: int
    job: Job


def list_jobs(
    dags: Sequence[str], state: JobState | None, before: int | None, limit: int
) -> list[Listed]:
    """Read jobs, newest first.

    Args:
        dags: ids of the DAGs whose runs are meant.
        state: only those in it; None: all.
        before: only those with a lesser number.
        limit: most jobs.
    """
    controls = read_controls()
    statement = (
        select(DagRun, DagModel.is_paused)
        .outerjoin(DagModel, DagModel.dag_id == DagRun.dag_id)
        .where(DagRun.dag_id.in_(dags))
        .order_by(DagRun.id.desc())
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(in_state(state, controls))
    if before is not None:
        statement = statement.where(DagRun.id < before)
    with create_session(scoped=False) as session:
        rows = session.execute(statement).all()
        return [Listed(run.id, Job(**_job(run, bool(paused), controls))) for run, paused in rows]


def read_job(name: str) -> JobDetails | None:
    """Read a job with its progress; None: there is no such job."""
    dag, _, _ = name.partition(".")
    with create_session(scoped=False) as session:
        # Job ids are made from run ids and cannot be turned back: only the ids are read here.
        run_ids = session.scalars(select(DagRun.run_id).where(DagRun.dag_id == dag))
        run_id = next((each for each in run_ids if job_id(dag, each) == name), None)
        if run_id is None:
            return None
        run = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag, DagRun.run_id == run_id)
        ).one()
        paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag))
        controls = read_controls(governing_ids(dag, run_id))
        return JobDetails(
            **_job(run, bool(paused), controls), **_progress(session, run), **forecast(session, run)
        )


def read_gpus() -> list[Gpu]:
    """Read what the newest `cluster` tasks have measured of each GPU, on whatever worker it is."""
    statement = (
        select(XComModel.dag_id, XComModel.run_id, XComModel.value)
        .where(
            XComModel.dag_id.in_(LEVEL_OF_DAG),
            XComModel.task_id == MAPPED.name,
            XComModel.key == "return_value",
        )
        .order_by(XComModel.timestamp.desc())
        .limit(_NEWEST_TASKS)
    )
    with create_session(scoped=False) as session:
        rows = session.execute(statement).all()
    return newest_gpus((job_id(row.dag_id, row.run_id), row.value) for row in rows)


def start_deletion(deletion_id: int) -> None:
    """Start the DAG `delete_document`; where it cannot be, its next scheduled run does the work.

    Args:
        deletion_id: names the run, so that a deletion that is asked for twice starts one.
    """
    make_run(DELETE_DOCUMENT_DAG, f"deletion__{deletion_id}")


def make_run(dag: str, run_id: str) -> bool:
    """Make a run in the name of no user; returns whether it is new.

    False: it exists, perhaps since a moment ago, or Airflow does not know the DAG, or its database
    fails. Somebody has to look again later on.
    """
    try:
        trigger_dag(dag, triggered_by=DagRunTriggeredByType.REST_API, run_id=run_id)
    except (DagNotFound, DagRunAlreadyExists, DBAPIError) as error:
        log.info("no run was started", dag=dag, why=type(error).__name__)
        return False
    return True


def state_of_run(dag: str, run_id: str) -> str | None:
    """Read Airflow's state of a run; None: there is no such run."""
    with create_session(scoped=False) as session:
        state = session.scalar(
            select(DagRun.state).where(DagRun.dag_id == dag, DagRun.run_id == run_id)
        )
    return None if state is None else str(state)


def _job(run: DagRun, paused: bool, controls: Sequence[Row]) -> dict[str, Any]:
    return {
        "job_id": job_id(run.dag_id, run.run_id),
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "level": LEVEL_OF_DAG.get(run.dag_id),
        "state": job_state(str(run.state), control_of(controls, run.dag_id, run.run_id)),
        "paused": paused,
        "queued_at": run.queued_at,
        "started_at": run.start_date,
        "ended_at": run.end_date,
    }


def _progress(session: Session, run: DagRun) -> dict[str, Any]:
    rows = session.execute(
        select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
        .where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
        .order_by(TaskInstance.start_date.asc().nulls_last(), TaskInstance.task_id)
    ).all()
    found = [Instance(*row) for row in rows]
    progress = progress_of(found, _returned(session, run), str(run.state))
    return progress | {
        "idle_settings": _idle_settings(session, run),
        "error": _error(session, run),
    }


def _error(session: Session, run: DagRun) -> str | None:
    """Read the message of the task that failed first; None: nothing has failed."""
    failed = session.execute(
        select(TaskInstance.task_id, TaskInstance.map_index, XComModel.value)
        .outerjoin(XComModel, _ERROR_OF_TASK)
        .where(
            TaskInstance.dag_id == run.dag_id,
            TaskInstance.run_id == run.run_id,
            TaskInstance.state == TaskInstanceState.FAILED,
        )
        .order_by(TaskInstance.end_date.asc().nulls_last(), TaskInstance.map_index)
        .limit(1)
    ).first()
    if failed is None:
        return why_ended(run.start_date, run.end_date) if run.state == DagRunState.FAILED else None
    return error_of_task(*failed)


def _idle_settings(session: Session, run: DagRun) -> list[dict[str, Any]] | None:
    """Read what `check_stage3` has found; None: it has not ended, or is of an earlier version."""
    found: list[dict[str, Any]] | None = session.scalar(
        select(XComModel.value).where(
            XComModel.dag_id == run.dag_id,
            XComModel.run_id == run.run_id,
            XComModel.task_id == "check_stage3",
            XComModel.key == IDLE_SETTINGS,
        )
    )
    return found


def _returned(session: Session, run: DagRun) -> dict[str, Any]:
    """Read the results of the tasks that tell how much there is to do, and what was found."""
    rows = session.execute(
        select(XComModel.task_id, XComModel.value).where(
            XComModel.dag_id == run.dag_id,
            XComModel.run_id == run.run_id,
            XComModel.task_id.in_(TELLING),
            XComModel.key == "return_value",
        )
    )
    return {row.task_id: row.value for row in rows}
