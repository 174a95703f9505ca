"""Events to NATS JetStream, with a real server and a real PostgreSQL."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException
from cloudevents.v1.http import from_http
from structlog.testing import capture_logs

from clustering_tasks.contract.cloud_events import DATA
from clustering_tasks.settings.deployment import deployment
from stage4.database import deliveries
from stage4.database.connection import database
from stage4.database.deliveries import ReceiverQueue
from stage4.database.job_events import Created, Ended, Started
from stage4.database.outbox import JobName
from stage4.events import nats_stream
from stage4.events.nats_stream import SUBJECT, NatsStream
from stage4.events.retrying import MOST_REFUSALS
from tests.events_out import NOON, due
from tests.integration.conftest import Results
from tests.integration.events.nats_server import USERS, NatsServer, running
from tests.integration.events.sending import JOB, noted, relay, states, without_pauses

OTHER = JobName("cluster_events.manual__2", "events", "manual__2")
LARGE = "merge: " + "no memory. " * 600
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def receiver(monkeypatch: Patch) -> Iterator[None]:
    """The one receiver is the connection `broker`."""
    monkeypatch.setenv("STAGE4_EVENT_RECEIVERS", "broker")
    deployment.cache_clear()
    yield
    deployment.cache_clear()


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: Patch) -> Iterator[NatsServer]:
    """A NATS that everybody may use, known as `broker`; it has no stream yet."""
    with running(tmp_path) as broker:
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection())
        yield broker


def started(*jobs: JobName) -> None:
    for job in jobs or (JOB,):
        noted(Started(NOON), name=job)


def last_error(results: Results) -> str:
    """Of the job's first event that waits."""
    return str(next(row[4] for row in states(results) if row[2] == "pending" and row[3]))


def test_events_arrive_as_cloudevents_in_order(results: Results, broker: NatsServer) -> None:
    broker.create()
    started(JOB, OTHER)
    noted(Ended(NOON, "failed", "merge: no memory"))
    assert relay() == {"broker": {"delivered": 5}}
    assert relay() == {}
    stored = broker.stored()
    for job, sequences in ((JOB, [1, 2, 3]), (OTHER, [1, 2])):
        assert [n for name, n in (each.place for each in stored) if name == job.job_id] == (
            sequences
        )
    for each in stored:
        read = from_http({k.lower(): v for k, v in each.headers.items()}, each.body)
        assert each.subject == f"stage4.{read['type']}"
        assert each.headers["Nats-Msg-Id"] == read["id"]
        assert each.headers["Content-Type"] == "application/cloudevents+json"
    assert {each.subject for each in stored} == {
        "stage4.clustering.job.created",
        "stage4.clustering.job.started",
        "stage4.clustering.job.failed",
    }


