"""What people do with jobs, noted for the outbox (`stage4.database.outbox`).

Starts, progress and ends are noted elsewhere: `stage4.events`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg
import structlog

from clustering_tasks.settings.deployment import deployment
from stage4.api.pool import connected
from stage4.conf import callback_url
from stage4.database import job_controls
from stage4.database.connection import Database
from stage4.database.job_events import Created, Fact, Paused, Resumed
from stage4.database.outbox import JobName, note
from stage4.job_ids import LEVEL_OF_DAG, governing_ids, job_id

log = structlog.get_logger()


def note_creation(dag_id: str, run_id: str, conf: dict[str, Any]) -> None:
    """Note that a job waits for its start.

    The run exists by then: where the database is away, its first task makes the note.

    Args:
        dag_id: of the run.
        run_id: Airflow's.
        conf: of the run; a callback in it has been checked.
    """
    if not _told(dag_id):
        return
    name = _name(dag_id, run_id, callback_url(conf))
    try:
        connected(lambda to: note(to, name, [Created(datetime.now(UTC))]))
    except psycopg.Error as error:
        log.warning("no event tells of a job yet", job=name.job_id, error=type(error).__name__)


def note_pauses(connection: Database, runs: Iterable[tuple[str, str]]) -> None:
    """Note whether jobs are paused now, in the transaction that decides it.

    A level's job is paused as long as it, or the job of all levels that started it, is.

    Args:
        connection: in that transaction.
        runs: by DAG and run id; those of all levels have no events.
    """
    now = datetime.now(UTC)
    for dag_id, run_id in runs:
        if not _told(dag_id):
            continue
        rows = job_controls.read(connection, governing_ids(dag_id, run_id))
        paused = job_controls.control_of(rows, dag_id, run_id).paused
        facts: list[Fact] = [Created(now), Paused(now) if paused else Resumed(now)]
        note(connection, _name(dag_id, run_id), facts)


def _told(dag_id: str) -> bool:
    return deployment().sends_events and dag_id in LEVEL_OF_DAG


def _name(dag_id: str, run_id: str, url: str | None = None) -> JobName:
    return JobName(job_id(dag_id, run_id), LEVEL_OF_DAG[dag_id], run_id, url)
