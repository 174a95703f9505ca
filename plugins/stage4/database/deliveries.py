"""What each receiver gets of the outbox, and how far that has come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from psycopg.rows import class_row

from stage4.database.connection import Database

CALLBACK = "callback"  # stands for the receiver that a run names itself

DeliveryState = Literal["pending", "delivered", "given_up"]

_ROUTERS = 0x57A6E5  # one at a time: a job's later event is never routed before an earlier one
_SENDERS = 0x57A6E6
_MOST_ROUTED = 2000
_UNROUTED = """
SELECT number, outbox.job_id, type, callback_url FROM stage4.outbox JOIN stage4.event_jobs
USING (job_id) WHERE routed_at IS NULL ORDER BY number LIMIT %s
"""
_INSERT = """
INSERT INTO stage4.deliveries (number, receiver, job_id) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
"""
_ROUTED = "UPDATE stage4.outbox SET routed_at = now() WHERE number = ANY(%s)"
# In order within a job: what waits behind an event that waits for its next attempt, waits too.
_DUE = """
WITH held AS (
    SELECT job_id, min(number) AS number FROM stage4.deliveries
    WHERE receiver = %(receiver)s AND state = 'pending' AND next_attempt_at > %(now)s
    GROUP BY job_id
)
SELECT number, receiver, deliveries.job_id, attempts, refusals, since, event_id::text, sequence,
    type, source, traceparent, data, created_at, callback_url
FROM stage4.deliveries JOIN stage4.outbox USING (number)
JOIN stage4.event_jobs ON event_jobs.job_id = deliveries.job_id
WHERE receiver = %(receiver)s AND deliveries.state = 'pending'
AND NOT EXISTS (
    SELECT FROM held WHERE held.job_id = deliveries.job_id AND held.number <= deliveries.number
)
AND NOT EXISTS (
    SELECT FROM stage4.event_receivers
    WHERE event_receivers.receiver = %(receiver)s AND retry_at > %(now)s
)
ORDER BY number LIMIT %(limit)s
"""
_SETTLE = """
UPDATE stage4.deliveries SET state = %(state)s, attempts = attempts + 1,
    refusals = refusals + %(refused)s::int, last_error = %(error)s,
    next_attempt_at = %(next)s, delivered_at = CASE WHEN %(state)s = 'delivered' THEN %(now)s END
WHERE number = %(number)s AND receiver = %(receiver)s AND state = 'pending'
"""
_ANSWERS = "DELETE FROM stage4.event_receivers WHERE receiver = %s"
_SILENT = """
INSERT INTO stage4.event_receivers (receiver, failures, retry_at, last_error)
VALUES (%(receiver)s, %(failures)s, %(retry_at)s, %(error)s)
ON CONFLICT (receiver) DO UPDATE SET failures = excluded.failures,
    retry_at = excluded.retry_at, last_error = excluded.last_error
"""
_FAILURES = "SELECT failures FROM stage4.event_receivers WHERE receiver = %s"
_COUNTS = """
SELECT receiver, deliveries.state, count(*) AS events, min(created_at) AS oldest
FROM stage4.deliveries JOIN stage4.outbox USING (number)
WHERE deliveries.state <> 'delivered' GROUP BY 1, 2 ORDER BY 1, 2
"""
# The first one of each job: the others wait for it.
_WAKES = """
SELECT min(greatest(next_attempt_at, coalesce(retry_at, next_attempt_at)))
FROM (
    SELECT DISTINCT ON (receiver, job_id) receiver, next_attempt_at FROM stage4.deliveries
    WHERE state = 'pending' AND receiver = ANY(%s) ORDER BY receiver, job_id, number
) first LEFT JOIN stage4.event_receivers USING (receiver)
"""
_RESEND = """
UPDATE stage4.deliveries SET state = 'pending', attempts = 0, refusals = 0, since = now(),
    next_attempt_at = now()
