"""What Stage 5 is told of deletions."""

from collections.abc import Mapping
from datetime import UTC, datetime

from psycopg.sql import SQL, Composable

from clustering_tasks.contract.events import DeletionEvent
from clustering_tasks.publication.files import PublishedRun
from clustering_tasks.settings.levels import LEVELS
from stage4.database import schema
from stage4.database.connection import database
from stage4.database.pointer import Pointer

_NEW_NAMES = """
SELECT DISTINCT old.cluster_id, new.cluster_id FROM {old} old JOIN {new} new USING (vector_id)
WHERE old.cluster_id = ANY(%s) AND new.cluster_id IS NOT NULL ORDER BY 1, 2
"""


def event_of(
    pointer: Pointer,
    job_id: str,
    old: int,
    new: int,
    deleting: Mapping[str, list[str]],
    current: PublishedRun | None,
) -> DeletionEvent:
    """Write what Stage 5 is told of one level.

    Args:
        pointer: the level's.
        job_id: of the run that it leads to.
        old: the load that readers have seen so far.
        new: the one without the document.
        deleting: of the old load: clusters `changed` and `removed`.
        current: the published files.
    """
    tables: dict[str, Composable] = {
        "old": schema.partition("members", old),
        "new": schema.partition("members", new),
    }
    changed = pointer.connection.execute(
        SQL(_NEW_NAMES).format(**tables), [deleting["changed"]]
    ).fetchall()
    stay = {name for name, _ in changed}
    return {
        "event_type": "clustering.document.deleted",
        "job_id": job_id,
        "embedding_type": LEVELS[pointer.level].cluster_type,
        "changed_clusters": [
            {"cluster_id": name, "new_cluster_id": renamed} for name, renamed in changed
        ],
        "removed_clusters": sorted({*deleting["removed"], *deleting["changed"]} - stay),
        "output_files": [current.clusters_jsonl, current.dated_jsonl] if current else [],
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def undelivered() -> list[tuple[int, DeletionEvent]]:
    """Read the events that Stage 5 has not taken yet: number and event, the oldest first."""
    with database() as connection:
        rows = connection.execute(
            "SELECT event_id, event FROM stage4.deletion_events WHERE delivered_at IS NULL"
            " ORDER BY event_id"
        )
        return [(number, event) for number, event in rows.fetchall()]


def delivered(event_id: int) -> None:
    """Note that Stage 5 has taken an event."""
    with database() as connection:
        connection.execute(
            "UPDATE stage4.deletion_events SET delivered_at = now() WHERE event_id = %s", [event_id]
        )
