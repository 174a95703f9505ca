"""What stops working, and what does not, when something that the API rests on is down."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from clustering_tasks.settings.deployment import deployment
from stage4.database.job_events import Started
from stage4.events.stage3.reading import Reading
from stage4.events.stage3.stream import CONSUMER, GROUP, STREAM
from tests.events_out import SECRET
from tests.integration.api.conftest import Api, Corpus, bearer, serving
from tests.integration.api.redis_server import running
from tests.integration.conftest import CONNECTION_VARIABLE, Results
from tests.integration.events.sending import noted, relay
from tests.integration.http_server import serving as http_serving

pytestmark = pytest.mark.usefixtures("airflow_metadata")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Changes to the environment; call `deployment.cache_clear()` after them."""
    yield monkeypatch
    monkeypatch.undo()
    deployment.cache_clear()


def health(client: Api) -> tuple[int, dict[str, str]]:
    answer = client.client.get("health", headers=client.headers)
    found = answer.json()
    assert found["version"] == "0.1.0"
    states = {name: each["status"] for name, each in found["dependencies"].items()}
    return answer.status_code, states | {"all": found["status"]}


def test_all_is_well(viewer: Api, corpus: Corpus) -> None:
    assert health(viewer) == (
        200,
        {
            "postgres": "up",
            "redis": "off",
            "stage3": "off",
            "stage3_stream": "off",
            "event_receivers": "off",
            "workspace": "up",
            "all": "healthy",
        },
    )


def test_stage3(viewer: Api, settings: pytest.MonkeyPatch) -> None:
    with http_serving() as stage3:
        settings.setenv("STAGE4_STAGE3_URL", stage3.url)
        deployment.cache_clear()
        for answer, expected in (
            ((200, {"status": "healthy"}), "up"),
            ((200, {"status": "degraded"}), "down"),
            ((200, "no JSON"), "down"),
            ((200, []), "down"),
            ((503, {}), "down"),
        ):
            stage3.answers["/health"] = answer
            status, found = health(viewer)
            assert (status, found["stage3"]) == (200, expected)
            assert found["all"] == ("healthy" if expected == "up" else "degraded")
    status, found = health(viewer)  # nobody listens any more
    assert (status, found["stage3"], found["all"]) == (200, "down", "degraded")


def stream(client: Api) -> tuple[str, str]:
    found = client.get("health")["dependencies"]["stage3_stream"]
    return found["status"], found["detail"]


def test_the_stream_of_stage3(viewer: Api, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.setenv("STAGE4_STAGE3_STREAM_CONN_ID", "stage3_stream")
    deployment.cache_clear()
    assert "no connection" in stream(viewer)[1]
    with running(tmp_path) as server:
        settings.setenv("AIRFLOW_CONN_STAGE3_STREAM", server.airflow_connection)
        assert stream(viewer)[0] == "down"  # no stream, no group
        server.client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        status, detail = stream(viewer)
        assert status == "down"
        assert "receive_events" in detail
        server.client.set("no stream", "x")
        wrong = json.loads(server.airflow_connection) | {"extra": {"stream": "no stream"}}
        settings.setenv("AIRFLOW_CONN_STAGE3_STREAM", json.dumps(wrong))
        assert stream(viewer) == ("down", "Redis refuses: WRONGTYPE")
        settings.setenv("AIRFLOW_CONN_STAGE3_STREAM", server.airflow_connection)
        for number in range(3):
            server.client.xadd(STREAM, {"number": number})
        server.client.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=1)
        assert stream(viewer) == (
            "up",
            "2 entries wait, 1 are being stored, 0 are dead letters",
        )
    assert stream(viewer) == ("down", "no answer (ConnectionError)")


def test_a_reader_that_has_not_asked_for_a_minute_does_not_read() -> None:
    known = {"waiting": 0, "pending": 0, "dead": 0}
    assert Reading(**known, idle=timedelta(seconds=59)).is_read
    assert not Reading(**known, idle=timedelta(seconds=61)).is_read
    assert not Reading(**known, idle=None).is_read


