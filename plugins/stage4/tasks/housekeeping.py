"""Tasks of the DAG `housekeeping`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from clustering_tasks.settings.deployment import deployment
from stage4.job_ids import dag_of
from stage4.other_runs import live_runs
from stage4.tasks.errors import airflow_errors

Json = dict[str, Any]


def prune(level: str, ti: Any) -> Json:
    """Remove a level's runs and events that are older than the installation keeps them.

    Before, the files of a publication that was cut off for good are withdrawn.

    Args:
        level: plural name.
        ti: the task instance, by which Airflow is asked about runs.

    Returns:
        What was removed, and for `clean_workspace` the jobs with rows (`kept_jobs`) and those that
        are not over, at work or paused (`live_jobs`).
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
            begun = outbox.registered(connection, level)
        going_on = live_runs(ti, dag_of(level), [each.run_id for each in begun if each.run_id])
        live = [each.job_id for each in begun if each.run_id in going_on]
        with database() as connection:
            pruned |= {
                "removed_events": outbox.prune(connection, level, days, live),
                "removed_stage3_events": stage3_events.prune(connection, level, days),
            }
    return pruned | {"withdrawn_job": withdrawn, "live_jobs": live}


def clean_workspace(pruned: Iterable[Mapping[str, Any]]) -> Json:
    """Remove what no kept run refers to from the workspace, and more where it is too large.

    Args:
        pruned: the results of `prune`, of all levels.

    Returns:
        Counts and bytes (`clustering_tasks.workspace.cleanup.Cleaned`).

    Raises:
        AirflowFailException: a record is damaged, or may not be read: what it names is not known.
    """
    from clustering_tasks.workspace import cleanup

    where = deployment()
    pruned = [*pruned]
    with airflow_errors():
        cleaned = cleanup.clean_workspace(
            where.workspace,
            {each["level"]: each["kept_jobs"] for each in pruned},
            where.retention_days,
            where.workspace_limit_bytes,
            live={each["level"]: each["live_jobs"] for each in pruned},
        )
    return asdict(cleaned)
