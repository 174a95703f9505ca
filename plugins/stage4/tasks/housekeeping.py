"""Tasks of the DAG `housekeeping`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from clustering_tasks.settings.deployment import deployment
from stage4.tasks.errors import airflow_errors

Json = dict[str, Any]


def prune(level: str) -> Json:
    """Remove a level's runs and events that are older than the installation keeps them.

    Before, the files of a publication that was cut off for good are withdrawn.
    """
    from stage4.database import outbox, retention, stage3_events
    from stage4.database.connection import database
    from stage4.database.cut_off import put_back
    from stage4.database.pointer import locked_pointer

    days = deployment().retention_days
    with airflow_errors():
        with locked_pointer(level) as pointer:
            withdrawn = put_back(pointer)
        pruned = retention.prune(level, days)
        with database() as connection:
            pruned |= {
                "removed_events": outbox.prune(connection, level, days),
                "removed_stage3_events": stage3_events.prune(connection, level, days),
            }
    return pruned | {"withdrawn_job": withdrawn}


def clean_workspace(pruned: Iterable[Mapping[str, Any]]) -> Json | None:
    """Remove what no kept run refers to from the workspace, and more where it is too large.

    Args:
        pruned: the results of `prune`, of all levels.

    Returns:
        Counts and bytes (`clustering_tasks.workspace.cleanup.Cleaned`); None where the workspace
        is an object store.
    """
    from clustering_tasks.workspace import cleanup

    where = deployment()
    cleaned = cleanup.clean_workspace(
        where.workspace,
        {each["level"]: each["kept_jobs"] for each in pruned},
        where.retention_days,
        where.workspace_limit_bytes,
    )
    return None if cleaned is None else asdict(cleaned)
