"""Tasks that a person can pause and cancel: each looks at its job before it starts.

A task of a paused job is deferred: it holds neither a slot nor a place in a pool, and starts soon
after the job is resumed. Airflow's own pausing of a DAG is another thing: it holds for all runs.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import structlog
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from stage4.job_ids import LEVEL_OF_DAG, governing_ids, job_id

POLL_SECONDS = 5.0

log = structlog.get_logger()


class PausableOperator(BaseOperator):
    """A task that does not start while its job is paused, and fails when it was canceled."""

    def pre_execute(self, context: Context) -> None:
        """Look at the job, at every try and after every pause.

        Raises:
            AirflowFailException: the job was canceled.
            TaskDeferred: it is paused.
        """
        self.wait_while_paused(context)

    def wait_while_paused(self, context: Context) -> None:
        """Defer the task of a paused job; see `pre_execute`."""
        dag_id, run_id = context["dag_run"].dag_id, context["run_id"]
        paused, canceled = _state_of(dag_id, run_id)
        if canceled:
            raise AirflowFailException(
                f"job {job_id(dag_id, run_id)} was canceled: submit a new one"
            )
        if paused:
            self.log.info("the job is paused: the task waits until it is resumed")
            trigger = ResumeTrigger(dag_id=dag_id, run_id=run_id)
            self.defer(trigger=trigger, method_name="execute_after_pause")

    def is_canceled(self, context: Context) -> bool:
        """Tell whether the job was canceled; no, where that cannot be told."""
        return _state_of(context["dag_run"].dag_id, context["run_id"])[1]

    def execute_after_pause(self, context: Context, event: Any = None) -> Any:
        """Start the work after all."""
        del event
        return self.execute(context)


class ResumeTrigger(BaseTrigger):
    """Fires when a job is paused no longer."""

    def __init__(self, dag_id: str, run_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.of_dag = dag_id
        self.of_run = run_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Tell the triggerer how to make this again."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {"dag_id": self.of_dag, "run_id": self.of_run}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the job until its tasks may start, or are to fail."""
        while True:
            # A database that is down says nothing: what was paused stays so.
            found = await sync_to_async(_try_to_read)(self.of_dag, self.of_run)
            if found is not None and (not found[0] or found[1]):
                yield TriggerEvent("resumed")  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(POLL_SECONDS)


def _state_of(dag_id: str, run_id: str) -> tuple[bool, bool]:
    """Tell whether a job is paused, and canceled; neither, where it cannot be told.

    A run does not fail for want of this: only tasks that need the database do without it.
    """
    if dag_id not in LEVEL_OF_DAG:
        return False, False
    return _try_to_read(dag_id, run_id) or (False, False)


def _try_to_read(dag_id: str, run_id: str) -> tuple[bool, bool] | None:
    from stage4.database import job_controls
    from stage4.database.connection import database

    try:
        with database() as connection:
            rows = job_controls.read(connection, governing_ids(dag_id, run_id))
    except AirflowException as error:
        log.warning("whether the job is paused cannot be read", problem=str(error))
        return None
    control = job_controls.control_of(rows, dag_id, run_id)
    return control.paused, control.canceled
