"""A document that is deleted over REST, in a real Airflow, and what is left of it."""

import shutil
from pathlib import Path

import httpx
import psycopg

from local.airflow_api import Json
from tests.e2e.conftest import Airflow

DOCUMENT = "withdrawn_1"


def with_withdrawn(sample: Path, folder: Path) -> Path:
    """Copy a sample; one document has another id, so that other tests do not miss its items."""
    shutil.copytree(sample, folder)
    for path in folder.glob("*_metadata.json"):
        path.write_text(path.read_text().replace("doc_001", DOCUMENT))
    return folder


def goes_and_stays_gone(airflow: Airflow, indices: Path) -> None:
    """Cluster what `with_withdrawn` made, delete its document, cluster again."""
    with airflow.reading(indices):
        run = airflow.run_dag("cluster_events")
        assert run["state"] == "success", airflow.explain(run)
        is_deleted(airflow)
        stays_deleted(airflow)


def delete(airflow: Airflow, document: str = DOCUMENT) -> Json:
    """Ask for a deletion; returns the answer."""
    url = f"{airflow.base_url}/stage4/api/v1/documents/{document}"
    answer = airflow.client.delete(url)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    asked: Json = answer.json()
    return asked


def carried_out(airflow: Airflow, asked: Json) -> Json:
    """Wait for the DAG run that the request has started."""
    run_id = f"deletion__{asked['deletion_id']}"
    run = airflow.api.wait("delete_document", run_id)
    assert run["state"] == "success", airflow.explain(run)
    return run


def naming(airflow: Airflow, document: str = DOCUMENT) -> list[str]:
    """The files of workspace and output, and the rows of members, that name the document."""
    folders = (airflow.workspace, airflow.output)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = [str(path) for path in files if document.encode() in path.read_bytes()]
    with psycopg.connect(airflow.database_url) as connection:
        rows = connection.execute(
            "SELECT 'members', vector_id FROM stage4.members each WHERE each::text ~ %(name)s"
            " UNION ALL"
            " SELECT 'clusters', cluster_id FROM stage4.clusters each WHERE each::text ~ %(name)s",
            {"name": document},
        )
        return found + [f"{table}: {name}" for table, name in rows.fetchall()]


def is_deleted(airflow: Airflow) -> None:
    """Delete the document of a run of events that is published, and look for it everywhere."""
    assert len(naming(airflow)) > 3
    told = len(airflow.stage5.received)
    asked = delete(airflow)
    url = f"{airflow.base_url}/stage4/api/v1/documents/{DOCUMENT}/clusters"
    assert airflow.client.get(url).status_code == httpx.codes.NOT_FOUND
    assert [name for name in naming(airflow) if name.startswith(("members", "clusters"))] == []
    run = carried_out(airflow, asked)
    states = {task: each["state"] for (task, _), each in airflow.task_instances(run).items()}
    assert states.pop("write_back") == "skipped"  # of Stage 3's folder
    assert set(states.values()) == {"success"}
    assert naming(airflow) == []
    assert delete(airflow)["state"] == "done"
    (event,) = airflow.stage5.received[told:]
    assert event["event_type"] == "clustering.document.deleted"
    assert event["embedding_type"] == "event"


def stays_deleted(airflow: Airflow) -> None:
    """Run the level again: the document, which Stage 3 still has, does not come back."""
    again = airflow.run_dag("cluster_events")
    assert again["state"] == "success", airflow.explain(again)
    assert airflow.xcom(again, "snapshot")["metrics"]["deleted"] > 0
    assert naming(airflow) == []
