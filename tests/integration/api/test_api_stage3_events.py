"""Stage 3's webhook: Airflow's whole API server, PostgreSQL, runs that nobody performs."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.models.dagrun import DagRun  # noqa: TID251 - Airflow's own database is the test's
from airflow.utils.session import create_session
from sqlalchemy import select
from starlette.testclient import TestClient

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from stage4.api.limits import login_failures
from stage4.api.routes import stage3_events as route
from stage4.database.connection import database
from stage4.database.stage3_events import mark_begun
from stage4.job_ids import job_id
from stage4.tasks.receive_events import request_runs
from stage4_plugin import URL_PREFIX
from tests.events_out import OLD_SECRET, SECRET
from tests.integration.api.conftest import bearer
from tests.integration.api.whole_airflow import end_run, whole_airflow
from tests.integration.conftest import Results
from tests.stage3_events import event, signed

PATH = f"{URL_PREFIX}/stage3/events"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def whole(airflow_metadata: None) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGE4_API_REQUESTS_PER_MINUTE", "1000000")
        patch.setenv("STAGE4_STAGE3_WEBHOOK_CONN_ID", "stage3")
        patch.setenv(
            "AIRFLOW_CONN_STAGE3",
            f'{{"conn_type": "generic", "password": "{SECRET} {OLD_SECRET}"}}',
        )
        deployment.cache_clear()
        with whole_airflow() as client:
            yield client
    deployment.cache_clear()


@pytest.fixture
def stage3(whole: TestClient, results: Results) -> Iterator[TestClient]:
    """The webhook, with a database and without runs."""
    login_failures.cache_clear()
    yield whole
    with create_session() as session:
        session.query(DagRun).delete()
    login_failures.cache_clear()


def send(client: TestClient, body: Json, status: int = 202, **how: Any) -> Any:
    answer = client.post(PATH, **signed(body, **how))
    assert answer.status_code == status, answer.text
    return answer.json()


def runs() -> list[tuple[str, str, str]]:
    with create_session() as session:
        rows = session.execute(select(DagRun.dag_id, DagRun.run_id, DagRun.state)).all()
    return sorted((row.dag_id, row.run_id, str(row.state)) for row in rows)


def begin(dag: str, run_id: str) -> None:
    """Let a run begin to read, as `check_stage3` does."""
    end_run(dag, run_id, "running")
    with database() as connection:
        mark_begun(connection, dag.removeprefix("cluster_"), run_id)


class Task:
    """What the task of `receive_events` asks Airflow."""

    def get_dr_count(self, dag_id: str, run_ids: list[str]) -> int:
        return sum((dag_id, run_id) in {row[:2] for row in runs()} for run_id in run_ids)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        return next(state for dag, run, state in runs() if (dag, run) == (dag_id, run_id))


class NoEvents(dict[Any, Any]):
    """Assets without events."""

    def __missing__(self, _: Any) -> "NoEvents":
        return self

    def after(self, _: str) -> list[Any]:
        return []


def test_an_event_starts_one_run_however_often_it_comes(stage3: TestClient) -> None:
    first = send(stage3, event("a"))
    (run,) = runs()
    assert (run[0], run[2]) == ("cluster_events", "queued")
    assert first == {"level": "events", "is_new": True, "job_id": job_id(*run[:2])}
    assert send(stage3, event("a", "events")) == first | {"is_new": False}
    assert send(stage3, event("a"), secret=OLD_SECRET, message="msg_2") == first | {"is_new": False}
    assert runs() == [run]


def test_batches_of_a_job_are_told_apart_by_their_numbers(stage3: TestClient) -> None:
    def batch(embeddings: int | None) -> Json:
        return event("a", embeddings=embeddings, event_type="embedding.batch.completed")

    first = send(stage3, batch(500))
    begin(*runs()[0][:2])
    second = send(stage3, batch(700))
    assert second["is_new"]
    assert second["job_id"] != first["job_id"]
    assert send(stage3, batch(500)) == first | {"is_new": False}
    assert send(stage3, batch(700)) == second | {"is_new": False}
    assert send(stage3, batch(None))["is_new"]
    assert not send(stage3, batch(None))["is_new"]
    assert len(runs()) == 2


def test_events_during_a_run_are_for_one_following_run(stage3: TestClient) -> None:
    first = send(stage3, event("a"))
    assert send(stage3, event("b"))["job_id"] == first["job_id"]  # it has not begun
    ((dag, run_id, _),) = runs()
    begin(dag, run_id)
    following = send(stage3, event("c"))["job_id"]
    assert following != first["job_id"]
    assert {send(stage3, event(f"d{number}"))["job_id"] for number in range(5)} == {following}
    assert len(runs()) == 2
    assert send(stage3, event("a"))["job_id"] == first["job_id"]
    assert send(stage3, event("a", "document"))["level"] == "documents"


def test_a_run_that_is_cleared_reads_nothing_again(stage3: TestClient) -> None:
    first = send(stage3, event("a"))
    ((dag, run_id, _),) = runs()
    begin(dag, run_id)
    end_run(dag, run_id, "queued")
    assert send(stage3, event("b"))["job_id"] != first["job_id"]


def test_a_run_that_was_canceled_before_its_turn_takes_no_more(stage3: TestClient) -> None:
    first = send(stage3, event("a"))
    ((dag, run_id, _),) = runs()
    end_run(dag, run_id, "failed")
    assert send(stage3, event("b"))["job_id"] != first["job_id"]


def test_few_embeddings_wait_for_more(stage3: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGE4_MIN_EMBEDDINGS", "100")
    deployment.cache_clear()
    waiting = {"level": "events", "is_new": True, "job_id": None}
    assert send(stage3, event("a", embeddings=60)) == waiting
    assert send(stage3, event("a", embeddings=60)) == waiting | {"is_new": False}
    assert send(stage3, event("other", "entities", embeddings=99))["job_id"] is None
    assert runs() == []
    enough = send(stage3, event("b", embeddings=40))["job_id"]
    assert enough is not None
    assert send(stage3, event("a", embeddings=60))["job_id"] == enough
    assert send(stage3, event("untold", "documents", embeddings=None))["job_id"] is not None
    assert len(runs()) == 2
    monkeypatch.delenv("STAGE4_MIN_EMBEDDINGS")
    deployment.cache_clear()
    (wanted,) = request_runs(Task(), NoEvents())
    assert wanted["trigger_dag_id"] == "cluster_entities"


def test_a_run_that_was_not_made_is_made_by_the_next_look(
    stage3: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(route, "make_run", lambda *_: False)
        first = send(stage3, event("a"))
    assert runs() == []
    (wanted,) = request_runs(Task(), NoEvents())
    assert job_id(wanted["trigger_dag_id"], wanted["trigger_run_id"]) == first["job_id"]
    assert request_runs(Task(), NoEvents()) == [wanted]  # until it is there
    assert send(stage3, event("b")) == first
    assert send(stage3, event("a")) == first | {"is_new": False}
    assert [row[1] for row in runs()] == [wanted["trigger_run_id"]]
    assert request_runs(Task(), NoEvents()) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"webhook-signature": "v1,bm8="}, 401),
        ({"webhook-signature": "nonsense"}, 401),
        ({"webhook-signature": ""}, 401),
        ({"webhook-id": "another"}, 401),
        ({"webhook-timestamp": "yesterday"}, 401),
        ({"webhook-timestamp": "9" * 30}, 401),
        ({"webhook-timestamp": "1000000000"}, 400),
    ],
)
def test_what_stage3_has_not_signed_is_refused(
    stage3: TestClient, results: Results, headers: dict[str, str], status: int
) -> None:
    request = signed(event("a"))
    answer = stage3.post(PATH, **request | {"headers": request["headers"] | headers})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (status == 401) == (answer.headers.get("www-authenticate") == "StandardWebhooks")
    kept = "SELECT count(*) FROM stage4.stage3_events"
    assert results.rows(kept, user=results.loader) == [(0,)]


def test_a_stale_request_a_foreign_secret_and_a_token_open_nothing(stage3: TestClient) -> None:
    assert "is not of now: signed " in send(stage3, event("a"), 400, ago=400)["detail"]
    assert "is not of now: signed -" in send(stage3, event("a"), 400, ago=-400)["detail"]
    send(stage3, event("a"), 401, secret="whsec_" + "bm9ib2R5" * 4)
    assert stage3.post(PATH, json=event("a"), headers=bearer("admin")).status_code == 401
    assert stage3.get(PATH, headers=bearer("admin")).status_code == 405
    assert stage3.get(PATH).status_code == 401
    assert runs() == []


def test_a_secret_that_is_none_opens_nothing(
    stage3: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = {"conn_type": "http", "password": SECRET.removeprefix("whsec_")}
    monkeypatch.setenv("AIRFLOW_CONN_STAGE3", json.dumps(bare))
    assert "`whsec_` and 24 to 64 bytes" in send(stage3, event("a"), 503)["detail"]


def test_who_guesses_has_to_wait_and_stage3_has_not(
    stage3: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_LOGIN_FAILURES_PER_MINUTE", "3")
    deployment.cache_clear()
    wrong = [stage3.post(PATH, json=event("a")).status_code for _ in range(5)]
    assert wrong == [401, 401, 401, 429, 429]
    send(stage3, event("a"))
    monkeypatch.delenv("STAGE4_LOGIN_FAILURES_PER_MINUTE")
    deployment.cache_clear()


def test_what_is_wrong_with_an_event_is_named_without_its_values(stage3: TestClient) -> None:
    wrong = event("a", "clusters", -1, event_type="x") | {"job_id": ["secret"]}
    answer = send(stage3, wrong, 422)
    assert [each["where"] for each in answer["errors"]] == [
        "body.event_type",
        "body.job_id",
        "body.embedding_type",
        "body.total_embeddings",
    ]
    assert "secret" not in str(answer)
    for body in (b"", b"{", b"[]", b"\xff"):
        found = stage3.post(PATH, **signed(body)) if body != b"\xff" else None
        assert found is None or found.status_code == 422
    assert stage3.post(PATH, content=b"x" * 300_000).status_code == 413


def test_an_installation_without_the_webhook_says_so(
    stage3: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for conn_id, status in (("", 404), ("nobody", 503)):
        monkeypatch.setenv("STAGE4_STAGE3_WEBHOOK_CONN_ID", conn_id)
        deployment.cache_clear()
        assert "STAGE4_STAGE3_WEBHOOK_CONN_ID" in send(stage3, event("a"), status)["detail"]
    monkeypatch.setenv("STAGE4_STAGE3_WEBHOOK_CONN_ID", "stage3")
    deployment.cache_clear()


def test_a_burst_with_duplicates_at_once_while_runs_begin(
    stage3: TestClient, results: Results
) -> None:
    levels = [*LEVELS]
    sent = [event(f"job-{number}", levels[number % 4]) for number in range(100)]
    sent += random.Random(3).sample(sent, 60)
    random.Random(4).shuffle(sent)
    with ThreadPoolExecutor(4) as threads:
        for number, answer in enumerate(threads.map(lambda each: send(stage3, each), sent)):
            if number % 30 == 0:
                begin_one(answer["level"])
    by_event = defaultdict(set)
    for job, level, run_id in results.rows(
        "SELECT stage3_job, level, run_id FROM stage4.stage3_events", user=results.loader
    ):
        by_event[job].add((f"cluster_{level}", run_id))
    assert len(by_event) == 100
    assert all(len(each) == 1 for each in by_event.values())
    assert {row[:2] for row in runs()} == set().union(*by_event.values())


def begin_one(level: str) -> None:
    for dag, run_id, state in runs():
        if dag == f"cluster_{level}" and state == "queued":
            begin(dag, run_id)
            return
