"""Ten thousand events through an outage of their receiver.

`python -m pytest -n 0 -m heavy -s tests/integration/events/test_outage.py` prints what
docs/RELIABILITY.md shows.
"""

import time
from collections import defaultdict
from datetime import timedelta

import pytest

from stage4.database.connection import database
from stage4.database.job_events import Progressed, Started
from stage4.database.outbox import JobName, note
from tests.events_out import NOON, WebhookServer
from tests.integration.conftest import Results
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
    started, processor = time.perf_counter(), time.process_time()
    relay()
    drained, processor = time.perf_counter() - started, time.process_time() - processor
    arrived = defaultdict(list)
    for got in hook.received:
        job, sequence = got.place
        arrived[job].append(sequence)
    assert len(arrived) == JOBS
    for sequences in arrived.values():
        assert sequences == [*range(1, EVENTS_OF_A_JOB + 1)]
    left = "SELECT count(*) FROM stage4.deliveries WHERE state <> 'delivered'"
    assert results.rows(left, user=results.loader) == [(0,)]
    print(  # noqa: T201
        f"\n{len(hook.received):,} events: written in {written:.1f} s, drained in {drained:.1f} s "
        f"({processor:.1f} s of CPU, receiver included)"
    )
