import json
from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from clustering_tasks.publication.report import Report
from clustering_tasks.settings.deployment import deployment
from local.stage5_receiver import Stage5Receiver
from stage4.clients import stage5 as client
from stage4.database.changes import ID_CHANGES
from stage4.tasks.stage5 import notify_stage5
from tests.contract import checking_receiver
from tests.integration.http_server import Server, serving

TOKEN = "a token of Stage 5"
FILES = ["file:///out/clustered_events_j.jsonl", "file:///out/clustered_events_2026-11-20.jsonl"]
CHANGES = {"base_load_id": 16, "load_id": 17, "counts": dict.fromkeys(ID_CHANGES, 2)}
REPORT = {
    "job_id": "cluster_events.manual-1",
    "level": "events",
    "as_of": "2026-11-20T02:15:00Z",
    "algorithm": "hdbscan",
    "settings": {},
    "counts": {
        "read": 5000,
        "clustered": 4950,
        "noise": 45,
        "filtered": 5,
        "unassigned": 0,
        "clusters": 125,
    },
    "coverage": 0.99,
    "outlier_share": 0.009,
    "largest_cluster_share": 0.1,
    "quality": {"silhouette": 0.73, "davies_bouldin": None},
    "seconds": {"snapshot": 2.0, "plan": 0.5, "label": 509.5},
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", (0.5, 0.5))
    yield
    deployment.cache_clear()


@pytest.fixture
def stage5(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage5Receiver]:
    with checking_receiver(TOKEN) as receiver:
        connect(monkeypatch, receiver.environment())
        yield receiver


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        connection = {"conn_type": "http", "host": f"{server.url}/hook", "password": TOKEN}
        connect(
            monkeypatch,
            {
                "AIRFLOW_CONN_STAGE5_WEBHOOK": json.dumps(connection),
                "STAGE4_STAGE5_CONN_ID": "stage5_webhook",
            },
        )
        yield server


@pytest.fixture
def label(tmp_path: Path) -> dict[str, Any]:
    """What of the result of `label` the task reads."""
    report = tmp_path / "report.json"
    report.write_text(json.dumps(REPORT))
    return {"files": {"report": str(report)}}


def connect(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    deployment.cache_clear()


def require(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, {"STAGE4_STAGE5_REQUIRED": "true"})


def tell(label: dict[str, Any]) -> dict[str, Any]:
    published = {"clusters_jsonl": FILES[0], "dated_jsonl": FILES[1], "publication_id": 23}
    return notify_stage5(label, published | {"changes": CHANGES})


def test_the_event_is_the_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.test/")
    event = dict(client.completion_event(Report.model_validate(REPORT), FILES, CHANGES))
    assert datetime.fromisoformat(str(event.pop("timestamp"))).utcoffset() is not None
    assert event == {
        "event_type": "clustering.job.completed",
        "job_id": "cluster_events.manual-1",
        "embedding_type": "event",
        "algorithm": "hdbscan",
        "clusters_created": 125,
        "outliers": 45,
        "output_files": FILES,
        "quality_metrics": {"silhouette_score": 0.73, "davies_bouldin_score": None},
        "statistics": {
            "processing_time_ms": 512_000,
            "total_items": 5000,
            "avg_cluster_size": 39.6,
        },
        "changes": {
            "base_load_id": 16,
            "load_id": 17,
            "ids": CHANGES["counts"],
            "rows": "https://airflow.test/stage4/api/v1/runs/events/changes?base=16&other=17",
        },
    }


def test_without_clusters_there_is_no_average_size() -> None:
    counts = dict.fromkeys(REPORT["counts"], 0)  # type: ignore[call-overload]
    event = client.completion_event(Report.model_validate(REPORT | {"counts": counts}), [], None)
    assert event["statistics"]["avg_cluster_size"] is None
    assert event["changes"] is None


def test_stage5_gets_the_event_with_its_token(
    stage5: Stage5Receiver, label: dict[str, Any]
) -> None:
    assert tell(label) == {"status": 204, "attempts": 1}
    assert [event["job_id"] for event in stage5.received] == ["cluster_events.manual-1"]
    assert stage5.received[0]["output_files"] == FILES
    assert stage5.keys == ["cluster_events.manual-1.23"]


@pytest.mark.parametrize(
    "passing",
    [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.TOO_MANY_REQUESTS],
)
def test_what_may_pass_is_tried_again(
    stage5: Stage5Receiver, label: dict[str, Any], passing: HTTPStatus
) -> None:
    stage5.answers = [passing, passing]
    assert tell(label) == {"status": 204, "attempts": 3}
    assert len(stage5.received) == 1


def test_a_failing_stage5_fails_the_task_where_it_is_required(
    stage5: Stage5Receiver, label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(monkeypatch)
    stage5.answers = [HTTPStatus.SERVICE_UNAVAILABLE] * client.ATTEMPTS
    with pytest.raises(AirflowException, match="failed 4 times, last with 503") as error:
        tell(label)
    assert not isinstance(error.value, AirflowFailException)
    assert stage5.answers == []


def test_a_wrong_token_is_not_tried_again(
    stage5: Stage5Receiver, label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(monkeypatch)
    stage5.token = "another"
    with pytest.raises(AirflowFailException, match="refused the event with 401") as error:
        tell(label)
    assert stage5.refused == 1
    assert TOKEN not in str(error.value)


def test_a_failing_stage5_skips_the_task_where_it_is_optional(
    stage5: Stage5Receiver, label: dict[str, Any]
) -> None:
    stage5.token = "another"
    with pytest.raises(AirflowSkipException, match=r"not delivered: .*401"):
        tell(label)


def test_without_a_connection_nobody_is_told(
    stage5: Stage5Receiver, label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STAGE4_STAGE5_CONN_ID")
    deployment.cache_clear()
    with pytest.raises(AirflowSkipException, match="STAGE4_STAGE5_CONN_ID is not set"):
        tell(label)
    assert stage5.received == []


def test_a_connection_that_does_not_exist_fails_at_once(
    label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, {"STAGE4_STAGE5_CONN_ID": "no_such", "STAGE4_STAGE5_REQUIRED": "true"})
    with pytest.raises(AirflowFailException, match="no connection `no_such`"):
        tell(label)


def test_a_slow_stage5_is_given_up_and_tried_again(
    server: Server, label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(monkeypatch)
    server.answers["/hook"] = (200, 2.0)
    with pytest.raises(AirflowException, match=r"cannot be reached: .*timed out"):
        tell(label)
    assert server.asked == ["/hook"] * client.ATTEMPTS


def test_nobody_at_the_address_is_tried_again(
    label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "http", "host": "http://127.0.0.1:9"}
    connect(
        monkeypatch,
        {"AIRFLOW_CONN_NOBODY": json.dumps(connection), "STAGE4_STAGE5_CONN_ID": "nobody"},
    )
    with pytest.raises(AirflowSkipException, match="cannot be reached"):
        tell(label)


def test_a_url_with_a_path_is_used_as_it_is(server: Server, label: dict[str, Any]) -> None:
    server.answers["/hook"] = (202, {})
    assert tell(label)["status"] == 202
    assert server.asked == ["/hook"]


def test_a_redirect_is_no_delivery(
    server: Server, label: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    require(monkeypatch)
    server.answers["/hook"] = (302, {})
    with pytest.raises(AirflowFailException, match="302"):
        tell(label)
    assert server.asked == ["/hook"]
