"""Redis: what it keeps, when that is no longer asked for, and what happens without it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.settings.deployment import deployment
from stage4 import redis_link
from stage4.deletions.hiding import hide
from stage4.redis_link import PREFIX
from tests.integration.api.conftest import Api, bearer, serving
from tests.integration.api.redis_server import RedisServer, running
from tests.integration.api.test_api_runs_moving import load
from tests.integration.conftest import Results
from tests.integration.label_files import Label

pytestmark = pytest.mark.usefixtures("airflow_metadata", "workspace")

DAY = 24 * 3600


@pytest.fixture
def redis(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisServer]:
    """A Redis that the installation is set to use, and that is asked again at once."""
    monkeypatch.setattr(redis_link, "_REST_SECONDS", 0.0)
    with running(tmp_path) as server:
        monkeypatch.setenv("AIRFLOW_CONN_CACHE", server.airflow_connection)
        monkeypatch.setenv("STAGE4_REDIS_CONN_ID", "cache")
        deployment.cache_clear()
        yield server


@pytest.fixture
def api(results: Results, redis: RedisServer) -> Iterator[Api]:
    with serving() as client:
        yield Api(client, bearer())


CACHED = (
    "clusters?level=events",
    "clusters?level=events&q=leaders&order=label&limit=2",
    "clusters/event_000000000001",
    "clusters/event_000000000001?centroid=true",
    "clusters/event_000000000001/members",
    "clusters/event_000000000001/members?order=similarity",
    "clusters/event_000000000001/similar",
    "metrics/events",
)


def kept(redis: RedisServer) -> list[bytes]:
    return [bytes(key) for key in redis.client.scan_iter(f"{PREFIX}*") if isinstance(key, bytes)]


@pytest.mark.parametrize("path", CACHED)
def test_an_answer_is_kept_and_given_again(
    api: Api, redis: RedisServer, tmp_path: Path, path: str
) -> None:
    load(Label(tmp_path))
    first = api.ask("GET", path)
    (key,) = kept(redis)
    assert redis.client.get(key) == first.content
    lives = DAY if path.startswith("metrics") else deployment().cache_seconds
    assert lives - 60 < redis.client.ttl(key) <= lives
    again = api.ask("GET", path)
    assert (again.content, again.headers["content-type"]) == (
        first.content,
        first.headers["content-type"],
    )
    redis.client.set(key, b'{"from": "redis"}')
    assert api.get(path) == {"from": "redis"}


def test_each_question_has_an_answer_of_its_own(
    api: Api, redis: RedisServer, tmp_path: Path
) -> None:
    load(Label(tmp_path))
    for path in CACHED:
        api.ask("GET", path)
    assert len(kept(redis)) == len(CACHED)


def test_publishing_is_seen_at_once(api: Api, redis: RedisServer, tmp_path: Path) -> None:
    label = Label(tmp_path)
    load(label)
    before = {path: api.get(path) for path in CACHED}
    newer = load(label.later(clusters=7, mark="second", text="Leaders part"))
    for path, answer in before.items():
        now = api.get(path)
        assert now != answer
        assert now.get("load_id", newer) == newer
    assert len(api.get("clusters", level="events")["clusters"]) == 7


def test_a_deletion_in_the_earlier_run_is_seen_at_once(
    api: Api, redis: RedisServer, results: Results, tmp_path: Path
) -> None:
    """A comparison shows labels of both runs, the metrics counts of all published ones."""
    label = Label(tmp_path)
    earlier = load(label)
    load(label.later(clusters=2, mark="second"))
    with results.server.connect(results.database) as superuser:
        superuser.execute(
            "UPDATE stage4.members SET document_id = 'doc_9' WHERE load_id = %s"
            " AND cluster_id = 'event_000000000002'",
            [earlier],
        )
    paths = (f"runs/events/compare?base={earlier}", "metrics/events")
    before = {path: api.get(path) for path in paths}
    with results.server.connect(results.database) as superuser, superuser.transaction():
        assert hide(superuser, "doc_9", Tombstones("s" * 32, frozenset({"unused"})))
    compared, metrics = (api.get(path) for path in paths)
    vanished = {change["cluster_id"] for change in before[paths[0]]["changes"]}
    assert vanished - {change["cluster_id"] for change in compared["changes"]} == {
        "event_000000000002"
    }
    read = [run["values"]["counts.read"] for run in (*before[paths[1]]["trend"], *metrics["trend"])]
    assert read == [15, 11, 11, 11]


def test_who_may_not_read_gets_nothing_that_is_kept(
    api: Api, redis: RedisServer, tmp_path: Path
) -> None:
    load(Label(tmp_path))
    for path in CACHED:
        api.ask("GET", path)
        assert api.client.get(path, headers=bearer(None)).status_code == 403
        assert api.client.get(path).status_code == 401


def test_refusals_and_later_pages_are_not_kept(
    api: Api, redis: RedisServer, tmp_path: Path
) -> None:
    load(Label(tmp_path))
    api.ask("GET", "clusters/event_00000000beef")
    api.ask("GET", "clusters?level=events&limit=0")
    assert kept(redis) == []
    api.pages("clusters", level="events", limit=1)
    assert len(kept(redis)) == 1


@pytest.mark.parametrize("end", ["stop", "pause"])
def test_a_redis_that_dies_is_done_without(
    api: Api, redis: RedisServer, tmp_path: Path, end: str
) -> None:
    load(Label(tmp_path))
    before = {path: api.get(path) for path in CACHED}
    getattr(redis, end)()
    with capture_logs() as logs:
        assert {path: api.get(path) for path in CACHED} == before
        health = api.get("health")
    assert (health["status"], health["dependencies"]["redis"]["status"]) == ("degraded", "down")
    lines = [entry for entry in logs if "Redis" in entry["event"]]
    assert len(lines) == 1, "one line, however many requests"
    redis.resume() if end == "pause" else redis.start()
    assert {path: api.get(path) for path in CACHED} == before
    assert api.get("health")["dependencies"]["redis"]["status"] == "up"
    if end == "stop":
        assert len(kept(redis)) == len(CACHED), "it is used again"


def test_a_dead_redis_is_left_alone_for_a_while(
    api: Api, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(Label(tmp_path))
    monkeypatch.setattr(redis_link, "_REST_SECONDS", 600.0)
    redis.pause()
    api.get(CACHED[0])
    redis.resume()
    redis.client.flushall()
    api.get(CACHED[0])
    assert kept(redis) == [], "it was not asked"


def test_what_is_no_redis_is_done_without(
    results: Results, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_REDIS_CONN_ID", "nowhere")
    deployment.cache_clear()
    load(Label(tmp_path))
    with serving() as client:  # Airflow has no such connection
        api = Api(client, bearer())
        assert api.get(CACHED[0])["clusters"]
        assert api.get("health")["dependencies"]["redis"]["status"] == "down"
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", "redis://127.0.0.1:1")
    with serving() as client:  # nobody listens
        api = Api(client, bearer())
        assert api.get(CACHED[0])["clusters"]
        assert api.get("health")["dependencies"]["redis"]["status"] == "down"


def test_api_servers_count_requests_together(
    results: Results, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "4")
    deployment.cache_clear()
    load(Label(tmp_path))
    with serving() as one, serving() as other:
        codes = [
            client.get("runs", headers=bearer(name="busy")).status_code
            for client in (one, other, one, other, one, other)
        ]
        assert codes == [200, 200, 200, 200, 429, 429]
        redis.stop()  # each counts by itself then
        assert one.get("runs", headers=bearer(name="busy")).status_code == 200


def test_a_redis_that_wants_tls_and_a_certificate_is_used(
    results: Results,
    tmp_path: Path,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    certificate: tuple[Path, Path],
) -> None:
    load(Label(tmp_path))
    with running(tmp_path, certificate) as redis:
        connection = json.loads(redis.airflow_connection) | {"extra": redis.tls_extra}
        monkeypatch.setenv("AIRFLOW_CONN_CACHE", json.dumps(connection))
        monkeypatch.setenv("STAGE4_REDIS_CONN_ID", "cache")
        deployment.cache_clear()
        with serving() as client:
            api = Api(client, bearer())
            api.ask("GET", CACHED[0])
            assert len(kept(redis)) == 1
            assert list(redis.client.scan_iter("stage4:limits*"))
            assert api.get("health")["dependencies"]["redis"]["status"] == "up"


def test_a_password_and_a_number_of_a_database(tmp_path: Path) -> None:
    from airflow.models.connection import Connection  # noqa: TID251

    def url(**how: Any) -> str:
        return redis_link.redis_url(Connection(conn_type="redis", host="cache", **how))

    assert url() == "redis://cache:6379/0"
    assert url(password="a/b@c") == "redis://:a%2Fb%40c@cache:6379/0"
    assert url(login="u", password="p", port=7000) == "redis://u:p@cache:7000/0"
    assert url(schema="3") == "redis://cache:6379/3"
    assert url(extra='{"db": 2, "ssl": true}') == "rediss://cache:6379/2"
    assert url(extra='{"ssl": true, "ssl_ca_certs": "/a b", "ssl_certfile": ""}') == (
        "rediss://cache:6379/0?ssl_ca_certs=%2Fa+b"
    )
    assert url(extra='{"ssl_ca_certs": "/a"}') == "redis://cache:6379/0"
