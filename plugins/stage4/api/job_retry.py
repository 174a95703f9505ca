"""Which tasks a retry of a job clears: those that can begin, and whose input is still there."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - as `job_acts`
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select
from upath import UPath

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.steps import FIRST, MAPPED, PLANNING, STEPS
from clustering_tasks.workspace.artefacts import artefact_name, part_name
from stage4.api.problems import ProblemError
from stage4.database.run_records import recorded
from stage4.job_ids import LEVEL_OF_DAG, job_id
from stage4.tasks import LEVEL_TASKS, SINKS

log = structlog.get_logger()

Marker = str | list[str | int]  # a task, or a part of a mapped one

_FAILED = (TaskInstanceState.FAILED, TaskInstanceState.UPSTREAM_FAILED)
# A run goes on without them; sinks do not wait for each other.
_UNNEEDED = {step.name for step in STEPS if step.optional} | {sink.name for sink in SINKS}
_READS: Mapping[str, Sequence[str]] = {
    **{step.name: step.reads for step in STEPS},
    "load_postgres": ("label", "identify"),
    "publish": ("label", "identify"),
    **{sink.name: ("label",) for sink in SINKS},
}


def tasks_to_clear(dag: str, run_id: str, begin: str | None) -> list[Marker]:
    """Name the tasks of a run that are to be cleared, with all behind them.

    Args:
        dag: of the run.
        run_id: Airflow's.
        begin: the first task; None: those that failed, or of a run that was ended without a failed
            one those that have not succeeded. Where these would read what is gone, removed by a
            deletion of documents or by `housekeeping`: the task that makes it.

    Raises:
        ProblemError: 409: the run cannot begin there, or nothing of it has failed.
    """
    rows = _instances(dag, run_id)
    if begin is not None:
        _refuse_early(rows, begin)
    tasks: list[Marker] = [begin] if begin is not None else _unsuccessful(rows)
    if not tasks:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            "No task of this job has failed: name the one to begin with, `from`.",
        )
    level = LEVEL_OF_DAG.get(dag)
    if level is None:
        return tasks
    asked = min(LEVEL_TASKS.index(task) for task in _names(tasks) if task in LEVEL_TASKS)
    possible = _where_all_is_there(rows, level, job_id(dag, run_id), asked)
    if possible == asked:
        return tasks
    if begin is not None:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"What `{begin}` or a task behind it reads is gone: a deletion of documents or "
            f"`housekeeping` has removed it. Begin with `{LEVEL_TASKS[possible]}`.",
        )
    return [LEVEL_TASKS[possible]]


_Row = tuple[str, int, str | None]


def _instances(dag: str, run_id: str) -> list[_Row]:
    columns = (TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
    of_run = (TaskInstance.dag_id == dag, TaskInstance.run_id == run_id)
    with create_session(scoped=False) as session:
        return [
            (each[0], each[1], each[2]) for each in session.execute(select(*columns).where(*of_run))
        ]


def _names(tasks: Sequence[Marker]) -> Iterator[str]:
    return (task if isinstance(task, str) else str(task[0]) for task in tasks)


def _unsuccessful(rows: Sequence[_Row]) -> list[Marker]:
    failed = [row for row in rows if row[2] in _FAILED]
    wanted = failed or [row for row in rows if row[2] != TaskInstanceState.SUCCESS]
    return [task if index < 0 else [task, index] for task, index, _ in wanted]


def _succeeded(rows: Sequence[_Row]) -> set[str]:
    """Name the tasks that have succeeded; of a mapped one, one part is enough."""
    return {task for task, _, state in rows if state == TaskInstanceState.SUCCESS}


def _refuse_early(rows: Sequence[_Row], begin: str) -> None:
    """Refuse to begin behind a task that has not succeeded: the rest would only fail again."""
    if begin not in {task for task, _, _ in rows}:
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"The job was begun by an earlier version, without `{begin}`: submit a new one.",
        )
    before = LEVEL_TASKS[: LEVEL_TASKS.index(begin)]
    enough = _succeeded(rows) | _UNNEEDED
    if missing := next((name for name in before if name not in enough), None):
        raise ProblemError(
            HTTPStatus.CONFLICT,
            f"`{begin}` cannot begin: `{missing}`, before it, has not succeeded. Begin with "
            f"`{missing}`, or retry a failed job without `from`.",
        )


def _where_all_is_there(rows: Sequence[_Row], level: str, job: str, begin: int) -> int:
    """Go back to the task from which on everything that is read is there or is made again."""
    done = _succeeded(rows)
    try:
        if not (UPath(deployment().workspace) / level / "runs").exists():
            return begin  # this server does not see the workspace, or no run has begun
        while gone := _first_gone(level, job, begin, done):
            begin = 0 if gone == FIRST.name else LEVEL_TASKS.index(gone)
    except (OSError, ImportError) as error:  # it may not, or lacks the library of the store
        log.warning("whether a job's work is still there cannot be seen", why=type(error).__name__)
    return begin


def _first_gone(level: str, job: str, begin: int, done: Collection[str]) -> str | None:
    read = {name for task in LEVEL_TASKS[begin:] for name in _READS.get(task, ())}
    before = (name for name in LEVEL_TASKS[:begin] if name in read and name in done)
    return next((name for name in before if _is_gone(level, job, name)), None)


def _is_gone(level: str, job: str, step: str) -> bool:
    if step != MAPPED.name:
        return not _is_there(_record(level, job, step))
    parts = (_record(level, job, PLANNING.name) or {}).get("parts") or []
    found = (_record(level, job, part_name(part["part"])) for part in parts)
    # A part without a record may have failed: `merge` judges that.
    return not all(_is_there(record) for record in found if record is not None)


def _record(level: str, job: str, name: str) -> dict[str, Any] | None:
    """Read a result; None: there is none, empty: it is damaged."""
    try:
        return recorded(level, job, name)
    except orjson.JSONDecodeError:
        return {}


def _is_there(record: Mapping[str, Any] | None) -> bool:
    """Whether a result's artefact is whole; a step may see it at another path."""
    if not record:
        return False
    artefact = UPath(deployment().workspace) / artefact_name(record["uri"])
    return (artefact / "result.json").exists()
