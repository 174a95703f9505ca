"""Which documents are deleted, known by keyed hashes alone.

A plain hash of an id as `doc_001` is found by trying; without the secret a keyed one is not. The
results database has the truth; `<workspace>/deleted.json` is its copy, for the steps.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from upath import UPath

from clustering_tasks.errors import BadInputError, SettingsError
from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

HOW_TO = (
    "make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`, keep it as you "
    "keep passwords, and give it to the API server and the workers as STAGE4_DELETION_SECRET"
)
GONE_NAME = "(deleted)"  # where the id of a deleted document stood, in the settings of a run
_FILE = "deleted.json"


@dataclass(frozen=True)
class Tombstones:
    """The deleted documents: `document_id in tombstones`.

    Attributes:
        secret: the key of the hashes; empty where there are none.
        hashes: of the documents' ids, in hexadecimal.
    """

    secret: str
    hashes: frozenset[str]

    def __contains__(self, document_id: object) -> bool:
        """Tell whether a document is deleted; what has no document is not."""
        if not self.hashes or not isinstance(document_id, str):
            return False
        return document_hash(self.secret, document_id) in self.hashes

    def among(self, document_ids: Iterable[str | None]) -> frozenset[str]:
        """Return those of the ids that are deleted; each is hashed once."""
        return frozenset(name for name in set(document_ids) if name is not None and name in self)

    @property
    def digest(self) -> str:
        """Tells one set of tombstones from another."""
        return hashlib.sha256("\n".join(sorted(self.hashes)).encode()).hexdigest()[:32]


NONE_DELETED = Tombstones("", frozenset())


def document_hash(secret: str, document_id: str) -> str:
    """Return the keyed hash (HMAC-SHA-256) of a document's id."""
    return hmac.new(secret.encode(), document_id.encode(), hashlib.sha256).hexdigest()


def key_check(secret: str) -> str:
    """Return what tells the secret from another one, and tells nothing else about it."""
    return hmac.new(secret.encode(), b"stage4 deletions", hashlib.sha256).hexdigest()[:16]


def tombstones(secret: str | None, hashes: Iterable[str], checks: Collection[str]) -> Tombstones:
    """Put tombstones together.

    Args:
        secret: of this installation, where it has one.
        hashes: of the deleted documents.
        checks: `key_check` of the secrets that the hashes were made with.

    Raises:
        SettingsError: there are deleted documents, but no secret, or another one.
    """
    found = frozenset(hashes)
    if not found:
        return NONE_DELETED
    if secret is None:
        raise SettingsError(
            "documents are deleted here, and STAGE4_DELETION_SECRET, which tells them from others, "
            "is not set: set it to the secret that their deletion was asked for with"
        )
    if set(checks) != {key_check(secret)}:
        raise SettingsError(
            "STAGE4_DELETION_SECRET is not the secret that documents were deleted with, so they "
            "cannot be told from others: set the former one"
        )
    return Tombstones(secret, found)


def read_tombstones(workspace: UPath, secret: str | None) -> Tombstones:
    """Read the copy in the workspace; none where there is no such file.

    Raises:
        SettingsError: as `tombstones`.
        BadInputError: the file is damaged.
    """
    path = workspace / _FILE
    if not path.exists():
        return NONE_DELETED
    try:
        record = read_json(path)
        hashes, checks = record["hashes"], record["key_checks"]
    except (ValueError, TypeError, KeyError):
        raise BadInputError(
            f"{path} is damaged: run the DAG `delete_document`, which writes it again"
        ) from None
    return tombstones(secret, hashes, checks)


def write_tombstones(workspace: UPath, deleted: Tombstones) -> None:
    """Write the copy in the workspace."""
    checks = [key_check(deleted.secret)] if deleted.hashes else []
    record = {"hashes": sorted(deleted.hashes), "key_checks": checks}
    write_atomically(workspace / _FILE, to_json(record))
