"""What a caller names, as the published run of a level has it: vectors and their documents."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL

from clustering_tasks.corrections.correction import Kind
from stage4.database import schema
from stage4.database.connection import Database

# Members of a cluster that stand for it, the most central: it may have a million.
STANDING = 5

_PUBLISHED = "SELECT load_id FROM stage4.published WHERE level = %s AND load_id IS NOT NULL"
_ITEMS = """
SELECT vector_id, source_id, document_id, cluster_id, similarity FROM {members}
WHERE vector_id = ANY(%(names)s) OR source_id = ANY(%(names)s) ORDER BY vector_id
"""
# The last to stand for a cluster are those that a correction says do not belong, which may still be
# there until the next run, and copies of an item that leaves: they are as similar to the centroid.
_CENTRAL = """
SELECT vector_id, source_id, document_id, cluster_id, similarity FROM {members}
WHERE cluster_id = %(cluster)s AND NOT vector_id = ANY(%(leaving)s)
ORDER BY similarity = ANY(%(similar)s::real[]) OR vector_id IN (
    SELECT unnest(items) FROM stage4.corrections WHERE kind = 'apart' AND undone_at IS NULL
), similarity DESC NULLS LAST, vector_id
LIMIT %(limit)s
"""
_CLUSTER = "SELECT EXISTS (SELECT FROM {clusters} WHERE cluster_id = %s)"
# Not one that a person gave: it goes when that is undone, or when the next name takes its place.
_OWN_NAME = """
SELECT label FROM {clusters} WHERE cluster_id = %(cluster)s
AND NOT coalesce(record->'corrections' @> %(renamed)s::jsonb, false)
AND NOT EXISTS (
    SELECT FROM stage4.corrections
    WHERE cluster_id = %(cluster)s AND kind = 'rename' AND undone_at IS NULL
)
"""
_RENAMED = '[{"kind": "rename"}]'


class UnknownNamesError(Exception):
    """The published run of a level lacks some of the names.

    Attributes:
        names: of items or clusters.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class NothingPublishedError(Exception):
    """A level has no published run."""


@dataclass(frozen=True)
class Asked:
    """A correction as a caller names it.

    Attributes:
        level: plural name.
        kind: of correction.
        items: vector ids or source ids.
        others: vector ids or source ids.
        clusters: of `together`: clusters that are one story.
        cluster_id: of `apart`: the cluster that `items` leave; else the one that it is about.
        label: of `rename`.
    """

    level: str
    kind: Kind
    items: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    cluster_id: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Named:
    """The vectors that a correction is about, and what the published run has of it already.

    Attributes:
        items: vector ids, sorted.
        others: vector ids, sorted.
        documents: of both, sorted.
        outside: of the items as they were named, those of which the one cluster that is named has
            no vector, in their order.
        all_inside: whether it has all vectors of the items.
        own_name: of the cluster, that no person gave it; None for all kinds but `rename`.
    """

    items: tuple[str, ...]
    others: tuple[str, ...]
    documents: tuple[str, ...]
    outside: tuple[str, ...] = ()
    all_inside: bool = False
    own_name: str | None = None


@dataclass(frozen=True)
class _Vector:
    vector_id: str
    source_id: str
    document_id: str | None
    cluster_id: str | None
    similarity: float | None


def find_named(connection: Database, asked: Asked) -> Named:
    """Look up in the published run what a correction names.

    Args:
        connection: inside a transaction.
        asked: what the caller names.

    Raises:
        UnknownNamesError: the run lacks some of them, all of which are named.
        NothingPublishedError: there is no run to look in.
    """
    row = connection.execute(_PUBLISHED, [asked.level]).fetchone()
    if row is None:
        raise NothingPublishedError(asked.level)
    run = _PublishedRun(connection, row[0])
    missing = [*run.missing((*asked.items, *asked.others))]
    clusters = [*asked.clusters, *([asked.cluster_id] if asked.cluster_id else [])]
    missing += [name for name in clusters if not run.has(name)]
    if missing:
        raise UnknownNamesError(missing)
    items, others = run.vectors(asked.items), run.vectors(asked.others)
    inside = [each for each in items if [each.cluster_id] == clusters]
    own_name = run.own_name(asked.cluster_id) if asked.kind == "rename" else None
    all_inside = len(inside) == len(items) > 0
    for name in asked.clusters:
        items += run.central(name, [])
    if asked.kind == "apart" and asked.cluster_id is not None:
        others += run.central(asked.cluster_id, items)
    documents = {each.document_id for each in (*items, *others)} - {None}
    return Named(
        _ids(items),
        _ids(others),
        tuple(sorted(map(str, documents))),
        tuple(_lacking(inside, asked.items)),
        all_inside,
        own_name,
    )


def _ids(vectors: Iterable[_Vector]) -> tuple[str, ...]:
    return tuple(sorted({each.vector_id for each in vectors}))


def _lacking(vectors: Iterable[_Vector], names: Sequence[str]) -> list[str]:
    """Return the names, each once, that name none of the vectors."""
    known = {name for each in vectors for name in (each.vector_id, each.source_id)}
    return [name for name in dict.fromkeys(names) if name not in known]


class _PublishedRun:
    def __init__(self, connection: Database, load_id: int) -> None:
        self._connection = connection
        self._tables = {each: schema.partition(each, load_id) for each in ("members", "clusters")}

    def missing(self, names: Sequence[str]) -> list[str]:
        return _lacking(self.vectors(names), names)

    def vectors(self, names: Sequence[str]) -> list[_Vector]:
        """Read items; a name that is a vector id is that vector alone."""
        if not names:
            return []
        rows = self._read(_ITEMS, names=list(names))
        vectors = {each.vector_id for each in rows} & {*names}
        sources = {*names} - vectors
        return [each for each in rows if each.vector_id in vectors or each.source_id in sources]

    def central(self, cluster: str, leaving: Sequence[_Vector]) -> list[_Vector]:
        """Read the members that stand for a cluster."""
        return self._read(
            _CENTRAL,
            cluster=cluster,
            leaving=[each.vector_id for each in leaving],
            similar=[each.similarity for each in leaving if each.similarity is not None],
            limit=STANDING,
        )

    def has(self, cluster: str) -> bool:
        statement = SQL(_CLUSTER).format(**self._tables)
        return self._connection.execute(statement, [cluster]).fetchone() == (True,)

    def own_name(self, cluster: str | None) -> str | None:
        statement = SQL(_OWN_NAME).format(**self._tables)
        values = {"cluster": cluster, "renamed": _RENAMED}
        row = self._connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def _read(self, statement: str, **values: object) -> list[_Vector]:
        cursor = self._connection.execute(SQL(statement).format(**self._tables), values)
        return [_Vector(*row) for row in cursor.fetchall()]