FROM stage4.outbox
WHERE outbox.number = deliveries.number AND deliveries.state = 'given_up'
AND (%(receiver)s::text IS NULL OR receiver = %(receiver)s)
AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s)
AND (%(job_id)s::text IS NULL OR outbox.job_id = %(job_id)s)
AND (%(levels)s::text[] IS NULL OR outbox.job_id IN (
    SELECT job_id FROM stage4.event_jobs WHERE level = ANY(%(levels)s)
))
"""


@dataclass(frozen=True)
class Due:
    """An event that a receiver is to get now.

    Attributes:
        number: of the outbox, ascending in the order of sending.
        receiver: name.
        job_id: of the event; its events are sent in their order.
        attempts: how often it was sent without success.
        refusals: how often the receiver refused this very event.
        since: when it was first to be sent, or asked to be sent again.
        event_id, sequence, type, source, traceparent, data, created_at: of the event.
        callback_url: of the job; None: it has none.
    """

    number: int
    receiver: str
    job_id: str
    attempts: int
    refusals: int
    since: datetime
    event_id: str
    sequence: int
    type: str
    source: str
    traceparent: str
    data: dict[str, Any]
    created_at: datetime
    callback_url: str | None


@dataclass(frozen=True)
class Waiting:
    """Events that a receiver has not taken.

    Attributes:
        receiver: name.
        state: pending or given_up.
        events: their number.
        oldest: when the oldest one was written.
    """

    receiver: str
    state: DeliveryState
    events: int
    oldest: datetime


def route(connection: Database, receivers_of: Callable[[str, str | None], Sequence[str]]) -> int:
    """Write the deliveries of new events; returns the number of events.

    Args:
        connection: in autocommit mode.
        receivers_of: names of the receivers for an event's type and its job's callback.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ROUTERS])
        rows = connection.execute(_UNROUTED, [_MOST_ROUTED]).fetchall()
        deliveries = [
            (number, receiver, job_id)
            for number, job_id, kind, callback in rows
            for receiver in receivers_of(kind, callback)
        ]
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, deliveries)
        connection.execute(_ROUTED, [[number for number, *_ in rows]])
    return len(rows)


@dataclass(frozen=True)
class ReceiverQueue:
    """The deliveries of one receiver, as rows of the database.

    Attributes:
        connection: in autocommit mode; of this queue alone.
        receiver: name.
    """

    connection: Database
    receiver: str

    def claim(self) -> bool:
        """Become the only sender to this receiver, for as long as the connection lives."""
        row = self.connection.execute(
            "SELECT pg_try_advisory_lock(%s, hashtext(%s))", [_SENDERS, self.receiver]
        ).fetchone()
        return row == (True,)

    def due(self, now: datetime, limit: int) -> list[Due]:
        """Read what is to be sent now, in the order of sending."""
        with self.connection.cursor(row_factory=class_row(Due)) as cursor:
            values = {"receiver": self.receiver, "now": now, "limit": limit}
            return cursor.execute(_DUE, values).fetchall()

    def settle(
        self,
        due: Due,
        state: DeliveryState,
        *,
        now: datetime,
        next_attempt_at: datetime,
        refused: bool = False,
        error: str | None = None,
    ) -> None:
        """Store how an attempt ended."""
        values = {"state": state, "now": now, "next": next_attempt_at, "refused": refused}
        names = {"number": due.number, "receiver": self.receiver, "error": error}
        self.connection.execute(_SETTLE, values | names)

    def failures(self) -> int:
        """Count the attempts in a row that the receiver has not answered."""
        row = self.connection.execute(_FAILURES, [self.receiver]).fetchone()
        return 0 if row is None else int(row[0])

    def answers(self) -> None:
        """Store that the receiver answers."""
        self.connection.execute(_ANSWERS, [self.receiver])

    def rest(self, failures: int, retry_at: datetime, error: str) -> None:
        """Leave the receiver alone until a moment."""
        values = {"receiver": self.receiver, "failures": failures}
        self.connection.execute(_SILENT, values | {"retry_at": retry_at, "error": error})


def waiting(connection: Database) -> list[Waiting]:
    """Count what is pending and what was given up."""
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(_COUNTS).fetchall()


def any_due(connection: Database, receiver: str) -> bool:
    """Whether an event may be sent to a receiver now."""
    wakes = next_attempt(connection, [receiver])
    return wakes is not None and wakes <= datetime.now(UTC)


def next_attempt(connection: Database, receivers: Sequence[str]) -> datetime | None:
    """Tell when the next event is due to one of the receivers; None: nothing is pending."""
    row = connection.execute(_WAKES, [list(receivers)]).fetchone()
    return None if row is None else row[0]


def resend(
    connection: Database,
    *,
    levels: Sequence[str] | None = None,
    receiver: str | None = None,
    job_id: str | None = None,
    event_id: str | None = None,
) -> int:
    """Let events that were given up be sent again, with the same id; returns their number.

    Args:
        connection: to write to.
        levels: of the jobs; None: all.
        receiver: None: all.
        job_id: None: all.
        event_id: None: all.
    """
    values = {"levels": levels and list(levels), "receiver": receiver}
    done = connection.execute(_RESEND, values | {"job_id": job_id, "event_id": event_id})
    return done.rowcount
