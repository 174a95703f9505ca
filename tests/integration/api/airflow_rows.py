"""Rows of Airflow's own database as its scheduler and its tasks write them, without the rest."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.models.dagrun import DagRun  # noqa: TID251
from airflow.models.taskinstance import TaskInstance  # noqa: TID251
from airflow.models.xcom import XComModel  # noqa: TID251
from airflow.utils.session import create_session
from sqlalchemy import insert

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
# How many of a run's 100 items each part has; a filter leaves the others out.
PARTS = (50, 30, 10)


def enter_runs(runs: Sequence[tuple[str, str, str]]) -> None:
    """Enter runs, given as DAG, run id and state, the oldest first."""
    with create_session() as session:
        for number, (dag, run_id, state) in enumerate(runs):
            values: dict[str, Any] = {
                "dag_id": dag,
                "run_id": run_id,
                "state": state,
                "run_type": "manual",
                "queued_at": NOON + timedelta(minutes=number),
                "run_after": NOON,
                "clear_number": 0,
            }
            session.execute(insert(DagRun).values(**values))


def enter_parts(dag: str, run_id: str, *states: str) -> None:
    """Enter a run's tasks up to `cluster`, whose parts have these states, and their results."""
    instances = [("snapshot", -1, "success"), ("plan", -1, "success")]
    instances += [("cluster", number, state) for number, state in enumerate(states)]
    parts = [{"part": n, "name": "sports", "items": items} for n, items in enumerate(PARTS)]
    of_run: dict[str, Any] = {"dag_id": dag, "run_id": run_id}
    with create_session() as session:
        for task_id, map_index, state in instances:
            values = of_run | {"task_id": task_id, "map_index": map_index}
            session.execute(insert(TaskInstance).values(**values, state=state, pool="p"))
        for task_id, value in (("snapshot", {"metrics": {"items": 100}}), ("plan", parts)):
            # as a task's own call does, which has serialised the value
            XComModel.set(
                "return_value", value, **of_run, task_id=task_id, serialize=False, session=session
            )


def enter_idle_settings(dag: str, run_id: str, found: list[dict[str, Any]]) -> None:
    """Enter the settings without effect that a run's `check_stage3` has found."""
    of_task: dict[str, Any] = {"dag_id": dag, "run_id": run_id, "task_id": "check_stage3"}
    with create_session() as session:
        values = of_task | {"map_index": -1, "state": "success", "pool": "p"}
        session.execute(insert(TaskInstance).values(**values))
        XComModel.set("idle_settings", found, **of_task, serialize=False, session=session)


def enter_part_result(dag: str, run_id: str, part: int, result: dict[str, Any]) -> None:
    """Enter what a part's `cluster` task returned."""
    of_part: dict[str, Any] = {"dag_id": dag, "run_id": run_id, "map_index": part}
    with create_session() as session:
        XComModel.set(
            "return_value", result, **of_part, task_id="cluster", serialize=False, session=session
        )


def enter_result(dag: str, run_id: str, task_id: str, result: dict[str, Any]) -> None:
    """Enter a task that has succeeded, and what it returned."""
    of_task: dict[str, Any] = {"dag_id": dag, "run_id": run_id, "task_id": task_id}
    with create_session() as session:
        values = of_task | {"map_index": -1, "state": "success", "pool": "p"}
        session.execute(insert(TaskInstance).values(**values))
        XComModel.set("return_value", result, **of_task, serialize=False, session=session)


def enter_error(dag: str, run_id: str, task_id: str, map_index: int, message: str) -> None:
    """Enter what a failed task has kept of its error."""
    of_task: dict[str, Any] = {"dag_id": dag, "run_id": run_id, "task_id": task_id}
    with create_session() as session:
        XComModel.set(
            "error", message, **of_task, map_index=map_index, serialize=False, session=session
        )


def remove_parts() -> None:
    """Remove all tasks and what they returned; runs stay."""
    with create_session() as session:
        session.query(XComModel).delete()
        session.query(TaskInstance).delete()


def remove_runs() -> None:
    """Remove all runs."""
    with create_session() as session:
        session.query(DagRun).delete()
