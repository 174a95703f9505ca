"""The example of an upstream DAG starts Stage 4 by REST and by asset."""

import time
from typing import Any

import pytest

from tests.e2e.conftest import Airflow

pytestmark = pytest.mark.airflow


@pytest.fixture
def connection(airflow: Airflow) -> None:
    """What the example needs: the API server's address and a user."""
    answer = airflow.client.post(
        "/connections",
        json={
            "connection_id": "stage4_airflow_api",
            "conn_type": "http",
            "host": airflow.base_url,
            "login": "admin",
            "password": airflow.stack.state.secrets().password,
        },
    )
    assert answer.status_code == 201, answer.text


def test_the_upstream_example_starts_one_level_by_rest_and_one_by_asset(
    airflow: Airflow, connection: None
) -> None:
    upstream = airflow.run_dag("upstream_example")
    assert upstream["state"] == "success", airflow.explain(upstream)

    by_rest = airflow.api.wait("cluster_events", f"{upstream['dag_run_id']}__events")
    assert by_rest["state"] == "success", airflow.explain(by_rest)
    assert by_rest["conf"] == {"label_propagation": {"edge_similarity": 0.65}}

    by_asset = airflow.api.wait("cluster_documents", run_by_asset(airflow, "cluster_documents"))
    assert by_asset["state"] == "success", airflow.explain(by_asset)
    assert by_asset["dag_run_id"].startswith("stage3__")


def run_by_asset(airflow: Airflow, dag_id: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        runs: list[dict[str, Any]] = airflow.api.get(f"/dags/{dag_id}/dagRuns")["dag_runs"]
        for run_id in (str(run["dag_run_id"]) for run in runs):
            if run_id.startswith("stage3__"):
                return run_id
        time.sleep(0.5)
    pytest.fail(f"no event has started {dag_id} within a minute")
