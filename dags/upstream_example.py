"""
### How another DAG starts Stage 4

An example to copy from, with two ways that need nothing of Stage 4 but a name:

* `announce_documents` has the asset `x-stage3://documents` as its outlet. Its success is an event,
  for which the DAG `receive_events` starts `cluster_documents`. This is for DAGs of the same
  Airflow. Events before a run begins are for that run: it reads the files that exist then.
* `trigger_events` starts `cluster_events` by REST, with settings of its own. This works from any
  machine. It needs the HTTP connection `stage4_airflow_api`: the API server's base URL as host, and
  the login and password of a user who may trigger DAGs.

The id of the run started by REST is derived from this run's id, so that a retry finds that run
instead of starting a second one.
"""

from typing import Any

import httpx
from airflow.sdk import DAG, BaseHook, task

from clustering_tasks.settings.levels import LEVELS
from stage4.assets import stage3_asset

API_CONNECTION = "stage4_airflow_api"
DOCUMENTS = stage3_asset(LEVELS["documents"])


@task(outlets=[DOCUMENTS])
def announce_documents(run_id: str | None = None, outlet_events: Any = None) -> None:
    """Announce new document vectors by an event on the asset."""
    outlet_events[DOCUMENTS].extra = {"job_id": run_id}


@task
def trigger_events(run_id: str | None = None) -> str:
    """Start `cluster_events` by REST and return its run id."""
    connection = BaseHook.get_connection(API_CONNECTION)
    wanted = f"{run_id}__events"
    with httpx.Client(base_url=connection.host or "", timeout=30) as api:
        login = {"username": connection.login, "password": connection.password}
        token = api.post("/auth/token", json=login).raise_for_status().json()["access_token"]
        answer = api.post(
            "/api/v2/dags/cluster_events/dagRuns",
            headers={"Authorization": f"Bearer {token}"},
            json={
                "dag_run_id": wanted,
                "logical_date": None,
                "conf": {"label_propagation": {"edge_similarity": 0.65}},
            },
        )
    if answer.status_code != httpx.codes.CONFLICT:  # a try before this one has started it
        answer.raise_for_status()
    return wanted


with DAG(
    dag_id="upstream_example",
    description="Shows how another DAG starts Stage 4: by asset, and by REST.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    tags=["stage4", "example"],
):
    announce_documents()
    trigger_events()