def test_receivers_of_events_that_cannot_be_used(viewer: Api, settings: pytest.MonkeyPatch) -> None:
    def receivers() -> tuple[str, str]:
        found = viewer.get("health")["dependencies"]["event_receivers"]
        return found["status"], found["detail"]

    settings.setenv("STAGE4_EVENT_RECEIVERS", "hook,other")
    deployment.cache_clear()
    hook = {"conn_type": "http", "host": "https://hooks.example.org"}
    settings.setenv("AIRFLOW_CONN_HOOK", json.dumps(hook | {"password": SECRET}))
    status, detail = receivers()
    assert status == "down"
    assert detail.startswith("other: Airflow has no connection of this name")
    settings.setenv("AIRFLOW_CONN_OTHER", json.dumps(hook | {"password": SECRET[6:]}))
    status, detail = receivers()
    assert status == "down"
    assert "other: the connection's password: the secret does not begin with `whsec_`" in detail
    assert SECRET[6:] not in detail
    settings.setenv("AIRFLOW_CONN_OTHER", json.dumps(hook | {"password": SECRET}))
    assert receivers() == ("up", "2 can be used")


def test_a_receiver_that_does_not_take_its_events_is_named(
    results: Results, settings: pytest.MonkeyPatch
) -> None:
    def receivers(api: Api) -> tuple[str, str]:
        found = api.get("health")["dependencies"]["event_receivers"]
        return found["status"], found["detail"]

    gone = {"conn_type": "redis", "host": "127.0.0.1", "port": 1}
    settings.setenv("AIRFLOW_CONN_STREAMS", json.dumps(gone))
    settings.setenv("STAGE4_EVENT_RECEIVERS", "streams")
    deployment.cache_clear()
    noted(Started(datetime.now(UTC)))
    with serving() as client:
        api = Api(client, bearer("viewer"))
        assert receivers(api) == ("up", "1 can be used")  # it has just begun to wait
        relay()
        status, detail = receivers(api)
        assert status == "down"
        assert detail.startswith("streams does not answer (no answer: Connection")
        assert ": 2 events wait, the oldest since 20" in detail
        loader = {"database": results.database, "user": results.loader}
        with results.server.connect(**loader) as connection:
            connection.execute("DELETE FROM stage4.event_receivers")
            connection.execute("UPDATE stage4.outbox SET created_at = now() - interval '1 hour'")
            assert receivers(api)[1].startswith("streams is sent nothing: 2 events wait")
            connection.execute("UPDATE stage4.deliveries SET state = 'given_up'")
        assert receivers(api) == ("up", "1 can be used; events given up: 2 of streams's")


