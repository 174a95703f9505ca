"""What is asked for: entered as a keyed hash, and hidden in the same transaction."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from clustering_tasks.deleted_documents.tombstones import (
    HOW_TO,
    Tombstones,
    document_hash,
    key_check,
)
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from stage4.database.connection import Database
from stage4.database.tombstones import tombstones_of
from stage4.deletions.hiding import hide

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
_ENTER = """
INSERT INTO stage4.deletions (document_hash, key_check, requested_by, counts)
VALUES (%(hash)s, %(check)s, %(by)s, '{}') ON CONFLICT (document_hash) DO NOTHING
"""
# Asked for again and found again, as after a backup was restored: to be carried out again.
_COUNT = """
UPDATE stage4.deletions SET counts = %(counts)s, carried_out_at = NULL
WHERE document_hash = %(hash)s
"""
_REQUEST = """
SELECT deletion_id, state, requested_at, carried_out_at, counts FROM stage4.deletions
WHERE document_hash = %s
"""


@dataclass(frozen=True)
class Request:
    """A deletion as its audit has it.

    Attributes:
        deletion_id: its number.
        state: `requested` or `done`.
        requested_at: when the document was hidden.
        carried_out_at: when nothing of it was left.
        counts: by level: `items`, `clusters`, `runs`.
    """

    deletion_id: int
    state: str
    requested_at: datetime
    carried_out_at: datetime | None
    counts: dict[str, dict[str, int]]


def request(connection: Database, document_id: str, by: str) -> Request:
    """Ask for a document's deletion, and hide it, in one transaction; safe to repeat.

    A document that no run knows is entered all the same: Stage 3 may deliver it yet.

    Args:
        connection: in autocommit mode.
        document_id: as Stage 3 writes it.
        by: the user's name, for the audit.

    Raises:
        SettingsError: without a secret, or with another one than former deletions.
        psycopg.Error: the database cannot be reached, is busy, or refuses.
    """
    secret = deployment().deletion_key
    if secret is None:
        raise SettingsError(f"documents can be deleted only with a secret: {HOW_TO}")
    digest = document_hash(secret, document_id)
    with connection.transaction():
        connection.execute(_LOCK_TIMEOUT)
        # The first act: a load that is about to commit comes before or finds it.
        values = {"hash": digest, "check": key_check(secret), "by": by}
        new = connection.execute(_ENTER, values).rowcount == 1
        tombstones_of(connection)  # refuses another secret
        counts = hide(connection, document_id, Tombstones(secret, frozenset({digest})))
        if new or counts:
            connection.execute(_COUNT, {"counts": Jsonb(counts), "hash": digest})
        row = connection.execute(_REQUEST, [digest]).fetchone()
    assert row is not None  # noqa: S101 - it was entered above
    return Request(*row)
