"""The corrections of the results database: what holds, and how it is changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import dict_row

from clustering_tasks.corrections.contradictions import contradictions
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.deleted_documents.mentions import words_naming
from stage4.database.connection import Database

# One at a time: of two that contradict each other the second must find the first.
_LOCK = "LOCK TABLE stage4.corrections IN SHARE ROW EXCLUSIVE MODE"
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
_HOLD = """
SELECT correction_id, kind, items, others, cluster_id, label, documents FROM stage4.corrections
WHERE level = %s AND undone_at IS NULL ORDER BY correction_id
"""
_ENTER = """
INSERT INTO stage4.corrections
    (level, kind, items, others, cluster_id, label, documents, clusters, reason, made_by)
VALUES (%(level)s, %(kind)s, %(items)s, %(others)s, %(cluster_id)s, %(label)s, %(documents)s,
    %(clusters)s, %(reason)s, %(made_by)s)
RETURNING *
"""
_READ = "SELECT * FROM stage4.corrections WHERE correction_id = ANY(%s) ORDER BY correction_id"
_UNDO = """
UPDATE stage4.corrections SET undone_by = %(by)s, undone_at = now()
WHERE correction_id = %(id)s AND undone_at IS NULL
"""
_ERASE = "DELETE FROM stage4.corrections WHERE documents @> ARRAY[%(document)s::text]"
# A person's own words may name a document. They concern it alone where the cluster has held an item
# of it: the id of another cluster's name may be a number, as that of `G20 summit 2026`.
_UNNAME = """
UPDATE stage4.corrections SET reason = '' WHERE reason ~ %(word)s
AND cluster_id IN (SELECT cluster_id FROM stage4.members WHERE document_id = %(document)s)
"""
_UNLABEL = """
DELETE FROM stage4.corrections WHERE label ~ %(word)s
AND cluster_id IN (SELECT cluster_id FROM stage4.members WHERE document_id = %(document)s)
"""
_ERASE_OF_DELETED = """
DELETE FROM stage4.corrections USING stage4.identities
WHERE identities.cluster_id = corrections.cluster_id AND identities.state = 'deleted'
"""

# As far as a correction's number is known: a new one is later than all that hold.
NEWEST = 2**62
MOST_HELD = 100_000  # of a level


@dataclass(frozen=True)
class Row:
    """A correction as the database has it.

    Attributes:
        correction_id: its number.
        level: plural name.
        kind: see `Correction`, as the next four.
        items: vector ids.
        others: vector ids.
        cluster_id: lasting id.
        label: of a rename.
        documents: of the items.
        clusters: ids of the clusters that the user named, for which items stand.
        reason: why, in the user's words.
        made_by: the user's name.
        made_at: when.
        undone_by: the name of the user who took it back; None: it holds.
        undone_at: when; None: it holds.
    """

    correction_id: int
    level: str
    kind: str
    items: list[str]
    others: list[str]
    cluster_id: str | None
    label: str | None
    documents: list[str]
    clusters: list[str]
    reason: str
    made_by: str
    made_at: datetime
    undone_by: str | None
    undone_at: datetime | None


class ContradictionError(Exception):
    """A new correction cannot hold beside earlier ones.

    Attributes:
        against: the earlier ones, the earliest first.
    """

    def __init__(self, against: list[Row]) -> None:
        super().__init__(", ".join(str(row.correction_id) for row in against))
        self.against = against


class TooManyError(Exception):
    """A level has as many corrections as it may have."""


def corrections_that_hold(connection: Database, level: str) -> list[Correction]:
    """Read a level's corrections that are not undone, in their order."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [
            Correction.model_validate(_with_tuples(row)) for row in cursor.execute(_HOLD, [level])
        ]


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: tuple(row[name]) for name in ("items", "others", "documents")}


def enter(
    connection: Database,
    level: str,
    new: Correction,
    *,
    reason: str,
    by: str,
    clusters: Sequence[str] = (),
) -> tuple[Row, bool]:
    """Enter a correction; one that holds already is not entered again.

    A name takes the place of the cluster's former one, which is undone by the same user.

    Args:
        connection: in autocommit mode.
        level: plural name.
        new: its `correction_id` is ignored.
        reason: in the user's words.
        by: the user's name.
        clusters: that the user named, of `together` and `apart`.

    Returns:
        the correction as it is stored, and whether it is new.

    Raises:
        ContradictionError: it cannot hold beside earlier ones.
        TooManyError: the level has `MOST_HELD` of them.
    """
    new = new.model_copy(update={"correction_id": NEWEST})
    with connection.transaction():
        connection.execute(LOCK_TIMEOUT)
        connection.execute(_LOCK)
        hold = corrections_that_hold(connection, level)
        if (same := next((each for each in hold if _same(each, new)), None)) is not None:
            return read(connection, [same.correction_id])[0], False
        former = [each for each in hold if _renames(each, new)]
        hold = [each for each in hold if each not in former]
        if len(hold) >= MOST_HELD:
            raise TooManyError
        for found in contradictions([*hold, new]):
            if found.correction_id == NEWEST:
                raise ContradictionError(read(connection, found.against))
        for each in former:
            undo(connection, each.correction_id, by)
        values = new.model_dump(exclude={"correction_id"}) | {
            "level": level,
            "reason": reason,
            "made_by": by,
            "clusters": list(clusters),
            **{name: list(getattr(new, name)) for name in ("items", "others", "documents")},
        }
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_ENTER, values).fetchone()
    assert row is not None  # noqa: S101 - it was entered above
    return Row(**row), True


def _renames(one: Correction, other: Correction) -> bool:
    return one.kind == other.kind == "rename" and one.cluster_id == other.cluster_id


def _same(one: Correction, other: Correction) -> bool:
    return (
        (one.kind, one.cluster_id, one.label) == (other.kind, other.cluster_id, other.label)
        and {*one.items} == {*other.items}
        and {*one.others} == {*other.others}
    )


def read(connection: Database, numbers: Iterable[int]) -> list[Row]:
    """Read corrections by their numbers, undone ones too; what is not there is left out."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [Row(**row) for row in cursor.execute(_READ, [list(numbers)])]


def undo(connection: Database, correction_id: int, by: str) -> tuple[Row | None, bool]:
    """Take a correction back; one that is undone stays as it is.

    Returns:
        the correction, None where there is no such one; and whether it has held until now.
    """
    undone = connection.execute(_UNDO, {"id": correction_id, "by": by}).rowcount == 1
    return next(iter(read(connection, [correction_id])), None), undone


def erase(connection: Database, document_id: str) -> int:
    """Erase the corrections that name items of a document, and the words that name it.

    Words are those of names, marks and reasons of clusters that hold the document; its id has to be
    a word of its own there.

    Args:
        connection: inside the transaction that hides the document, whose rows are still there.
        document_id: of the document.

    Returns:
        how many were erased.
    """
    values = {"document": document_id, "word": words_naming(document_id)}
    erased = sum(connection.execute(each, values).rowcount for each in (_ERASE, _UNLABEL))
    connection.execute(_UNNAME, values)
    return erased


def erase_of_deleted_clusters(connection: Database) -> None:
    """Erase names and marks of clusters that a deletion has removed; their ids never return."""
    connection.execute(_ERASE_OF_DELETED)
