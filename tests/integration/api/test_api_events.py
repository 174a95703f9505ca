"""Events to receivers outside, in the REST API."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from clustering_tasks.settings.deployment import deployment
from stage4.database import deliveries
from stage4.database.connection import database
from stage4.database.job_events import Ended, Started
from stage4.database.outbox import JobName, note
from stage4.database.stage3_events import Arrival, assign, store
from tests.events_out import NOON
from tests.integration.api.conftest import Api, bearer, serving
from tests.integration.conftest import Results

JOBS = [
    JobName("cluster_events.manual__1", "events", "manual__1"),
    JobName("cluster_documents.manual__1", "documents", "manual__1"),
]


@pytest.fixture
def api(airflow_metadata: None, results: Results, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Two jobs, whose first events `hook` has refused for good."""
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "hook")
    deployment.cache_clear()
    with database() as connection:
        for job in JOBS:
            note(connection, job, [Started(NOON), Ended(NOON + timedelta(1), "failed")])
        deliveries.route(connection, lambda *_: ["hook"])
        connection.execute(
            "UPDATE stage4.deliveries SET state = 'given_up', attempts = 8,"
            " last_error = 'status 400' WHERE number IN (1, 4)"
        )
    with serving() as client:
        yield Api(client, bearer("op"))
    deployment.cache_clear()


def resend(api: Api, **body: str) -> int:
    answer = api.ask("POST", "events/resend", json=body)
    assert answer.status_code == 200, answer.text
    sent: int = answer.json()["deliveries"]
    return sent


def test_events_are_listed_newest_first_in_pages(api: Api) -> None:
    page = api.get("events", limit=4)
    events = page["events"]
    assert [each["sequence"] for each in events] == [3, 2, 1, 3]
    last = api.get("events", limit=4, cursor=page["next_cursor"])
    assert [each["sequence"] for each in last["events"]] == [2, 1]
    assert last["next_cursor"] is None
    assert events[0]["type"] == "clustering.job.failed"
    assert events[0]["deliveries"][0]["state"] == "pending"


def test_filters(api: Api) -> None:
    given_up = api.get("events", state="given_up")["events"]
    assert [each["job_id"] for each in given_up] == [job.job_id for job in reversed(JOBS)]
    assert given_up[0]["deliveries"][0]["last_error"] == "status 400"
    assert len(api.get("events", level="events")["events"]) == 3
    assert len(api.get("events", job_id=JOBS[1].job_id, receiver="hook")["events"]) == 3
    assert api.get("events", receiver="callback")["events"] == []


def test_receivers_are_counted(api: Api) -> None:
    (queue,) = api.get("events/receivers")["receivers"]
    assert (queue["receiver"], queue["pending"], queue["given_up"]) == ("hook", 4, 2)
    assert queue["last_error"] == "status 400"
    assert queue["oldest_pending_at"].startswith("2026-03-01T12:00:00")


def test_the_receivers_of_the_installation_are_named(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("events/receivers")["configured"] == ["hook"]
    with monkeypatch.context() as other:
        other.delenv("STAGE4_EVENT_RECEIVERS")
        deployment.cache_clear()
        assert api.get("events/receivers")["configured"] == []
        other.setenv("STAGE4_CALLBACK_HOSTS", "hooks.example.org")
        other.setenv("STAGE4_CALLBACK_SECRET", "whsec_" + "A" * 32)
        deployment.cache_clear()
        assert api.get("events/receivers")["configured"] == ["callback"]
    deployment.cache_clear()


def test_what_was_given_up_is_sent_again_once(api: Api) -> None:
    (event, _) = api.get("events", state="given_up")["events"]
    assert resend(api, event_id=event["event_id"]) == 1
    assert resend(api, level="documents") == 0
    assert resend(api) == 1
    assert resend(api) == 0
    assert api.get("events", state="given_up")["events"] == []


def test_events_of_stage3_are_listed_with_the_runs_that_are_for_them(api: Api) -> None:
    def arrived(job: str, level: str, embeddings: int | None) -> Arrival:
        return Arrival("embedding.job.completed", job, level, embeddings, "stream", NOON)

    with database() as connection:
        store(connection, [arrived("a", "events", 7), arrived("b", "documents", None)])
        store(connection, [arrived("c", "events", 0)])
        assign(connection, [1], "stage3__1")
    first = api.get("events/stage3", limit=2)
    last = api.get("events/stage3", limit=2, cursor=first["next_cursor"])
    assert [each["stage3_job"] for each in first["events"] + last["events"]] == ["c", "b", "a"]
    assert last["next_cursor"] is None
    assert last["events"][0] == {
        "level": "events",
        "type": "embedding.job.completed",
        "stage3_job": "a",
        "total_embeddings": 7,
        "received_by": "stream",
        "received_at": "2026-03-01T12:00:00Z",
        "job_id": "cluster_events.stage3__1",
    }
    assert [each["stage3_job"] for each in api.get("events/stage3", waits=True)["events"]] == [
        "c",
        "b",
    ]
    assert first["waiting"] == [
        {"level": "documents", "events": 1, "embeddings": 0, "min_embeddings": 1},
        {"level": "events", "events": 1, "embeddings": 0, "min_embeddings": 1},
    ]
    (taken,) = api.get("events/stage3", waits=False, level="events")["events"]
    assert taken["stage3_job"] == "a"
    assert api.get("events/stage3", waits=False, level="documents")["events"] == []
