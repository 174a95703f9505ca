"""Why a job has failed, in one message."""

from datetime import datetime, timedelta

from clustering_tasks.settings.deployment import deployment


def error_of_task(task_id: str, map_index: int, message: object) -> str:
    """Name a failed task with what it kept of its error.

    Args:
        task_id: of the task.
        map_index: of the part; -1 for a task without parts.
        message: None for a task that was killed, marked as failed, or is of an earlier version.
    """
    name = task_id if map_index < 0 else f"{task_id}[{map_index}]"
    if isinstance(message, str) and message:
        return f"{name}: {message}"
    return f"{name} failed: its log in Airflow has more"


def why_ended(started: datetime | None, ended: datetime | None) -> str:
    """Say why a run has failed that has no failed task."""
    minutes = deployment().run_timeout_minutes
    if minutes and started and ended and ended - started >= timedelta(minutes=minutes):
        return f"the run took longer than STAGE4_RUN_TIMEOUT_MINUTES ({minutes:g}) allows"
    return "no task has failed: the run was ended from outside"
