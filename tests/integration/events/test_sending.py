"""The relay, with a real PostgreSQL and real receivers."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from airflow.sdk.exceptions import AirflowException
from standardwebhooks import Webhook as Verifier
from structlog.testing import capture_logs

from clustering_tasks.settings.deployment import deployment
from stage4.database import deliveries
from stage4.database.connection import database
from stage4.database.deliveries import ReceiverQueue
from stage4.database.job_events import Created, Ended, Started
from stage4.database.outbox import JobName
from stage4.events import webhook as sender
from stage4.events.retrying import MOST_REFUSALS
from tests.events_out import NOON, OLD_SECRET, SECRET, WebhookServer, webhook
from tests.integration.api.redis_server import RedisServer, running
from tests.integration.conftest import Results
from tests.integration.events.sending import JOB, noted, relay, states, without_pauses

AFTER = NOON + timedelta(seconds=20)


def started(*jobs: JobName) -> None:
    for job in jobs or (JOB,):
        noted(Started(NOON), name=job)


def connect(patch: pytest.MonkeyPatch, hook: WebhookServer, **extra: Any) -> None:
    patch.setenv("AIRFLOW_CONN_HOOK", hook.connection(**extra))


def test_events_arrive_signed_and_in_order(results: Results, hook: WebhookServer) -> None:
    noted(Started(NOON), Ended(AFTER, "failed", "merge: no memory"))
    assert relay() == {"hook": {"delivered": 3}}
    assert relay() == {}
    assert [got.place for got in hook.received] == [(JOB.job_id, n) for n in (1, 2, 3)]
    for got in hook.received:
        assert Verifier(SECRET).verify(got.body, got.headers) == got.event
        assert got.headers["content-type"] == "application/cloudevents+json"
        assert got.headers["webhook-id"] == got.event["id"]
    assert hook.received[-1].event["data"]["error"] == "merge: no memory"
    assert [row[2:] for row in states(results)] == [("delivered", 1, None)] * 3


@pytest.mark.parametrize("status", [500, 503, 404, 302])
def test_what_is_not_taken_waits_and_comes_again_with_the_same_id(
    results: Results, hook: WebhookServer, status: int
) -> None:
    hook.status = status
    hook.headers = {"Location": hook.url.replace("/hook", "/elsewhere")}
    started()
    relay()
    assert [row[1:] for row in states(results)] == [
        (1, "pending", 1, f"status {status}"),
        (2, "pending", 0, None),
    ]
    assert relay() == {}  # not before its time
    hook.status = 200
    without_pauses(results)
    assert relay() == {"hook": {"delivered": 2}}
    assert [got.path for got in hook.refused] == ["/hook"]  # no redirect is followed
    first, again = hook.refused[0], hook.received[0]
    assert first.event == again.event
    assert first.headers["webhook-id"] == again.headers["webhook-id"]


def test_an_event_that_fails_holds_up_its_own_job_alone(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = JobName("cluster_events.manual__2", "events", "manual__2")
    started(JOB, other)
    hook.status = 500
    relay()
    hook.status = 200
    with database() as connection:
        connection.execute(
            "UPDATE stage4.deliveries SET next_attempt_at = now() WHERE job_id = %s", [other.job_id]
        )
    assert relay() == {"hook": {"delivered": 2}}
    assert {got.place[0] for got in hook.received} == {other.job_id}


def test_a_receiver_that_is_away_is_asked_once_and_rests(
    results: Results, hook: WebhookServer
) -> None:
    started(*(JobName(f"cluster_events.manual__{n}", "events", f"manual__{n}") for n in range(5)))
    hook.status = 503
    relay()
    relay()
    assert len(hook.refused) == 1
    rest = "SELECT failures, last_error FROM stage4.event_receivers"
    assert results.rows(rest, user=results.loader) == [(1, "status 503")]
    hook.status = 200
    without_pauses(results)
    assert relay() == {"hook": {"delivered": 10}}
    assert results.rows(rest, user=results.loader) == []


@pytest.mark.parametrize("kind", ["hanging", "dripping", "gone"])
def test_a_receiver_without_an_answer_costs_one_attempt(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(sender, "ANSWER_SECONDS", 0.5)
    if kind == "hanging":
        hook.pause = 2.0
    elif kind == "dripping":
        hook.dripping = True
    else:
        monkeypatch.setenv(
            "AIRFLOW_CONN_HOOK", hook.connection().replace(f":{hook.server_port}", ":9")
        )
    started()
    assert relay() == {"hook": {"pending": 1}}
    error = states(results)[0][4]
    assert error == ("no answer: ConnectError" if kind == "gone" else "no answer in 0.5 s")


def test_what_is_refused_again_and_again_is_given_up_seen_and_sent_again(
    results: Results, hook: WebhookServer
) -> None:
    hook.status = 400
    started()
    for _ in range(MOST_REFUSALS):
        without_pauses(results)
        with capture_logs() as logs:
            relay()
    assert [row[2] for row in states(results)] == ["given_up", "pending"]
    (line,) = [each for each in logs if "given up" in each["event"]]
    assert (line["receiver"], line["why"]) == ("hook", "status 400")
    with database() as connection:
        (pending, given_up) = sorted(deliveries.waiting(connection), key=lambda each: each.state)[
            ::-1
        ]
        assert (pending.state, given_up.state, given_up.events) == ("pending", "given_up", 1)
        hook.status = 200
        assert deliveries.resend(connection, levels=["documents"]) == 0
        assert deliveries.resend(connection, levels=["events"], job_id=JOB.job_id) == 1
        assert deliveries.resend(connection) == 0
    without_pauses(results)
    assert relay() == {"hook": {"delivered": 2}}
    assert [got.place[1] for got in hook.received] == [1, 2]


def test_what_waits_for_too_long_is_given_up(results: Results, hook: WebhookServer) -> None:
    hook.status = 503
    started()
    relay(hours=0)
    assert states(results)[0][2] == "given_up"


def test_a_receiver_gets_the_types_that_it_wants_with_its_token(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    types = ["clustering.job.fail*", "clustering.clusters.changed"]
    connect(monkeypatch, hook, types=types, token="a token")
    noted(Started(NOON), Ended(AFTER, "failed"))
    assert relay() == {"hook": {"delivered": 1}}
    (got,) = hook.received
    assert got.event["type"] == "clustering.job.failed"
    assert got.headers["authorization"] == "Bearer a token"


def test_every_receiver_has_its_own_secret_and_outage(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as second:
        own = json.loads(second.connection()) | {"password": f"{OLD_SECRET} {SECRET}"}
        monkeypatch.setenv("AIRFLOW_CONN_SECOND", json.dumps(own))
        monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "hook,second")
        deployment.cache_clear()
        hook.status = 503
        started()
        assert relay() == {"hook": {"pending": 1}, "second": {"delivered": 2}}
        for got in second.received:
            for secret in (OLD_SECRET, SECRET):
                Verifier(secret).verify(got.body, got.headers)


@pytest.mark.parametrize(
    "connection",
    [
        None,
        {"conn_type": "http", "host": "https://hooks.example.org"},
        {"conn_type": "http", "host": "https://hooks.example.org", "password": "whsec_*"},
        {"conn_type": "http", "host": "https://hooks.example.org", "password": SECRET[6:]},
        {"conn_type": "http", "host": "https://u:p@hooks.example.org", "password": SECRET},
        {"conn_type": "smtp", "host": "hooks.example.org", "password": SECRET},
        {"conn_type": "http", "host": "h.example", "password": SECRET, "extra": {"types": "x"}},
    ],
)
def test_a_receiver_that_cannot_be_used_is_logged_and_its_events_wait(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch, connection: Any
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_HOOK")
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(connection))
    started()
    with capture_logs() as logs:
        assert relay() == {"hook": {"pending": 1}}
    assert [line["receiver"] for line in logs if line["log_level"] == "error"] == ["hook"]
    kept = f"{logs} {states(results)}"
    assert SECRET[6:] not in kept
    assert "whsec_*" not in kept
    connect(monkeypatch, hook)
    without_pauses(results)
    assert relay() == {"hook": {"delivered": 2}}


def test_a_run_has_a_receiver_of_its_own(results: Results, hook: WebhookServer) -> None:
    url = hook.url.replace("/hook", "/own?key=1")
    started(JOB, JobName("cluster_events.manual__2", "events", "manual__2", callback_url=url))
    assert relay() == {"hook": {"delivered": 4}, "callback": {"delivered": 2}}
    own = [got for got in hook.received if got.path == "/own?key=1"]
    assert [got.place for got in own] == [
        ("cluster_events.manual__2", 1),
        ("cluster_events.manual__2", 2),
    ]
    Verifier(SECRET).verify(own[0].body, own[0].headers)


def test_a_callback_into_a_network_that_is_not_named_is_refused_without_a_request(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_CALLBACK_NETWORKS", "10.0.0.0/8")
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "")
    deployment.cache_clear()
    started(JobName("cluster_events.manual__2", "events", "manual__2", callback_url=hook.url))
    relay()
    assert hook.received == hook.refused == []
    assert (
        states(results)[0][4] == "host 127.0.0.1 leads to an address outside the allowed networks"
    )


def test_one_process_sends_to_a_receiver_at_a_time(results: Results, hook: WebhookServer) -> None:
    started()
    with database() as other:
        assert ReceiverQueue(other, "hook").claim()
        assert relay() == {}
    assert relay() == {"hook": {"delivered": 2}}


def test_a_relay_that_is_stopped_leaves_the_rest(results: Results, hook: WebhookServer) -> None:
    stop = threading.Event()
    stop.set()
    started()
    relay(stop)
    assert hook.received == []
    assert relay() == {"hook": {"delivered": 2}}


def test_an_event_that_was_sent_and_not_stored_comes_again(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(Created(NOON))

    def lost(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(ReceiverQueue, "settle", lost)
        with pytest.raises(AirflowException, match="the connection is lost"):
            relay()
    relay()
    assert [got.place for got in hook.received] == [(JOB.job_id, 1)] * 2
    assert len({got.headers["webhook-id"] for got in hook.received}) == 1


def test_redis_gets_the_events_in_a_stream(
    results: Results, hook: WebhookServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with running(tmp_path) as store:
        monkeypatch.setenv("AIRFLOW_CONN_STREAMS", store.airflow_connection)
        monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "streams")
        deployment.cache_clear()
        started()
        assert relay() == {"streams": {"delivered": 2}}
        entries: Any = store.client.xrange("stage4:clustering:events")
        assert [fields[b"event"] for _, fields in entries] == [b"job.created", b"job.started"]
        event = json.loads(entries[1][1][b"cloudevent"])
        assert (event["subject"], event["sequence"]) == (JOB.job_id, "0000000002")
        assert entries[1][1][b"id"].decode() == event["id"]
        store.stop()
        noted(Ended(AFTER, "failed"))
        assert relay() == {"streams": {"pending": 1}}
        store.start()
        without_pauses(results)
        assert relay() == {"streams": {"delivered": 1}}
        store.client.set("other", "no stream")
        with pytest.raises(redis.ResponseError):
            store.client.xadd("other", {"a": 1})
        wrong = json.loads(store.airflow_connection) | {"extra": {"stream": "other"}}
        monkeypatch.setenv("AIRFLOW_CONN_STREAMS", json.dumps(wrong))
        noted(Started(AFTER))
        assert relay() == {"streams": {"pending": 1}}
        assert states(results)[-1][4] == "ResponseError"


def test_redis_is_reached_by_tls_with_a_certificate_of_ones_own(
    results: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[Path, Path],
) -> None:
    own = str(certificate[0])
    with running(tmp_path, certificate) as store:
        stream(monkeypatch, store, {})
        started()
        for extra, error in (
            ({}, "no answer: "),
            ({"ssl": True}, "no TLS: self-signed certificate"),
            ({"ssl": True, "ssl_ca_certs": own}, "no answer: "),
            ({"ssl": True, "ssl_ca_certs": "/nowhere"}, "no answer: FileNotFoundError"),
        ):
            stream(monkeypatch, store, extra)
            assert relay() == {"streams": {"pending": 1}}
            assert states(results)[0][4].startswith(error)
            without_pauses(results)
        stream(monkeypatch, store, store.tls_extra)
        assert relay() == {"streams": {"delivered": 2}}
        assert store.client.xlen("stage4:clustering:events") == 2


def stream(monkeypatch: pytest.MonkeyPatch, store: RedisServer, extra: dict[str, Any]) -> None:
    connection = json.loads(store.airflow_connection) | {"extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_STREAMS", json.dumps(connection))
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "streams")
    deployment.cache_clear()
