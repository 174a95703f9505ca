"""Running finished tasks of a real DAG run again."""

from typing import Any

from tests.e2e.conftest import Airflow


def clear(airflow: Airflow, run: dict[str, Any], task: str | list[str | int]) -> dict[str, Any]:
    """Run a task, or `["cluster", <map index>]`, again with all that follow, and wait."""
    return _clear(
        airflow, run, {"task_ids": [task], "only_failed": False, "include_downstream": True}
    )


def clear_failed(airflow: Airflow, run: dict[str, Any], task: str | list[str | int]) -> Any:
    """Clear a failed task and nothing else, as the pages do by default, and wait."""
    return _clear(airflow, run, {"task_ids": [task]})


def _clear(airflow: Airflow, run: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    body = asked | {"dry_run": False, "dag_run_id": run_id}
    airflow.api.post(f"/dags/{dag_id}/clearTaskInstances", body)
    return airflow.api.wait(dag_id, run_id)
