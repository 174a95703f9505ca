"""The outbox: events are rows, written in the transaction of what they are about.

The row of the job is locked first, until that transaction ends: so the sequence of a job's events
has no gap, and is the order of their commits.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import psycopg
from airflow.configuration import conf
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from clustering_tasks.settings.deployment import deployment
from stage4.database.job_events import Event, Fact, Job, observe_all

if TYPE_CHECKING:  # it imports the provider, 0.7 s for each task's process
    from stage4.database.connection import Database

API_PATH = "/stage4/api/v1"
URN = "urn:stage4:clustering"

_LOCK_JOB = """
INSERT INTO stage4.event_jobs (job_id, level, run_id, callback_url)
VALUES (%(job_id)s, %(level)s, %(run_id)s, %(callback_url)s)
ON CONFLICT (job_id) DO UPDATE SET
    run_id = coalesce(excluded.run_id, event_jobs.run_id),
    callback_url = coalesce(excluded.callback_url, event_jobs.callback_url)
RETURNING job_id, level, state, started_at, ended_at, percent, progress_at
"""
_STORE_JOB = """
UPDATE stage4.event_jobs SET (state, started_at, ended_at, percent, progress_at, changed_at)
    = (%s, %s, %s, %s, %s, now())
WHERE job_id = %s
"""
_KNOWN = "SELECT EXISTS (SELECT FROM stage4.outbox WHERE job_id = %s AND key = %s)"
_NEXT = """
UPDATE stage4.event_jobs SET last_sequence = last_sequence + 1 WHERE job_id = %s
RETURNING last_sequence
"""
_INSERT = """
INSERT INTO stage4.outbox
    (job_id, sequence, key, type, source, traceparent, data, created_at, routed_at)
VALUES (%(job_id)s, %(sequence)s, %(key)s, %(type)s, %(source)s, %(traceparent)s, %(data)s,
    %(at)s, CASE WHEN %(sent)s THEN NULL ELSE now() END)
"""
# Without what was only registered: nobody is told of a job that began while nobody listened.
_UNFINISHED = """
SELECT job_id, level, run_id FROM stage4.event_jobs
WHERE ended_at IS NULL AND run_id IS NOT NULL
AND (started_at IS NOT NULL OR state IN ('queued', 'paused')) ORDER BY job_id
"""
_REGISTER = """
INSERT INTO stage4.event_jobs (job_id, level, run_id) VALUES (%(job_id)s, %(level)s, %(run_id)s)
ON CONFLICT (job_id) DO UPDATE SET run_id = excluded.run_id
"""
_REGISTERED = """
SELECT job_id, level, run_id FROM stage4.event_jobs
WHERE level = %s AND run_id IS NOT NULL ORDER BY job_id
"""
_PRUNE_EVENTS = """
DELETE FROM stage4.outbox USING stage4.event_jobs
WHERE outbox.job_id = event_jobs.job_id AND level = %(level)s
AND created_at < now() - make_interval(days => %(days)s)
"""
# A job that is cleared later on numbers its events from the start again; one that is not over goes
# on: it may be paused for longer than anything is kept.
_PRUNE_JOBS = """
DELETE FROM stage4.event_jobs
WHERE level = %(level)s AND changed_at < now() - make_interval(days => %(days)s)
AND NOT job_id = ANY(%(live)s)
AND NOT EXISTS (SELECT FROM stage4.outbox WHERE outbox.job_id = event_jobs.job_id)
"""


@dataclass(frozen=True)
class JobName:
    """A job, and what is known of it from outside its events.

    Attributes:
        job_id: the run.
        level: plural name.
        run_id: Airflow's id of it; None: not known here.
        callback_url: checked address of the run's own receiver; None: none, or not known here.
    """

    job_id: str
    level: str
    run_id: str | None = None
    callback_url: str | None = None


def note(connection: "Database", name: JobName, facts: Sequence[Fact]) -> Job:
    """Take note of facts about a job, and write the events that they cause.

    All of it is part of the connection's transaction, if it is in one. Facts that are known cause
    nothing (`stage4.database.job_events.observe`).

    Raises:
        psycopg.Error: nothing was written.
    """
    with connection.transaction():
        before = _lock(connection, name)
        after, events = observe_all(before, facts)
        if after != before:
            *values, job = (*astuple(after)[2:], after.job_id)
            connection.execute(_STORE_JOB, [*values, job])
        for event in events:
            _write(connection, name.job_id, event)
    return after


def write(connection: "Database", name: JobName, event: Event) -> None:
    """Write an event that is not about the job's state, in the connection's transaction."""
    with connection.transaction():
        _lock(connection, name)
        _write(connection, name.job_id, event)


def unfinished(connection: "Database") -> Iterator[JobName]:
    """Read the jobs whose end is not known yet."""
    for job_id, level, run_id in connection.execute(_UNFINISHED).fetchall():
        yield JobName(job_id, level, run_id)


def register(connection: "Database", name: JobName) -> None:
    """Keep a run's name in Airflow, whether anybody is told of its job or not."""
    connection.execute(_REGISTER, vars(name))


def registered(connection: "Database", level: str) -> list[JobName]:
    """Read the names of a level's jobs that have begun, whatever has become of them."""
    return [JobName(*row) for row in connection.execute(_REGISTERED, [level]).fetchall()]


def prune(connection: "Database", level: str, keep_days: int, live: Collection[str]) -> int:
    """Remove a level's events of so many days ago, delivered or not; returns their number.

    Args:
        connection: to the results database.
        level: plural name.
        keep_days: age from which they go, and jobs without events.
        live: jobs that are not over by Airflow's word: they stay.
    """
    values = {"level": level, "days": keep_days, "live": [*live]}
    with connection.transaction():
        removed = connection.execute(_PRUNE_EVENTS, values).rowcount
        connection.execute(_PRUNE_JOBS, values)
    return removed


def trace_of(job_id: str, sequence: int) -> str:
    """Name an event's place in a trace (W3C `traceparent`): one trace for a job, not sampled."""
    trace = sha256(job_id.encode()).hexdigest()[:32]
    span = sha256(f"{job_id} {sequence}".encode()).hexdigest()[:16]
    return f"00-{trace}-{span}-00"


def server() -> str:
    """Address of Airflow as its configuration has it; empty where it has none."""
    return conf.get("api", "base_url", fallback="").rstrip("/")


def _lock(connection: "Database", name: JobName) -> Job:
    with connection.cursor(row_factory=class_row(Job)) as cursor:
        locked = cursor.execute(_LOCK_JOB, vars(name)).fetchone()
    if locked is None:
        raise psycopg.OperationalError(f"the row of job {name.job_id} has vanished")
    return locked


def _write(connection: "Database", job_id: str, event: Event) -> None:
    if event.key is not None and connection.execute(_KNOWN, [job_id, event.key]).fetchone() == (
        True,
    ):
        return
    row = connection.execute(_NEXT, [job_id]).fetchone()
    assert row is not None  # noqa: S101 - it is locked
    address = server()
    values = {
        "job_id": job_id,
        "sequence": row[0],
        "key": event.key,
        "type": event.type,
        "source": f"{address}{API_PATH}" if address else URN,
        "traceparent": trace_of(job_id, row[0]),
        "data": Jsonb(event.data),
        "at": event.at,
        # Else a receiver that is set up later would get all that ever happened.
        "sent": deployment().sends_events,
    }
    connection.execute(_INSERT, values)
