"""What Airflow reports of runs, noted for the outbox. It only inserts, and it never fails a run.

| hook | called in | notes |
| --- | --- | --- |
| a task starts | the task's process | that its run has started |
| a run fails | the API server, where a user has marked it | that the job is canceled |

The scheduler calls the second hook, too, inside its own transaction: there nothing is done. The
ends of all other runs are read by the relay (`stage4.events.observation`).

Every process of Airflow imports this module.
"""

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from stage4.job_ids import LEVEL_OF_DAG

if TYPE_CHECKING:
    from stage4.database.job_events import Fact
    from stage4.database.outbox import JobName

_BY_A_USER = "manually set"  # in Airflow's message

log = logging.getLogger(__name__)


@hookimpl
def on_task_instance_running(task_instance: Any) -> None:
    """Note the start of the run; the first of its tasks that can makes the note."""
    level = LEVEL_OF_DAG.get(task_instance.dag_id)
    if level is None or (task_instance.map_index or -1) > 0 or not _wanted():
        return
    from stage4.conf import callback_url
    from stage4.database.job_events import Started
    from stage4.events.callbacks import allowed_callback

    run = task_instance.get_template_context()["dag_run"]
    started = run.start_date or datetime.now(UTC)
    name = _name(level, run, allowed_callback(callback_url(run.conf)))
    _note(name, Started(started))


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Note that a user has ended a run."""
    level = LEVEL_OF_DAG.get(dag_run.dag_id)
    if level is None or _BY_A_USER not in msg or not _wanted():
        return
    from stage4.database.job_events import Canceled

    # In a thread of its own: the look-up of a connection would use this one's session.
    name, fact = _name(level, dag_run), Canceled(datetime.now(UTC))
    threading.Thread(target=_note, args=(name, fact), daemon=True).start()


def _wanted() -> bool:
    from clustering_tasks.errors import SettingsError
    from clustering_tasks.settings.deployment import deployment

    try:
        return deployment().sends_events
    except SettingsError:  # the DAG files report it
        return False


def _name(level: str, run: Any, callback_url: str | None = None) -> "JobName":
    from stage4.database.outbox import JobName
    from stage4.job_ids import job_id

    return JobName(job_id(run.dag_id, run.run_id), level, run.run_id, callback_url)


def _note(name: "JobName", fact: "Fact") -> None:
    import psycopg
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException

    from clustering_tasks.settings.deployment import deployment
    from stage4.database.direct import brief_connection
    from stage4.database.outbox import note

    try:
        connection = BaseHook.get_connection(deployment().postgres_conn_id)
        with brief_connection(connection) as connected:
            note(connected, name, [fact])
    except (psycopg.Error, AirflowException, OSError) as error:
        log.warning(
            "the run goes on, and no event says so yet: the results database cannot be used (%s)",
            type(error).__name__,
        )
