"""The items of clusters as columns, for some clusters at a time.

As rows a million items would be a million dictionaries: ten times the memory, and most of the time
that `label` takes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.arrays import I32, I64
from clustering_tasks.settings.levels import Level
from clustering_tasks.stage3.fields import FACTS, read_count
from clustering_tasks.workspace.columns import read_columns

Columns = Mapping[str, npt.NDArray[Any]]
"""Items, in the order of their vector ids: texts are objects, None where there is none; times are
datetime64[us] in UTC, NaT where there is none; a list column holds the lists one after the other.
"""

_ITEMS = [
    *("source_id", "document_id", "domain", "event_type", "entity_type"),
    *("start_time", "end_time", "title", "mention", "sentence", "primary_entities"),
]
_ASSIGNMENTS = ["cluster", "probability", "similarity", "near_duplicate", "reason"]
_Values = tuple[npt.NDArray[Any], list[int] | None]  # of a group; of lists where each row's begin
_BATCH = 8192  # items whose metadata are Python objects at a time
_GROUP = 50_000  # members at a time


def read_members(items: UPath, assignments: UPath, level: Level) -> pa.Table:
    """Read what records say of all items, one row each, in the order of their vector ids."""
    columns = read_columns(items, _ITEMS) | read_columns(assignments, _ASSIGNMENTS)
    return pa.table(columns | _facts(items, level))


class Members(Columns):
    """The members of a cluster; a column of a group is made when the first of it asks for it."""

    def __init__(
        self, names: Sequence[str], column: Callable[[str], _Values], start: int, stop: int
    ) -> None:
        """Take the members from a row of their group up to another.

        Args:
            names: of the columns.
            column: returns the group's.
            start: the first row.
            stop: the row behind the last.
        """
        self._names = names
        self._column = column
        self._start = start
        self._stop = stop

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return the values of a column."""
        values, starts = self._column(name)
        if starts is None:
            return values[self._start : self._stop]
        return values[starts[self._start] : starts[self._stop]]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count the columns."""
        return len(self._names)


@dataclass(frozen=True)
class Group:
    """Clusters whose numbers follow each other.

    Attributes:
        table: their members, one cluster's behind the other's.
        bounds: (g + 1,) where in the table those of each of the g clusters begin.
    """

    table: pa.Table
    bounds: I64

    def clusters(self) -> Iterator[Columns]:
        """Yield the members of each cluster, from the first to the last."""
        column = cache(lambda name: _values(self.table[name]))
        yield from _members(self.table.column_names, column, self.bounds)


def by_cluster(table: pa.Table, labels: I32, clusters: int) -> Iterator[Columns]:
    """Yield the members of each cluster, from the first to the last.

    Args:
        table: n rows.
        labels: (n,) the cluster of each, negative for none.
        clusters: their number.
    """
    for rows, bounds in _rows(labels, cuts(labels, clusters, _GROUP)):
        column = cache(lambda name, rows=rows: _values(table[name].take(rows)))
        yield from _members(table.column_names, column, bounds)


def cuts(labels: I32, clusters: int, size: int) -> list[int]:
    """Return with which clusters groups begin that have up to `size` members, and the number.

    A cluster that has more is a group by itself.
    """
    bounds = np.append(0, np.cumsum(np.bincount(labels[labels >= 0], minlength=clusters)))
    found = [0]
    while found[-1] < clusters:
        last = int(np.searchsorted(bounds, bounds[found[-1]] + size, side="right")) - 1
        found.append(max(last, found[-1] + 1))
    return found


def groups(table: pa.Table, labels: I32, starts: Sequence[int]) -> Iterator[Group]:
    """Yield the clusters in groups.

    Args:
        table: n rows.
        labels: (n,) the cluster of each, negative for none.
        starts: from `cuts`.
    """
    for rows, bounds in _rows(labels, starts):
        yield Group(table.take(rows), bounds)


def _rows(labels: I32, starts: Sequence[int]) -> Iterator[tuple[pa.Array, I64]]:
    """Yield the rows of the members of each group, and where among them a cluster's begin."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(starts[-1] + 1))
    for first, last in pairwise(starts):
        here = bounds[first : last + 1]
        yield pa.array(order[here[0] : here[-1]]), here - here[0]


def _members(
    names: Sequence[str], column: Callable[[str], _Values], bounds: I64
) -> Iterator[Members]:
    for start, stop in pairwise(bounds.tolist()):
        yield Members(names, column, start, stop)


def most_central(members: Columns) -> I64:
    """Order members by their similarity to the centroid: (n,) rows, the most central first."""
    # stable: of equally central members the one with the lesser vector id comes first
    return (-members["similarity"]).argsort(kind="stable")


def _values(column: pa.ChunkedArray) -> _Values:
    """Return a column's values; of lists all values, and where each row's begin."""
    array, starts = column.combine_chunks(), None
    if pa.types.is_list(array.type):
        starts = (array.offsets.to_numpy() - array.offsets[0].as_py()).tolist()
        array = array.flatten()
    return array.to_numpy(zero_copy_only=False), starts


def _facts(items: UPath, level: Level) -> dict[str, pa.ChunkedArray]:
    """Read what records have beside the columns, from Stage 3's metadata."""
    facts = FACTS.get(level.name, {})
    kinds = {
        name: pa.float64() if read is read_count else pa.list_(pa.string())
        for name, read in facts.items()
    }
    chunks: dict[str, list[pa.Array]] = {name: [] for name in facts}
    if facts:
        with items.open("rb") as file:
            for batch in pq.ParquetFile(file).iter_batches(_BATCH, columns=["metadata"]):
                texts = batch.column(0).to_numpy(zero_copy_only=False)
                metadata = [orjson.loads(text) for text in texts]
                for name, read in facts.items():
                    values = [read(each.get(name))[0] for each in metadata]
                    chunks[name].append(pa.array(values, kinds[name]))
    return {name: pa.chunked_array(chunks[name], kind) for name, kind in kinds.items()}
