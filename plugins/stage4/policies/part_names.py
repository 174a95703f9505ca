"""Names of mapped tasks that have not started.

Airflow renders `map_index_template` when a task runs, and shows a number until then. This
cluster policy is called when the scheduler makes the instances, and names them at once.
"""

from typing import TYPE_CHECKING, Any

from airflow.policies import hookimpl

from clustering_tasks.steps import MAPPED, PLANNING
from stage4.job_ids import LEVEL_OF_DAG

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun  # noqa: TID251 - a type
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - a type


class PartNames:
    """The policy; it acts on the mapped task of this package's DAGs alone."""

    @staticmethod
    @hookimpl
    def task_instance_mutation_hook(
        task_instance: "TaskInstance", dag_run: "DagRun | None"
    ) -> None:
        """Give an instance that has no name the one that `plan` gave its part."""
        of_ours = task_instance.task_id == MAPPED.name and task_instance.dag_id in LEVEL_OF_DAG
        if not of_ours or dag_run is None or (task_instance.map_index or 0) < 0:
            return
        # `rendered_map_index` cannot be set; Airflow's own API sets this one
        if task_instance._rendered_map_index is None:  # noqa: SLF001
            name = _planned_name(dag_run, task_instance.map_index)
            task_instance._rendered_map_index = name  # noqa: SLF001


def _planned_name(dag_run: "DagRun", index: int) -> str | None:
    """Read a part's name from the scheduler's own transaction; a session of ours would end it."""
    # The scheduler has these already; the plugin is loaded by other processes too.
    from airflow.models.xcom import XComModel  # noqa: TID251
    from sqlalchemy import select
    from sqlalchemy.orm import object_session

    session = object_session(dag_run)
    if session is None:
        return None
    with session.no_autoflush:
        parts = session.scalar(
            select(XComModel.value).where(
                XComModel.dag_id == dag_run.dag_id,
                XComModel.run_id == dag_run.run_id,
                XComModel.task_id == PLANNING.name,
                XComModel.map_index == -1,
                XComModel.key == "return_value",
            )
        )
    return _name_of(parts, index)


def _name_of(parts: Any, index: int) -> str | None:
    """Read a name out of `plan`'s XCom; None where a backend of the installation stores it."""
    if not isinstance(parts, list) or index >= len(parts) or not isinstance(parts[index], dict):
        return None
    name = parts[index].get("name")
    return name if isinstance(name, str) and name else None
