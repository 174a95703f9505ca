"""What Airflow says of the jobs whose end is not known yet, as facts for the outbox.

The relay's task asks: unlike a listener in the scheduler it can wait, ask again, and miss nothing
that happened while it, or the database, was away.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from airflow.utils.state import DagRunState, TaskInstanceState

from stage4.database import outbox
from stage4.database.connection import Database
from stage4.database.job_events import Ended, Fact, Progressed
from stage4.database.outbox import JobName
from stage4.events.progress import percent_of_run


class Runs(Protocol):
    """What a task can ask Airflow about the runs of other DAGs."""

    def state(self, dag_id: str, run_id: str) -> str | None:
        """State of a run; None: there is no such run any more."""

    def task_states(self, dag_id: str, run_id: str) -> Mapping[str, str | None]:
        """States of its tasks, as the SDK's `get_task_states` returns them."""

    def error(self, dag_id: str, run_id: str, failed: str) -> str | None:
        """Why a task has failed, by its name in `task_states`; None: nothing was kept."""


def observe_jobs(connection: Database, runs: Runs) -> int:
    """Note how far the unfinished jobs are; returns the number of those that go on."""
    going_on = 0
    for name in outbox.unfinished(connection):
        fact = fact_of(name, runs, datetime.now(UTC))
        if fact is not None:
            outbox.note(connection, name, [fact])
        going_on += not isinstance(fact, Ended)
    return going_on


def fact_of(name: JobName, runs: Runs, now: datetime) -> Fact | None:
    """Ask how far a job is; None: it waits."""
    assert name.run_id is not None  # noqa: S101 - only those are read
    dag_id = name.job_id.partition(".")[0]
    state = runs.state(dag_id, name.run_id)
    if state is None:
        return Ended(now, "failed", "the run was deleted in Airflow")
    if state == DagRunState.SUCCESS:
        return Ended(now, "success")
    states = runs.task_states(dag_id, name.run_id)
    if state == DagRunState.FAILED:
        return Ended(now, "failed", _error(dag_id, name.run_id, states, runs))
    return Progressed(now, percent_of_run(states)) if states else None


def _error(dag_id: str, run_id: str, states: Mapping[str, str | None], runs: Runs) -> str | None:
    failed = sorted(task for task, state in states.items() if state == TaskInstanceState.FAILED)
    for task in failed:
        if message := runs.error(dag_id, run_id, task):
            return f"{task}: {message}"
    return f"{', '.join(failed)}: the log of the task in Airflow has more" if failed else None
