"""What a task asks Airflow about other runs."""

from collections.abc import Collection, Mapping
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


LIVE = ("queued", "running")  # a paused run is one of them, too


def live_runs(ti: Any, dag_id: str, run_ids: Collection[str]) -> set[str]:
    """Name those of a DAG's runs that are not over; where none is, one question is enough.

    Args:
        ti: the task instance that asks.
        dag_id: of the runs.
        run_ids: of them, perhaps gone.
    """
    if not ti.get_dr_count(dag_id=dag_id, states=[*LIVE]):
        return set()
    return {run_id for run_id in run_ids if state_of_run(ti, dag_id, run_id) in LIVE}


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
