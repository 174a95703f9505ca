"""Ten thousand events through an outage of their receiver.

`python -m pytest -n 0 -m heavy -s tests/integration/events/test_outage.py` prints what
docs/RELIABILITY.md shows.
"""

import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import pytest

from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import database
from stage4.database.job_events import Progressed, Started
from stage4.database.outbox import JobName, note
from tests.events_out import NOON, WebhookServer
from tests.integration.conftest import Results
from tests.integration.events.nats_server import running
from tests.integration.events.sending import relay, without_pauses

ROUNDS = 3  # of the relay while the receiver is away
JOBS = 50
EVENTS_OF_A_JOB = 200  # created, started, and progress


def write() -> None:
    facts = [Started(NOON)] + [
        Progressed(NOON + timedelta(seconds=5 * (number + 1)), (number + 1) / 2)
        for number in range(EVENTS_OF_A_JOB - 2)
    ]
    with database() as connection:
        for number in range(JOBS):
            name = JobName(f"cluster_events.manual__{number}", "events", f"manual__{number}")
            note(connection, name, facts)


def drain() -> str:
    """Let the relay send all that is due; returns what it took."""
    started, processor = time.perf_counter(), time.process_time()
    relay()
    drained, processor = time.perf_counter() - started, time.process_time() - processor
    return f"drained in {drained:.1f} s ({processor:.1f} s of CPU of this process)"


def check(results: Results, places: list[tuple[str, int]]) -> None:
    """Every event once, each job's in order, and none left."""
    arrived = defaultdict(list)
    for job, sequence in places:
        arrived[job].append(sequence)
    assert len(arrived) == JOBS
    for sequences in arrived.values():
        assert sequences == [*range(1, EVENTS_OF_A_JOB + 1)]
    left = "SELECT count(*) FROM stage4.deliveries WHERE state <> 'delivered'"
    assert results.rows(left, user=results.loader) == [(0,)]


@pytest.mark.heavy
def test_none_is_lost_and_their_order_is_kept(results: Results, hook: WebhookServer) -> None:
    hook.status = 503
    started = time.perf_counter()
    write()
    written = time.perf_counter() - started
    for _ in range(ROUNDS):
        relay()
        without_pauses(results)
    assert len(hook.refused) == ROUNDS  # a receiver that is away is asked once
    hook.status = 204
    took = drain()
    check(results, [got.place for got in hook.received])
    print(f"\n{len(hook.received):,} events: written in {written:.1f} s, {took}")  # noqa: T201


@pytest.mark.heavy
def test_a_stream_of_nats_gets_each_event_once(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as broker:
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection(create=True))
        monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "broker")
        deployment.cache_clear()
        broker.stop()
        write()
        for _ in range(ROUNDS):
            assert relay() == {"broker": {"pending": 1}}
            without_pauses(results)
        broker.start()
        took = drain()
        stored = broker.stored()
        check(results, [each.place for each in stored])
    deployment.cache_clear()
    print(f"\n{len(stored):,} events into a stream of NATS: {took}")  # noqa: T201
