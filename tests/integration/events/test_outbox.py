"""Events are rows of the transaction that they are about."""

import threading
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from clustering_tasks.contract.cloud_events import CLUSTERS_CHANGED, ClustersChanged
from stage4.database import outbox as stored
from stage4.database.connection import database
from stage4.database.job_events import Created, Ended, Fact, Progressed, Started
from stage4.database.outbox import JobName, note
from stage4.database.pointer import locked_pointer
from stage4.database.publish import publish_run
from stage4.database.roll_back import roll_back
from tests.contract import check_event
from tests.events_out import NOON, WebhookServer
from tests.integration.conftest import Results
from tests.integration.events.sending import JOB, another, noted, outbox
from tests.integration.label_files import Label
from tests.integration.test_publication_run import Crash, load

pytestmark = pytest.mark.usefixtures("workspace")


def events(results: Results) -> list[tuple[str, int, dict[str, Any]]]:
    rows = results.rows(
        "SELECT type, sequence, data FROM stage4.outbox ORDER BY number", user=results.loader
    )
    return [(kind, sequence, data) for kind, sequence, data in rows]


def test_a_publication_and_its_events_are_one_act(
    results: Results, tmp_path: Path, hook: WebhookServer
) -> None:
    first = Label(tmp_path)
    publish_run(label := load(first))
    publish_run(label)  # again, and nothing is written
    publish_run(load(first.later()))
    changed, completed, *later = events(results)
    assert (changed[:2], completed[:2]) == (
        (CLUSTERS_CHANGED, 1),
        ("clustering.job.completed", 2),
    )
    assert [row[:2] for row in later] == [changed[:2], completed[:2]]
    for kind, _, data in (changed, completed, *later):
        if kind == CLUSTERS_CHANGED:
            TypeAdapter(ClustersChanged).validate_python(data)
        else:
            check_event(data)
    assert (changed[2]["base_load_id"], changed[2]["ids"]) == (None, None)
    assert later[0][2]["base_load_id"] == changed[2]["load_id"]
    assert later[0][2]["ids"] == later[1][2]["changes"]["ids"]


def test_a_publication_that_is_taken_back_has_no_event(
    results: Results, tmp_path: Path, hook: WebhookServer
) -> None:
    label = Label(tmp_path)
    load(label)
    with suppress(Crash), locked_pointer("events") as pointer:
        pointer.move(pointer.find(label.job_id))
        assert pointer.connection.execute("SELECT count(*) FROM stage4.outbox").fetchone() == (1,)
        raise Crash
    assert outbox(results) == []


def test_a_roll_back_changes_clusters_and_completes_no_job(
    results: Results, tmp_path: Path, hook: WebhookServer
) -> None:
    first = Label(tmp_path)
    for label in (first, first.later()):
        publish_run(load(label))
    roll_back("events")
    kind, sequence, data = events(results)[-1]
    assert (kind, sequence) == (CLUSTERS_CHANGED, 3)
    assert (data["act"], data["job_id"]) == ("roll_back", first.job_id)


def test_without_receivers_nothing_waits_for_one(results: Results, tmp_path: Path) -> None:
    publish_run(load(Label(tmp_path)))
    query = "SELECT count(*), count(routed_at) FROM stage4.outbox"
    assert results.rows(query, user=results.loader) == [(2, 2)]


def test_sequences_have_no_gap_however_many_write_at_once(
    results: Results, hook: WebhookServer
) -> None:
    """Half of the writers end without a commit."""
    jobs = [JobName(f"cluster_events.manual__{number}", "events") for number in range(2)]

    def write(number: int) -> None:
        with another(results) as connection:
            for turn in range(10):
                facts = [Started(NOON + timedelta(hours=10 * number + turn))]
                with connection.transaction(force_rollback=number % 2 == 1):
                    note(connection, jobs[turn % 2], facts)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = outbox(results)
    for job in jobs:
        own = [sequence for name, sequence, _ in rows if name == job.job_id]
        assert own == [*range(1, len(own) + 1)]
        assert len(own) >= 6


def test_what_is_known_is_written_once(results: Results, hook: WebhookServer) -> None:
    facts: list[Fact] = [
        Created(NOON),
        Started(NOON),
        Progressed(NOON + timedelta(seconds=9), 10.0),
    ]
    for _ in range(2):
        noted(*facts)
    noted(Ended(NOON + timedelta(seconds=20), "failed", "merge: no memory"))
    assert [kind for _, _, kind in outbox(results)] == [
        f"clustering.job.{what}" for what in ("created", "started", "progress", "failed")
    ]
    with database() as connection:
        assert list(stored.unfinished(connection)) == []


def test_old_events_go_and_their_job_with_them(results: Results, hook: WebhookServer) -> None:
    noted(Started(NOON))
    with database() as connection:
        assert stored.prune(connection, "documents", 90, []) == 0
        assert stored.prune(connection, "events", 90, []) == 2
        assert outbox(results) == []
        jobs = "SELECT count(*) FROM stage4.event_jobs"
        assert results.rows(jobs, user=results.loader) == [(1,)]  # it has just changed
        connection.execute("UPDATE stage4.event_jobs SET changed_at = '2025-01-01'")
        stored.prune(connection, "events", 90, [JOB.job_id])
        assert results.rows(jobs, user=results.loader) == [(1,)]  # it may be paused, and goes on
        connection.execute("UPDATE stage4.event_jobs SET ended_at = '2025-01-01'")
        stored.prune(connection, "events", 90, [JOB.job_id])
        assert results.rows(jobs, user=results.loader) == [(1,)]  # it is tried again
        stored.prune(connection, "events", 90, [])
        assert results.rows(jobs, user=results.loader) == [(0,)]


def test_a_job_that_is_locked_for_long_costs_a_listener_seconds(
    results: Results, hook: WebhookServer
) -> None:
    from airflow.sdk import BaseHook

    from stage4.database.direct import brief_connection

    with another(results) as other, other.transaction():
        note(other, JobName("cluster_events.manual__1", "events"), [Started(NOON)])
        connection = BaseHook.get_connection("stage4_postgres")
        with brief_connection(connection) as brief, pytest.raises(psycopg.errors.LockNotAvailable):
            note(brief, JobName("cluster_events.manual__1", "events"), [Started(NOON)])


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12))
def test_whatever_is_rolled_back_leaves_no_gap(
    results: Results, hook: WebhookServer, acts: list[tuple[str, bool]]
) -> None:
    before = Counter(job for job, *_ in outbox(results))
    moment = len(outbox(results)) + 1
    with database() as connection:
        for number, (job, kept) in enumerate(acts):
            with connection.transaction(force_rollback=not kept):
                at = NOON + timedelta(days=moment, seconds=number)
                note(connection, JobName(job, "events"), [Started(at)])
    after = outbox(results)
    for job in "ab":
        own = [sequence for name, sequence, _ in after if name == job]
        assert own == [*range(1, len(own) + 1)]
        assert len(own) - before[job] >= sum(kept for name, kept in acts if name == job)
