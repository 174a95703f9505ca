"""Stage 3's events and the runs that they ask for: the rows of both, and the decisions' effects.

Everything is committed in one transaction, and the run is made in Airflow behind it. Whoever ends
in between leaves a row that names a run which is absent in Airflow; the next look makes it. Airflow
refuses a second run of the same id.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from clustering_tasks.stage3.events import Stage3Event

if TYPE_CHECKING:  # it imports the provider, 0.7 s for the triggerer
    from stage4.database.connection import Database

Way = Literal["stream", "webhook", "asset"]

_STORE = """
INSERT INTO stage4.stage3_events
    (type, stage3_job, level, total_embeddings, received_by, received_at)
VALUES (%(type)s, %(job)s, %(level)s, %(embeddings)s, %(way)s, coalesce(%(at)s, now()))
ON CONFLICT (type, stage3_job, level, coalesce(total_embeddings, -1)) DO NOTHING
"""
_NEWEST_OF_ASSETS = "SELECT max(received_at) FROM stage4.stage3_events WHERE received_by = 'asset'"
_RUN = """
SELECT run_id FROM stage4.stage3_events
WHERE type = %(type)s AND stage3_job = %(job)s AND level = %(level)s
AND total_embeddings IS NOT DISTINCT FROM %(embeddings)s
"""
# Decisions follow one another; events come in meanwhile.
_LOCK = "LOCK TABLE stage4.requested_runs IN EXCLUSIVE MODE"
_WAITING = """
SELECT number, total_embeddings FROM stage4.stage3_events
WHERE level = %s AND run_id IS NULL ORDER BY number
"""
_REQUESTED = "SELECT run_id FROM stage4.requested_runs WHERE level = %s AND begun_at IS NULL"
_BEGUN = """
UPDATE stage4.requested_runs SET begun_at = now()
WHERE level = %s AND run_id = %s AND begun_at IS NULL
"""
_REQUEST = "INSERT INTO stage4.requested_runs (level, run_id) VALUES (%s, %s)"
_ASSIGN = "UPDATE stage4.stage3_events SET run_id = %s WHERE number = ANY(%s)"
_OPEN = """
SELECT level FROM stage4.stage3_events WHERE run_id IS NULL
UNION SELECT level FROM stage4.requested_runs WHERE begun_at IS NULL ORDER BY level
"""
_PRUNE_EVENTS = """
DELETE FROM stage4.stage3_events
WHERE level = %(level)s AND received_at < now() - make_interval(days => %(days)s)
AND run_id IS NOT NULL
"""
_PRUNE_RUNS = """
DELETE FROM stage4.requested_runs
WHERE level = %(level)s AND begun_at < now() - make_interval(days => %(days)s)
"""


@dataclass(frozen=True)
class Arrival:
    """An event as it came in.

    Attributes:
        type, job, level: what makes it the same as another one, with
        embeddings: that it announces; None: it does not say.
        way: by which it came.
        at: when, where the way tells.
    """

    type: str
    job: str
    level: str
    embeddings: int | None
    way: Way
    at: datetime | None = None


def arrival(event: Stage3Event, way: Way) -> Arrival:
    """Take an event of Stage 3's own form."""
    level = event.embedding_type
    return Arrival(event.event_type, event.job_id, level, event.total_embeddings, way)


def store(connection: "Database", arrivals: Iterable[Arrival]) -> int:
    """Store events, all or none; returns how many were not known before.

    Raises:
        psycopg.Error: nothing was stored.
    """
    values = [vars(each) for each in arrivals]
    if not values:
        return 0
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_STORE, values)
        return cursor.rowcount


def run_of(connection: "Database", event: Arrival) -> str | None:
    """Airflow's id of the run that an event is for; None: it waits."""
    row = connection.execute(_RUN, vars(event)).fetchone()
    return None if row is None else row[0]


def newest_of_assets(connection: "Database") -> datetime | None:
    """Time of the newest event of an asset that is stored; None: there is none."""
    row = connection.execute(_NEWEST_OF_ASSETS).fetchone()
    return None if row is None else row[0]


def open_levels(connection: "Database") -> list[str]:
    """Levels with an event that waits or a run that has not begun."""
    return [level for (level,) in connection.execute(_OPEN).fetchall()]


def lock(connection: "Database") -> None:
    """Let no other decision be made until the transaction ends."""
    connection.execute(_LOCK)


def waiting(connection: "Database", level: str) -> list[tuple[int, int | None]]:
    """Number and announced embeddings of the events that no run is for yet."""
    return connection.execute(_WAITING, [level]).fetchall()


def requested(connection: "Database", level: str) -> str | None:
    """The run that was asked for and has not begun; None: there is none."""
    row = connection.execute(_REQUESTED, [level]).fetchone()
    return None if row is None else row[0]


def mark_begun(connection: "Database", level: str, run_id: str) -> None:
    """Store that a run begins to read Stage 3's files: it takes no more events.

    Any other run is none of those that were asked for, and nothing is stored. A decision that is
    being made is waited for.
    """
    connection.execute(_BEGUN, [level, run_id])


def request(connection: "Database", level: str, run_id: str) -> None:
    """Ask for a run.

    Raises:
        psycopg.errors.UniqueViolation: another one of the level has not begun.
    """
    connection.execute(_REQUEST, [level, run_id])


def assign(connection: "Database", numbers: Iterable[int], run_id: str) -> None:
    """Let a run be for events."""
    connection.execute(_ASSIGN, [run_id, [*numbers]])


def prune(connection: "Database", level: str, keep_days: int) -> int:
    """Remove a level's events of so many days ago, but for waiting ones; returns their number."""
    values = {"level": level, "days": keep_days}
    with connection.transaction():
        removed = connection.execute(_PRUNE_EVENTS, values).rowcount
        connection.execute(_PRUNE_RUNS, values)
    return removed
