"""The rows of a snapshot that corrections name."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from clustering_tasks.corrections.contradictions import Link
from clustering_tasks.workspace.columns import read_columns

RowOrName = int | str


def rows_of(items: UPath, links: Iterable[Link[str]]) -> list[Link[RowOrName]]:
    """Replace the ids in links by the numbers of the snapshot's rows.

    A vector id is one row; a source id is all rows of that item. An id that the snapshot lacks
    stays: what it is linked to is linked through it.

    Args:
        items: the snapshot's items, n rows.
        links: by ids.
    """
    links = list(links)
    names = sorted({name for link in links for name in (*link.items, *link.others)})
    if not names:
        return []
    columns = read_columns(items, ["vector_id", "source_id"])
    found = _by_vector(names, columns["vector_id"])
    missing = [name for name in names if name not in found]
    found |= _by_source(missing, columns["source_id"])
    return [
        Link(link.correction_id, _rows(link.items, found), _rows(link.others, found))
        for link in links
    ]


def _rows(names: Iterable[str], found: dict[str, list[int]]) -> tuple[RowOrName, ...]:
    rows = [row for name in names for row in found.get(name, [name])]
    return tuple(dict.fromkeys(rows))


def _by_vector(names: list[str], vector_ids: pa.Array) -> dict[str, list[int]]:
    places = pc.index_in(pa.array(names, vector_ids.type), value_set=vector_ids)
    pairs = zip(names, places.to_pylist(), strict=True)
    return {name: [row] for name, row in pairs if row is not None}


def _by_source(names: list[str], source_ids: pa.Array) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if not names:
        return found
    named = pc.is_in(source_ids, value_set=pa.array(names, source_ids.type))
    rows = pc.indices_nonzero(named)
    pairs = zip(source_ids.take(rows).to_pylist(), rows.to_pylist(), strict=True)
    for name, row in pairs:
        found.setdefault(name, []).append(row)
    return found
