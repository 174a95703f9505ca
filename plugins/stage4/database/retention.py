"""Removing old runs: their rows and their published files."""

from datetime import UTC, datetime, timedelta
from typing import Any

from clustering_tasks.publication.files import remove_files
from clustering_tasks.settings.deployment import deployment
from stage4.database.pointer import locked_pointer

# The published run, and the one that a roll-back would lead to.
_DELETE_OLD = """
WITH present AS (
    SELECT load_id, as_of FROM stage4.published JOIN stage4.runs USING (level, load_id)
    WHERE level = %(level)s
)
DELETE FROM stage4.runs
WHERE level = %(level)s AND loaded_at < now() - make_interval(days => %(days)s)
AND load_id NOT IN (SELECT load_id FROM present)
AND load_id IS DISTINCT FROM (
    SELECT before.load_id FROM stage4.runs before, present
    WHERE before.level = %(level)s AND before.published_at IS NOT NULL
    AND (before.as_of, before.load_id) < (present.as_of, present.load_id)
    ORDER BY before.as_of DESC, before.load_id DESC LIMIT 1
)
RETURNING load_id, job_id
"""
# What is left of an older history: where an id came from and went to.
_DELETE_UNEVENTFUL = """
DELETE FROM stage4.lineage
WHERE level = %(level)s AND as_of < now() - make_interval(days => %(days)s)
AND change = 'continued'
"""
_JOBS = "SELECT job_id FROM stage4.runs WHERE level = %s"


def prune(level: str, keep_days: int, *, conn_id: str | None = None) -> dict[str, Any]:
    """Remove the runs of a level that were loaded more than so many days ago.

    The published run stays, and so does the newest published one before it. Readers are not held
    up: who reads a removed run finds its tables gone. Cluster ids stay, and so does their history
    but for the runs that changed nothing.

    Args:
        level: plural name.
        keep_days: at least 1.
        conn_id: Airflow connection; default: `deployment().postgres_conn_id`.

    Returns:
        `{"level": ..., "removed_runs": 2, "removed_files": 3, "kept_jobs": [...]}`, for XCom.

    Raises:
        AirflowFailException, AirflowException: as `stage4.database.load.load`.
        BadInputError: `published.json` is damaged.
    """
    before = (datetime.now(UTC) - timedelta(days=keep_days)).date()
    with locked_pointer(level, conn_id=conn_id) as pointer:
        values = {"level": level, "days": keep_days}
        removed = pointer.connection.execute(_DELETE_OLD, values).fetchall()
        pointer.connection.execute(_DELETE_UNEVENTFUL, values)
        kept = {job for (job,) in pointer.connection.execute(_JOBS, [level]).fetchall()}
        # Before the commit: whatever fails here is found again, rows and files.
        files = remove_files(
            level,
            {job for _, job in removed} - kept,
            before,
            workspace=deployment().workspace,
            output=deployment().output_uri,
        )
    return {
        "level": level,
        "removed_runs": len(removed),
        "removed_files": len(files),
        "kept_jobs": sorted(kept),
    }