def test_the_workspace(viewer: Api, settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.setenv("STAGE4_WORKSPACE", str(tmp_path / "gone"))
    deployment.cache_clear()
    assert health(viewer)[1]["workspace"] == "down"
    assert viewer.get("resources")["disk_free_bytes"] is None


def raising(error: Exception) -> Callable[..., UPath]:
    def fail(*_: object) -> UPath:
        raise error

    return fail


class StoreError(Exception):
    """What the library of an object store may raise: a kind of its own."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreError("https://u:s3cret@store"), "StoreError"),
        (ImportError("Install s3fs to access S3"), "Install s3fs"),
        (PermissionError("/s3cret"), "PermissionError"),
    ],
)
def test_whatever_the_workspace_raises_is_told_and_no_failure_of_the_server(
    viewer: Api, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr("stage4.api.routes.health.UPath", raising(error))
    status, found = health(viewer)
    assert (status, found["workspace"], found["postgres"]) == (200, "down", "up")
    detail = viewer.get("health")["dependencies"]["workspace"]["detail"]
    assert said in detail
    assert "s3cret" not in detail


@pytest.mark.parametrize("url", ["http://u:s3cret@[v1.x]/", "http://u:s3cret@127.0.0.1:9"])
def test_an_address_of_stage3_that_leads_nowhere_is_not_told(
    viewer: Api, settings: pytest.MonkeyPatch, url: str
) -> None:
    settings.setenv("STAGE4_STAGE3_URL", url)
    deployment.cache_clear()
    answer = viewer.ask("GET", "health")
    assert answer.json()["dependencies"]["stage3"]["status"] == "down"
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": "redis://u:s3cret@h"}, "host"),
        ({"host": "redis", "port": 99999}, "port"),
        ({"host": "redis", "schema": "s3cret"}, "number of a database"),
    ],
)
def test_a_wrong_connection_to_redis_is_told_and_keeps_no_server_from_starting(
    results: Results, settings: pytest.MonkeyPatch, wrong: dict[str, Any], said: str
) -> None:
    settings.setenv("AIRFLOW_CONN_CACHE", json.dumps({"conn_type": "redis", **wrong}))
    settings.setenv("STAGE4_REDIS_CONN_ID", "cache")
    settings.setenv("STAGE4_STAGE3_STREAM_CONN_ID", "cache")
    deployment.cache_clear()
    with serving() as client:
        api = Api(client, bearer("viewer"))
        assert api.get("runs")["runs"] == []
        found = api.get("health")["dependencies"]
    for name in ("redis", "stage3_stream"):
        assert found[name]["status"] == "down"
        assert said in found[name]["detail"]
        assert "s3cret" not in found[name]["detail"]


def test_a_fresh_installation_is_healthy(
    template: Results, settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = template.server.create_database(template.database)
    connection = template.server.airflow_connection(name, template.loader)
    settings.setenv(CONNECTION_VARIABLE, json.dumps(connection))
    settings.setenv("STAGE4_WORKSPACE", str(tmp_path / "made by the first run"))
    deployment.cache_clear()
    with serving() as client:
        fresh = Api(client, bearer("viewer"))
        status, found = health(fresh)
        assert (status, found["workspace"], found["all"]) == (200, "up", "healthy")
        detail = fresh.get("health")["dependencies"]["workspace"]["detail"]
        assert detail == "not there yet: the first run makes it"
    template.server.drop_database(name)


def assert_down(client: Api) -> None:
    status, found = health(client)
    assert (status, found["postgres"], found["all"]) == (503, "down", "down")
    for path in ("clusters?level=events", "runs", "metrics/events", "items/events/x"):
        answer = client.ask("GET", path)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "pgserver" not in answer.text
        assert "socket" not in answer.text


def test_a_database_that_is_not_there(settings: pytest.MonkeyPatch) -> None:
    nowhere = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "schema": "stage4"}
    settings.setenv(CONNECTION_VARIABLE, json.dumps(nowhere))
    with serving() as client:
        assert_down(Api(client, bearer()))


def test_a_connection_that_airflow_does_not_have(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("STAGE4_POSTGRES_CONN_ID", "no_such_connection")
    deployment.cache_clear()
    with serving() as client:
        assert_down(Api(client, bearer()))


def test_a_database_without_the_schema(results: Results, settings: pytest.MonkeyPatch) -> None:
    with results.server.connect(results.database) as connection:
        connection.execute("DROP SCHEMA stage4 CASCADE")
    with serving() as client:
        api = Api(client, bearer())
        assert health(api)[0] == 503
        answer = api.ask("GET", "runs")
    assert answer.status_code == 503
    assert "python -m stage4.setup" in answer.json()["detail"]


def test_a_role_that_may_not_read(results: Results, settings: pytest.MonkeyPatch) -> None:
    stranger = results.server.create_role()
    connection = results.server.airflow_connection(results.database, stranger)
    settings.setenv(CONNECTION_VARIABLE, json.dumps(connection))
    with serving() as client:
        answer = Api(client, bearer()).ask("GET", "runs")
    assert answer.status_code == 503
    assert "grants" in answer.json()["detail"]


def test_connections_that_break_are_made_again(results: Results) -> None:
    with serving() as client:
        api = Api(client, bearer())
        assert api.get("runs")["runs"] == []
        with results.server.connect() as superuser:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND application_name = 'stage4-api'",
                [results.database],
            )
        assert api.get("runs")["runs"] == []
