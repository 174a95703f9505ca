"""What a task asks Airflow about other runs."""

from collections.abc import Mapping
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


def states_of_tasks(ti: Any, dag_id: str, run_id: str) -> Mapping[str, str | None]:
    """Ask for the states of a run's tasks; a run that is gone has none.

    Args:
        ti: the task instance that asks.
        dag_id, run_id: of the run.

    Returns:
        State by task; a mapped one has its index behind `_`.
    """
    found: dict[str, Any] = ti.get_task_states(dag_id=dag_id, run_ids=[run_id])
    states: Mapping[str, str | None] = found.get(run_id, {})
    return states
