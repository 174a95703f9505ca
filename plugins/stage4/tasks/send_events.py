"""The task of the DAG `send_events`."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from clustering_tasks.settings.deployment import deployment
from stage4.other_runs import state_of_run, states_of_tasks
from stage4.tasks.errors import ERROR, airflow_errors

PERIOD_SECONDS = 60  # of the DAG's schedule
WORK_SECONDS = 50.0  # of a run, as long as jobs go on or events wait
PASS_SECONDS = 2.0  # between two looks

Json = dict[str, Any]


def send_events(ti: Any) -> Json:
    """Note how far the jobs are, and send what is in the outbox; again, while there is more.

    Receivers that are away fail nothing: their events wait for the next run.

    Args:
        ti: the task instance, by which Airflow is asked about runs.

    Returns:
        By receiver the events that were delivered, put off, given up.

    Raises:
        AirflowException: the database went away; nothing is lost, and the next run goes on.
    """
    done: dict[str, Counter[str]] = {}
    stop, until = threading.Event(), time.monotonic() + WORK_SECONDS
    timer = threading.Timer(WORK_SECONDS, stop.set)
    timer.daemon = True
    timer.start()
    try:
        with airflow_errors():
            while _pass(_Runs(ti), done, stop) and time.monotonic() < until - PASS_SECONDS:
                time.sleep(PASS_SECONDS)
    finally:
        timer.cancel()
    return {name: dict(counts) for name, counts in done.items()}


def _pass(runs: "_Runs", done: dict[str, Counter[str]], stop: threading.Event) -> bool:
    """Look once; returns whether another look is worth it before long."""
    from stage4.database import deliveries
    from stage4.database.connection import database
    from stage4.events.observation import observe_jobs
    from stage4.events.receivers import receivers
    from stage4.events.relay import relay_all

    where = deployment()
    keep = timedelta(hours=where.event_hours)
    found = receivers(where)
    with database() as connection:
        going_on = observe_jobs(connection, runs)
        for name, counts in relay_all(found, connection, _connect, keep, stop).items():
            done.setdefault(name, Counter()).update(counts)
        wakes = deliveries.next_attempt(connection, [each.name for each in found])
    soon = datetime.now(UTC) + timedelta(seconds=WORK_SECONDS)
    return going_on > 0 or (wakes is not None and wakes < soon)


def _connect() -> AbstractContextManager[Any]:
    from stage4.database.connection import database

    return database()


class _Runs:
    """Asks Airflow by a task instance (`stage4.events.observation.Runs`)."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def state(self, dag_id: str, run_id: str) -> str | None:
        """State of a run; None: there is none."""
        return state_of_run(self._ti, dag_id, run_id)

    def task_states(self, dag_id: str, run_id: str) -> Mapping[str, str | None]:
        """States of the run's tasks."""
        return states_of_tasks(self._ti, dag_id, run_id)

    def error(self, dag_id: str, run_id: str, failed: str) -> str | None:
        """What `keep_error` has kept of a failed task."""
        from airflow.sdk.bases.xcom import BaseXCom

        from stage4.events.progress import task_of

        task_id, index = task_of(failed)
        message = BaseXCom.get_one(
            key=ERROR, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=index
        )
        return message if isinstance(message, str) else None