def test_an_event_that_was_sent_and_not_stored_is_once_in_the_stream(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create()
    noted(Created(NOON))

    def lost(*_: Any, **__: Any) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(ReceiverQueue, "settle", lost)
        with pytest.raises(AirflowException, match="the connection is lost"):
            relay()
    assert len(broker.stored()) == 1
    assert relay() == {"broker": {"delivered": 1}}
    assert [each.place for each in broker.stored()] == [(JOB.job_id, 1)]


def test_an_outage_costs_one_attempt_and_nothing_is_lost(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create()
    started()
    relay()
    broker.stop()
    started(OTHER)
    noted(Ended(NOON, "failed"))
    assert relay() == {"broker": {"pending": 1}}
    assert relay() == {}  # it rests
    assert last_error(results) == "no answer: ConnectionRefusedError"
    broker.start()
    without_pauses(results)
    assert relay() == {"broker": {"delivered": 3}}
    stored = [each.place for each in broker.stored()]
    assert [place for place in stored if place[0] == JOB.job_id] == [
        (JOB.job_id, n) for n in (1, 2, 3)
    ]
    assert len(stored) == len(set(stored)) == 5


def test_a_server_that_hangs_is_left_alone(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create()
    monkeypatch.setattr(nats_stream, "ANSWER_SECONDS", 0.5)
    broker.pause()
    started()
    assert relay() == {"broker": {"pending": 1}}
    assert last_error(results) == "no answer: TimeoutError"


def test_a_server_that_goes_between_two_events_is_found_again(broker: NatsServer) -> None:
    broker.create()
    with NatsStream("broker", [broker.url]) as sender:
        assert sender.send(due()).how == "taken"
        broker.stop()
        assert sender.send(due(event_id="second")).how == "away"
        broker.start()
        assert sender.send(due(event_id="second")).how == "taken"
        assert sender.send(due(event_id="second")).how == "taken"
    assert len(broker.stored()) == 2


def test_without_its_stream_events_wait_and_the_error_says_what_to_do(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    started()
    assert relay() == {"broker": {"pending": 1}}
    assert last_error(results) == (
        "no stream of JetStream takes stage4.clustering.job.created: create "
        "'stage4-clustering-events' with the subjects 'stage4.clustering.>', or set `create` in "
        "the connection's extra"
    )
    broker.create("others")
    without_pauses(results)
    assert relay() == {"broker": {"pending": 1}}
    assert last_error(results) == "JetStream: expected stream does not match (10060)"
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection(stream="others"))
    without_pauses(results)
    assert relay() == {"broker": {"delivered": 2}}
    assert len(broker.stored("others")) == 2


def test_the_stream_is_made_where_the_connection_asks_for_it(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    own = broker.connection(create=True, stream="own", prefix="news.stage4")
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", own)
    started()
    assert relay() == {"broker": {"delivered": 2}}
    assert [each.subject for each in broker.stored("own")] == [
        "news.stage4.clustering.job.created",
        "news.stage4.clustering.job.started",
    ]
    made = broker.config("own")
    assert (made.max_msgs, made.duplicate_window) == (10_000, 86_400)


def test_a_stream_that_is_there_is_not_made_another(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create(subjects=["something.else"])
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection(create=True))
    started()
    assert relay() == {"broker": {"pending": 1}}
    assert "stream name already in use" in last_error(results)
    assert broker.config().subjects == ["something.else"]


def test_a_stream_gets_the_types_that_it_wants(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create()
    wanted = broker.connection(types=["clustering.job.fail*"])
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", wanted)
    noted(Started(NOON), Ended(NOON, "failed"))
    assert relay() == {"broker": {"delivered": 1}}
    assert [each.subject for each in broker.stored()] == ["stage4.clustering.job.failed"]


@pytest.mark.parametrize("limit", ["server", "stream"])
def test_what_is_too_large_is_given_up_seen_and_sent_again(
    results: Results, tmp_path: Path, monkeypatch: Patch, limit: str
) -> None:
    with running(tmp_path, "max_payload: 4096" if limit == "server" else "") as broker:
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection())
        broker.create(max_msg_size=4096 if limit == "stream" else -1)
        noted(Created(NOON), Ended(NOON, "failed", LARGE), Started(NOON))
        relay()
        error = "above the server's max_payload" if limit == "server" else "(10054)"
        assert error in last_error(results)
        for _ in range(MOST_REFUSALS):
            without_pauses(results)
            relay()
        assert [row[2] for row in states(results)] == ["delivered", "given_up", "delivered"]
        assert [each.place[1] for each in broker.stored()] == [1, 3]
        with database() as connection:
            assert deliveries.resend(connection, receiver="broker") == 1


@pytest.mark.parametrize("kind", sorted(DATA))
def test_every_type_of_event_is_a_subject(kind: str) -> None:
    assert SUBJECT.fullmatch(kind)


@pytest.mark.parametrize("kind", ["a b", "a.", "a\r\nPUB stage4.clustering.x 1\r\nx"])
def test_a_type_that_is_no_subject_is_refused(broker: NatsServer, kind: str) -> None:
    broker.create()
    with NatsStream("broker", [broker.url]) as sender:
        assert sender.send(due(type=kind)).how == "refused"
        assert sender.send(due()).how == "taken"
    assert len(broker.stored()) == 1


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("wrong secret", "'Authorization Violation'"),
        ("", "'Authorization Violation'"),
        ("own secret", None),
    ],
)
def test_credentials_are_checked_and_never_shown(
    results: Results, tmp_path: Path, monkeypatch: Patch, password: str, error: str | None
) -> None:
    with running(tmp_path, USERS, user="admin", password="admin secret") as broker:
        own = broker.connection("stage4", password, create=True)
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", own)
        started()
        with capture_logs() as logs:
            done = relay()
        assert done == {"broker": {"pending": 1} if error else {"delivered": 2}}
        if error:
            assert last_error(results) == error
        assert "secret" not in f"{logs} {states(results)}"


def test_a_token_is_a_password_without_a_login(
    results: Results, tmp_path: Path, monkeypatch: Patch
) -> None:
    with running(tmp_path, 'authorization { token: "a token" }', token="a token") as broker:
        broker.create()
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection(password="a token"))
        started()
        assert relay() == {"broker": {"delivered": 2}}


def test_a_user_who_may_not_publish_is_named(
    results: Results, tmp_path: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(nats_stream, "ANSWER_SECONDS", 1.0)
    with running(tmp_path, USERS, user="admin", password="admin secret") as broker:
        broker.create()
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection("reader", "own secret"))
        started()
        assert relay() == {"broker": {"pending": 1}}
        assert last_error(results).startswith("permissions violation for publish to")


@pytest.mark.parametrize("answer", [b"thanks", b"7", b"{}", b'{"error": 1}', b"\xff"])
def test_what_is_no_answer_of_jetstream_is_no_delivery(
    results: Results, broker: NatsServer, answer: bytes
) -> None:
    started()
    with answering(broker, answer):
        assert relay() == {"broker": {"pending": 1}}
    assert last_error(results) == "something else than JetStream has answered"


@contextmanager
def answering(broker: NatsServer, answer: bytes) -> Iterator[None]:
    """Somebody who answers whatever is published."""
    ready, done = threading.Event(), threading.Event()

    async def answer_all() -> None:
        client = await nats.connect(broker.url)

        async def respond(message: Any) -> None:
            await message.respond(answer)

        await client.subscribe("stage4.>", cb=respond)
        await client.flush()
        ready.set()
        while not done.is_set():
            await asyncio.sleep(0.02)
        await client.close()

    thread = threading.Thread(target=asyncio.run, args=(answer_all(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield
    finally:
        done.set()
        thread.join()


def encrypted(own: Path, key: Path) -> str:
    """Lines of a server that wants TLS, with a certificate of the client."""
    return f'tls {{ cert_file: "{own}", key_file: "{key}", ca_file: "{own}", verify: true }}'


def test_events_go_by_tls_with_a_certificate_of_their_own(
    results: Results, tmp_path: Path, monkeypatch: Patch, certificate: tuple[Path, Path]
) -> None:
    own, key = certificate
    files = {"ssl_ca_certs": str(own), "ssl_certfile": str(own), "ssl_keyfile": str(key)}
    with running(tmp_path, encrypted(own, key)) as broker:
        started()
        for extra, error in (
            ({"ssl": True}, "no TLS: self-signed certificate"),
            # In TLS 1.3 the alert comes behind the handshake, and may be lost with the connection.
            ({"ssl": True, "ssl_ca_certs": str(own)}, "no answer: "),
        ):
            monkeypatch.setenv("AIRFLOW_CONN_BROKER", broker.connection(**extra))
            assert relay() == {"broker": {"pending": 1}}
            assert error in last_error(results)
            without_pauses(results)
        own_files = broker.connection(ssl=True, create=True, **files)
        monkeypatch.setenv("AIRFLOW_CONN_BROKER", own_files)
        assert relay() == {"broker": {"delivered": 2}}


def test_a_server_without_tls_gets_no_password(broker: NatsServer) -> None:
    broker.stop()
    sent = b""
    with socket.create_server(("127.0.0.1", broker.port)) as listener:

        def listen() -> None:
            nonlocal sent
            client, _ = listener.accept()
            with client:
                client.sendall(b'INFO {"max_payload": 1048576, "headers": true}\r\n')
                while chunk := client.recv(4096):
                    sent += chunk

        thread = threading.Thread(target=listen)
        thread.start()
        context = ssl.create_default_context()
        with NatsStream("broker", [broker.url], "stage4", "a secret", tls=context) as sender:
            outcome = sender.send(due())
        thread.join(20)
    assert (outcome.how, outcome.detail) == ("away", "secure connection not available")
    assert sent == b""


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"host": ""}, "the connection's host"),
        ({"host": "nats://127.0.0.1"}, "the connection's host"),
        ({"host": "a b"}, "the connection's host"),
        ({"extra": {"stream": "a.b"}}, "`stream` of the connection's extra"),
        ({"extra": {"prefix": "stage4.>"}}, "`prefix` of the connection's extra"),
        ({"extra": {"prefix": "a b"}}, "`prefix` of the connection's extra"),
        ({"extra": {"prefix": "a\r\nPUB x 1"}}, "`prefix` of the connection's extra"),
        ({"extra": {"create": "yes"}}, "`create` or `ssl`"),
        ({"extra": {"ssl": True, "ssl_ca_certs": "/nowhere"}}, "a file of `ssl_ca_certs`"),
        ({"extra": {"types": "x"}}, "`types` of the connection's extra"),
    ],
)
def test_a_connection_that_cannot_be_used_is_logged_and_its_events_wait(
    results: Results, monkeypatch: Patch, wrong: dict[str, Any], error: str
) -> None:
    connection = {"conn_type": "nats", "host": "127.0.0.1", "password": "a secret"} | wrong
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", json.dumps(connection))
    started()
    with capture_logs() as logs:
        assert relay() == {"broker": {"pending": 1}}
    assert [line["receiver"] for line in logs if line["log_level"] == "error"] == ["broker"]
    assert error in last_error(results)
    assert "a secret" not in f"{logs} {states(results)}"


def test_several_hosts_are_one_server_of_which_the_first_that_answers_is_used(
    results: Results, broker: NatsServer, monkeypatch: Patch
) -> None:
    broker.create()
    connection = json.loads(broker.connection()) | {"host": "::1,127.0.0.1"}
    monkeypatch.setenv("AIRFLOW_CONN_BROKER", json.dumps(connection))
    started()
    assert relay() == {"broker": {"delivered": 2}}
