"""What the task of `send_events` does, without Airflow."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import Database, database
from stage4.database.job_events import Fact
from stage4.database.outbox import JobName, note
from stage4.events.receivers import receivers
from stage4.events.relay import relay_all
from tests.integration.conftest import Results

JOB = JobName("cluster_events.manual__1", "events", "manual__1")
Rows = list[tuple[Any, ...]]


def noted(*facts: Fact, name: JobName = JOB) -> None:
    with database() as connection:
        note(connection, name, facts)


def relay(stop: threading.Event | None = None, hours: float = 72) -> dict[str, Counter[str]]:
    with database() as connection:
        found, keep = receivers(deployment()), timedelta(hours=hours)
        return relay_all(found, connection, database, keep, stop or threading.Event())


def outbox(results: Results) -> Rows:
    return results.rows(
        "SELECT job_id, sequence, type FROM stage4.outbox ORDER BY number", user=results.loader
    )


def states(results: Results) -> Rows:
    return results.rows(
        "SELECT receiver, sequence, deliveries.state, attempts, last_error FROM stage4.deliveries"
        " JOIN stage4.outbox USING (number) ORDER BY receiver, number",
        user=results.loader,
    )


def without_pauses(results: Results) -> None:
    """Let every pause be over."""
    with another(results) as connection:
        connection.execute("UPDATE stage4.deliveries SET next_attempt_at = now() - interval '1s'")
        connection.execute("UPDATE stage4.event_receivers SET retry_at = now() - interval '1s'")


@contextmanager
def another(results: Results) -> Iterator[Database]:
    with results.server.connect(results.database, results.loader) as connection:
        yield connection
