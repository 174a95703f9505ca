"""Who gets in, who may read what, and what is refused before anything is looked up."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

import stage4
from clustering_tasks.settings.deployment import deployment
from stage4.api.app import build
from stage4.api.limits import login_failures
from stage4.api.security import AccessDep, own_page
from stage4_plugin import URL_PREFIX, Stage4Plugin
from tests.integration.api.conftest import Api, bearer, serving, token
from tests.integration.api.pages_server import listening

EXAMPLES = {
    "{cluster_id}": "event_000000000000",
    "{level}": "events",
    "{load_id}": "1",
    "{source_id}": "doc_1_event_0",
    "{document_id}": "doc_1",
    "{job_id}": "cluster_events.manual__1",
    "{correction_id}": "4711",
}
BODIES = {
    "/corrections": {"level": "events", "kind": "pin", "cluster_id": "event_000000000000"},
    "/jobs/{job_id}": {"action": "pause"},
}
REQUIRED = {
    "/clusters": {"level": "events"},
    "/runs/{level}/compare": {"base": 999},
    "/runs/{level}/changes": {"base": 999},
}
ROUTES = sorted(
    (method, route.path)
    for route in build().routes
    if isinstance(route, APIRoute)
    for method in route.methods
)


def ask(client: TestClient, method: str, path: str, **how: Any) -> Any:
    route = path
    how["params"] = REQUIRED.get(path)
    for name, value in EXAMPLES.items():
        path = path.replace(f"{name[:-1]}:path}}", value).replace(name, value)
    if method in ("POST", "PATCH"):
        how["json"] = BODIES.get(route, {"level": "events"})
    return client.request(method, path.lstrip("/"), **how)


def test_there_are_routes() -> None:
    assert ("GET", "/openapi.json") in ROUTES
    assert ("POST", "/clusters/search") in ROUTES


OPEN = ("GET", "/live")
SIGNED = ("POST", "/stage3/events")  # test_api_stage3_events.py


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer garbage"}])
def test_anybody_learns_that_it_lives_and_no_more(
    stranger: TestClient, headers: dict[str, str]
) -> None:
    answer = stranger.get("live", headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "alive",
        "service": "stage4-clustering",
        "version": stage4.__version__,
    }
    assert answer.headers["cache-control"] == "no-store"
    for method, path in (("POST", "live"), ("GET", "live/"), ("GET", "live/x"), ("GET", "x/live")):
        assert stranger.request(method, path).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [route for route in ROUTES if route not in (OPEN, SIGNED)]
)
def test_nobody_gets_in_without_a_token(stranger: TestClient, method: str, path: str) -> None:
    answer = ask(stranger, method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["", "docs", "redoc", "no/such/path", "../v1/runs", "clusters/"])
def test_nobody_learns_which_paths_there_are(stranger: TestClient, path: str) -> None:
    assert stranger.get(path).status_code == 401


def test_nobody_learns_what_is_wrong_with_a_request(stranger: TestClient) -> None:
    assert stranger.post("clusters/search", content=b"{").status_code == 401
    assert stranger.get("clusters?typo=1").status_code == 401


@pytest.mark.parametrize("credentials", ["Bearer garbage", "Bearer ", "Basic YTpi", "bearer x.y.z"])
def test_a_broken_token_opens_nothing(stranger: TestClient, credentials: str) -> None:
    answer = stranger.get("runs", headers={"Authorization": credentials})
    assert answer.status_code in (401, 403)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_token_with_another_signature_opens_nothing(stranger: TestClient) -> None:
    head, body, signature = token().split(".")
    broken = f"{head}.{body}.{signature[::-1]}"
    answer = stranger.get("runs", headers={"Authorization": f"Bearer {broken}"})
    assert answer.status_code == 403


def test_the_cookie_of_airflows_pages_opens_too(stranger: TestClient) -> None:
    answer = stranger.get("runs", headers={"Cookie": f"_token={token()}"})
    assert answer.status_code == 200


def changes(method: str, path: str) -> bool:
    """Whether a route needs the right to start or change runs."""
    return method in ("DELETE", "PATCH") or (method, path) in {
        ("POST", "/corrections"),
        ("POST", "/batch"),
        ("POST", "/events/resend"),
        ("POST", "/stage3/events"),
    }


OPEN_TO_ALL_USERS = {"/openapi.json", "/health", "/live", "/stage3/events"}


@pytest.mark.parametrize(
    ("method", "path"), [route for route in ROUTES if route[1] not in OPEN_TO_ALL_USERS]
)
def test_who_may_read_no_dag_reads_nothing(stranger: TestClient, method: str, path: str) -> None:
    """A user without a role, who may log in and no more."""
    answer = ask(stranger, method, path, headers=bearer(None))
    assert answer.status_code in ((403, 404) if path == "/jobs/{job_id}" else (403,))
    assert "rovinia" not in answer.text.lower()


@pytest.mark.parametrize("role", ["viewer", "user", "op", "admin"])
@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if not changes(*route)])
def test_who_may_read_the_dags_reads(
    stranger: TestClient, method: str, path: str, role: str
) -> None:
    assert ask(stranger, method, path, headers=bearer(role)).status_code in (200, 404)


@pytest.fixture(scope="module")
def writer(stranger: TestClient) -> Iterator[TestClient]:
    """The API with an endpoint that changes something, guarded as such ones are to be."""
    api = build()

    @api.post("/change/{level}", dependencies=[Depends(own_page)])
    async def change(level: str, access: AccessDep) -> str:
        await access.check_write(level)
        return "changed"

    with serving(api) as client:
        yield client


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("user", 200), (None, 403)])
def test_a_change_needs_the_right_to_start_runs(
    writer: TestClient, role: str | None, status: int
) -> None:
    assert writer.post("change/events", headers=bearer(role)).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "http://elsewhere.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://stage4.test.elsewhere.test"}, 403),
        ({"Origin": "http://stage4.test"}, 200),
        ({"X-Stage4-Request": "1"}, 200),
    ],
)
def test_another_sites_page_changes_nothing(
    writer: TestClient, headers: dict[str, str], status: int
) -> None:
    cookie = {"Cookie": f"_token={token('admin')}"}
    assert writer.post("change/events", headers=cookie | headers).status_code == status


@pytest.mark.parametrize(
    "query",
    ["levle=events&level=events", "level=events&level=documents", "level=events&limit=5&limit=6"],
)
def test_an_unknown_or_repeated_parameter_is_refused(viewer: Api, query: str) -> None:
    answer = viewer.ask("GET", f"clusters?{query}")
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["health?verbose=1", "statistics?level=events", "runs/events/1?x"])
def test_endpoints_without_parameters_take_none(viewer: Api, path: str) -> None:
    assert viewer.ask("GET", path).status_code == 422


INJECTIONS = [
    "'; DROP TABLE stage4.runs; --",
    "1 OR 1=1",
    "%(level)s",
    "{table}",
    "$$; SELECT pg_sleep(10); $$",
    "\\",
    "' & | ! ( ) <-> :*",
    '"unclosed',
    "\ud7ff\uffff😀",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_a_parameter_is_text(viewer: Api, text: str) -> None:
    for name in ("domain", "event_type", "entity_type", "document_id", "q"):
        found = viewer.get("clusters", level="events", **{name: text})
        assert name == "q" or found["clusters"] == []
    assert viewer.search(level="events", text=text)
    assert viewer.ask("GET", f"items/events/{text}").status_code == 404
    assert viewer.get("runs")["runs"], "the tables are still there"


@pytest.mark.parametrize(
    "path",
    [
        "clusters?level=events;DROP TABLE x",
        "clusters?level=events&load_id=1;2",
        "clusters?level=events&load_id=1 OR 1=1",
        "clusters?level=events&load_id=99999999999999999999",
        "clusters?level=events&order=size;--",
        "clusters?level=events&min_size=0x10",
        "clusters?level=events&cursor=../../etc/passwd",
        "clusters/event_7f3a9c2e41b0'--",
        "clusters/event_7F3A9C2E41B0",
        "clusters/..%2f..%2fetc%2fpasswd",
        "metrics/events?names=a'b",
        "metrics/..%2f..%2fetc",
        "jobs/cluster_events.x%2f..%2f..%2fetc",
        "jobs/cluster_events.x%00",
        "items/events/a%00b",
        "runs/events/-1",
        "runs/events/one",
    ],
)
def test_what_is_no_id_number_or_name_is_refused(viewer: Api, path: str) -> None:
    answer = viewer.ask("GET", path)
    assert answer.status_code in (404, 422), answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "path", ["items/events/%2e%2e/%2e%2e/etc/passwd", "items/events/..%2f..%2fetc%2fpasswd"]
)
def test_a_path_leads_nowhere_else(viewer: Api, path: str) -> None:
    answer = viewer.ask("GET", path)
    assert answer.status_code == 404
    assert "root:" not in answer.text


@pytest.mark.parametrize("path", ["clusters?level=events", "runs", "no/such/path", "health"])
def test_answers_are_for_one_user_and_are_no_pages(
    viewer: Api, stranger: TestClient, path: str
) -> None:
    for answer in (viewer.ask("GET", path), stranger.get(path)):
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        timing = answer.headers["server-timing"]
        assert re.fullmatch(r"gate;dur=\d+\.\d, endpoint;dur=\d+\.\d", timing)


def test_a_method_that_a_path_does_not_have(viewer: Api) -> None:
    assert viewer.ask("DELETE", "runs").status_code == 405
    assert viewer.ask("GET", "no/such/path").status_code == 404


def test_a_body_that_is_too_large_announced_or_not(viewer: Api) -> None:
    most = deployment().api_max_body_bytes
    headers = viewer.headers | {"Content-Type": "application/json"}
    body = b'{"level": "events", "text": "' + b"x" * most + b'"}'
    answer = viewer.client.post("clusters/search", content=body, headers=headers)
    assert answer.status_code == 413

    def in_pieces() -> Iterator[bytes]:
        yield from (body[start : start + 9999] for start in range(0, len(body), 9999))

    answer = viewer.client.post("clusters/search", content=in_pieces(), headers=headers)
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_too_many_requests_of_one_user(
    stranger: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "3")
    deployment.cache_clear()
    try:
        with serving() as client:
            answers = [client.get("runs", headers=bearer(name="one")) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
            assert client.get("no/such/path", headers=bearer(name="one")).status_code == 429
            assert client.get("runs", headers=bearer(name="other")).status_code == 200
    finally:
        monkeypatch.undo()
        deployment.cache_clear()


@contextmanager
def setting(name: str, value: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, value)
        deployment.cache_clear()
        login_failures.cache_clear()
        yield
    deployment.cache_clear()
    login_failures.cache_clear()


def test_a_body_that_comes_too_slowly_is_cut_off(stranger: TestClient) -> None:
    def slowly() -> Iterator[bytes]:
        for _ in range(100):
            yield b" "
            time.sleep(0.05)

    with setting("STAGE4_API_BODY_SECONDS", "0.3"), listening() as address:
        began = time.monotonic()
        answer = httpx.post(
            f"{address.removesuffix('/stage4/pages')}{URL_PREFIX}/clusters/search",
            content=slowly(),
            headers=bearer() | {"Content-Type": "application/json"},
            timeout=10,
        )
    assert answer.status_code == 408
    assert "0.3 s" in answer.json()["detail"]
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer x.y.z"}, {"Cookie": "_token=x.y.z"}])
def test_failed_tokens_of_one_address_are_metered(
    corpus: object, airflow_metadata: None, headers: dict[str, str]
) -> None:
    with setting("STAGE4_LOGIN_FAILURES_PER_MINUTE", "3"), serving() as client:
        answers = [client.get("runs", headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers][3:] == [429, 429]
        assert not {answer.status_code for answer in answers[:3]} - {401, 403}
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        # who has a valid token is let in, whatever others at the address do
        assert client.get("runs", headers=bearer()).status_code == 200


def test_asking_without_a_token_is_no_failed_login(corpus: object, airflow_metadata: None) -> None:
    with setting("STAGE4_LOGIN_FAILURES_PER_MINUTE", "2"), serving() as client:
        assert {client.get("runs").status_code for _ in range(5)} == {401}


def fronted() -> TestClient:
    """Airflow's own log-in behind the plugin's middleware, and the API as Airflow mounts it."""
    from airflow.api_fastapi.auth.managers.simple.routes.login import login_router

    outer = FastAPI()
    outer.mount(URL_PREFIX, build())
    auth = FastAPI()
    auth.include_router(login_router)
    outer.mount("/auth", auth)
    for each in Stage4Plugin().fastapi_root_middlewares:
        outer.add_middleware(each["middleware"])

    return TestClient(outer, raise_server_exceptions=False)


def test_failed_logins_of_one_address_are_metered(airflow_metadata: None) -> None:
    wrong = {"username": "admin", "password": "guessed"}
    with setting("STAGE4_LOGIN_FAILURES_PER_MINUTE", "3"):
        client = fronted()
        answers = [client.post("/auth/token", json=wrong) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert "wait" in answers[-1].json()["detail"]
        assert client.post("/auth/token/cli", json=wrong).status_code == 429
        assert client.get("/auth/token").status_code != 429


LARGE = [
    {"conf": {"typo": 10**30}},
    {"conf": {"typo": {"deep": [1, -(10**30)]}}},
    {"conf": {"hdbscan.min_cluster_size": 2**63}},
]


@pytest.mark.parametrize("body", LARGE)
@pytest.mark.parametrize(
    "path", ["dags/cluster_events/dagRuns", "dags/cluster_all/dagRuns", "assets/events"]
)
def test_an_integer_that_kills_a_task_is_refused_at_the_trigger(path: str, body: Any) -> None:
    client = behind_the_front()
    for encoding in ("utf-8", "utf-16"):
        answer = client.post(f"/api/v2/{path}", content=json.dumps(body).encode(encoding))
        assert answer.status_code == 400
        name = next(iter(body["conf"]))
        assert f"conf.{name}" in answer.json()["detail"]
        assert "an integer of 64 bits is at most 9223372036854775807" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("dags/somebody_elses/dagRuns", b'{"conf": {"typo": 1000000000000000000000000000000}}'),
        ("dags/cluster_events/dagRuns", b'{"conf": {"typo": 9223372036854775807}}'),
        ("dags/cluster_events/dagRuns", b'{"note": "1000000000000000000000000000000"}'),
        ("dags/cluster_events/dagRuns", b"[" * 100_000 + b"1000000000000000000000"),
        ("dags/cluster_events/dagRuns", b'{"conf": 1000000000000000000000'),
        ("dags/cluster_events/dagRuns", b""),
    ],
)
def test_whatever_else_is_triggered_arrives_as_it_was_sent(path: str, body: bytes) -> None:
    assert behind_the_front().post(f"/api/v2/{path}", content=body).content == body


def behind_the_front() -> TestClient:
    """What stands in front of Airflow's API server, and behind it an echo."""

    async def echo(request: Request) -> Response:
        return Response(await request.body())

    app = Starlette(routes=[Route("/{path:path}", echo, methods=["POST"])])
    for each in Stage4Plugin().fastapi_root_middlewares:
        app.add_middleware(each["middleware"])
    return TestClient(app)


@pytest.mark.parametrize("path", ["items/events/a%0Ab", "items/events/%0A", "documents/a%0Ab"])
def test_an_id_with_a_line_feed_is_answered_by_stage_4(
    corpus: object, airflow_metadata: None, path: str
) -> None:
    client = fronted()
    method = "DELETE" if path.startswith("documents") else "GET"
    answer = client.request(method, f"{URL_PREFIX}/{path}")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_id_with_a_control_character_is_refused_by_name(
    stranger: TestClient, method: str
) -> None:
    path = "documents/a%0Db" if method == "DELETE" else "items/events/a%0Db"
    answer = stranger.request(method, path, headers=bearer("admin"))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] in ("path.source_id", "path.document_id")
