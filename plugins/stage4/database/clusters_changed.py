"""The event of a publication: readers of a level see other clusters."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from clustering_tasks.contract.cloud_events import CLUSTERS_CHANGED
from clustering_tasks.publication.completion import changed_rows
from clustering_tasks.settings.levels import LEVELS
from stage4.database import outbox
from stage4.database.changes import IdChange
from stage4.database.job_events import Event
from stage4.database.outbox import JobName

if TYPE_CHECKING:
    from stage4.database.connection import Database

Act = Literal["publish", "roll_back", "delete_document"]


@dataclass(frozen=True)
class Publication:
    """A row of `stage4.publications`."""

    level: str
    job_id: str
    act: Act
    publication_id: int
    load_id: int
    base_load_id: int | None


def write_change(
    connection: "Database", publication: Publication, ids: dict[IdChange, int] | None
) -> None:
    """Write the event of a publication, in the transaction that moves the pointer.

    Args:
        connection: in that transaction.
        publication: a new one.
        ids: numbers of ids by what became of them; None without a load before.
    """
    name = JobName(publication.job_id, publication.level)
    outbox.write(connection, name, _event(publication, ids))


def _event(publication: Publication, ids: dict[IdChange, int] | None) -> Event:
    at = datetime.now(UTC)
    base = None if ids is None else publication.base_load_id
    rows = base and changed_rows(outbox.server(), publication.level, base, publication.load_id)
    data = {
        "event_type": CLUSTERS_CHANGED,
        "job_id": publication.job_id,
        "embedding_type": LEVELS[publication.level].cluster_type,
        "act": publication.act,
        "publication_id": publication.publication_id,
        "load_id": publication.load_id,
        "base_load_id": base,
        "ids": ids,
        "rows": rows,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
    }
    return Event(CLUSTERS_CHANGED, at, data)
