"""What a task asks Airflow about runs of other DAGs."""

from typing import Any


def state_of_run(ti: Any, dag_id: str, run_id: str) -> str | None:
    """Ask for the state of a run; None: there is no such run.

    Args:
        ti: the task instance that asks.
        dag_id, run_id: of the run.
    """
    if not ti.get_dr_count(dag_id=dag_id, run_ids=[run_id]):
        return None
    state: str = ti.get_dagrun_state(dag_id=dag_id, run_id=run_id)
    return state
