"""The pointer of a level: the load whose rows readers see.

One publisher at a time moves it; readers are never held up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from airflow.sdk.exceptions import AirflowFailException
from psycopg.types.json import Jsonb

from clustering_tasks.publication.report import GoesOnFrom
from stage4.database import identities
from stage4.database.changes import IdChange, count_changes
from stage4.database.clusters_changed import Act, Publication, write_change
from stage4.database.connection import Database, database
from stage4.database.partitions import sweep

# Others hold these locks for the time of an index build or of a copy of the JSONL.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10min'"
GRACE = "1 minute"

# What a later load of the same job has replaced, except for what readers see or have just seen: a
# statement whose snapshot is older than the pointer's move may not have reached the rows yet.
_REMOVE_REPLACED = """
DELETE FROM stage4.runs old WHERE level = %(level)s
AND EXISTS (
    SELECT FROM stage4.runs new
    WHERE new.level = old.level AND new.job_id = old.job_id AND new.load_id > old.load_id
)
AND NOT EXISTS (
    SELECT FROM stage4.published WHERE published.level = old.level
    AND (published.load_id = old.load_id
        OR old.published_at IS NOT NULL AND moved_at > now() - %(grace)s::interval)
)
"""
_INSERT_PUBLICATION = """
INSERT INTO stage4.publications (level, load_id, job_id, act, base_load_id, changes)
SELECT level, load_id, job_id, %(act)s, %(base)s, %(changes)s
FROM stage4.runs WHERE load_id = %(load_id)s
AND NOT EXISTS (SELECT FROM stage4.published WHERE load_id = %(load_id)s)
RETURNING publication_id, job_id
"""
_LAST_PUBLICATION = """
SELECT max(publication_id) FROM stage4.publications WHERE level = %s AND load_id = %s
"""
_CHANGES = """
SELECT base_load_id, load_id, changes FROM stage4.publications
WHERE publication_id = %s AND base_load_id IS NOT NULL
"""
_GOES_ON_FROM = "SELECT report->'goes_on_from' FROM stage4.runs WHERE load_id = %s"
_LOCK_POINTER = """
SELECT runs.job_id, runs.as_of
FROM stage4.published LEFT JOIN stage4.runs USING (level, load_id)
WHERE published.level = %s FOR UPDATE OF published
"""


@dataclass(frozen=True)
class Changes:
    """What a publication has changed.

    Attributes:
        base_load_id: that readers saw before.
        load_id: that they see since.
        counts: number of ids by what became of them (`stage4.database.changes`).
    """

    base_load_id: int
    load_id: int
    counts: dict[IdChange, int]


@dataclass(frozen=True)
class Pointer:
    """A level's pointer, locked against every other publisher until the transaction ends.

    Attributes:
        connection: inside the transaction.
        level: plural name.
        job_id: the run that readers see; None when nothing is published.
        as_of: its moment.
    """

    connection: Database
    level: str
    job_id: str | None
    as_of: datetime | None

    def find(self, job_id: str) -> int:
        """Return the `load_id` of a job's last load.

        Raises:
            AirflowFailException: when the job is not in the database.
        """
        found = self.connection.execute(
            "SELECT max(load_id) FROM stage4.runs WHERE level = %s AND job_id = %s",
            [self.level, job_id],
        ).fetchone()
        if found is None or found[0] is None:
            raise AirflowFailException(
                f"run {job_id} of {self.level} is not in the database: clear `load_postgres`"
            )
        return int(found[0])

    def goes_on_from(self, load_id: int) -> GoesOnFrom | None:
        """Tell from which ids those of a load go on; None: an earlier version did not record it."""
        row = self.connection.execute(_GOES_ON_FROM, [load_id]).fetchone()
        return GoesOnFrom.model_validate(row[0]) if row and row[0] else None

    def move(self, load_id: int, act: Act = "publish") -> int:
        """Let readers see a load, and what its ids are with it, when the transaction commits.

        Returns:
            `publication_id`: of this move; where readers see the load already, of the former.
        """
        self._note(load_id, act)
        self.connection.execute(
            "UPDATE stage4.published SET load_id = %s, moved_at = now() WHERE level = %s",
            [load_id, self.level],
        )
        self.connection.execute(
            "UPDATE stage4.runs SET published_at = coalesce(published_at, now())"
            " WHERE load_id = %s",
            [load_id],
        )
        # Behind the run's own row, in the order in which a deletion writes the two.
        identities.restore(self.connection, self.level, load_id)
        identities.keep_lineage(self.connection, load_id)
        if act == "roll_back":
            identities.withdraw_later(self.connection, load_id)
        row = self.connection.execute(_LAST_PUBLICATION, [self.level, load_id]).fetchone()
        assert row is not None  # noqa: S101 - an aggregate has a row
        return int(row[0])

    def changes(self, publication_id: int) -> Changes | None:
        """Read what a publication has changed; None for a level's first one."""
        row = self.connection.execute(_CHANGES, [publication_id]).fetchone()
        return Changes(*row) if row else None

    def _note(self, load_id: int, act: Act) -> None:
        base = self._load_id()
        changed = None
        if base is not None and base != load_id:
            changed = count_changes(self.connection, base, load_id)
        counts = changed and Jsonb(changed)
        values = {"load_id": load_id, "act": act, "base": base, "changes": counts}
        noted = self.connection.execute(_INSERT_PUBLICATION, values).fetchone()
        if noted is not None:
            publication_id, job_id = noted
            publication = Publication(self.level, job_id, act, publication_id, load_id, base)
            write_change(self.connection, publication, changed)

    def _load_id(self) -> int | None:
        row = self.connection.execute(
            "SELECT load_id FROM stage4.published WHERE level = %s", [self.level]
        ).fetchone()
        return row[0] if row else None


@contextmanager
def locked_pointer(level: str, *, conn_id: str | None = None) -> Iterator[Pointer]:
    """Lock a level's pointer for one transaction, so that one publisher at a time decides.

    Readers are not held up. A load that was replaced and is no longer read is removed.

    Raises:
        AirflowFailException, AirflowException: as `load`.
    """
    with database(conn_id) as connection:
        with connection.transaction():
            locked = lock(connection, level)
            yield locked
            remove_replaced(locked)
        sweep(connection)


def lock(connection: Database, level: str) -> Pointer:
    """Lock a level's pointer until the transaction of the connection ends."""
    connection.execute(LOCK_TIMEOUT)
    row = connection.execute(_LOCK_POINTER, [level]).fetchone()
    if row is None:
        raise AirflowFailException(
            f"the database does not know level {level}: run `python -m stage4.setup`"
        )
    return Pointer(connection, level, *row)


def remove_replaced(pointer: Pointer) -> None:
    """Remove the loads of the level that a later load of the same job has replaced."""
    values = {"level": pointer.level, "grace": GRACE}
    pointer.connection.execute(_REMOVE_REPLACED, values)
