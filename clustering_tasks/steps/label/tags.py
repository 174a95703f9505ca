"""The tags that `tag` gave to clusters and applied to items, for records and for rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clustering_tasks.arrays import I32, I64
from clustering_tasks.contract.record import ClusterTag, ItemTag, MemberTag
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json

_OF_CLUSTER = ("tag", "confidence", "members", "applied", "conflicts")  # as `_cluster_tag` takes
_OF_ITEM = ("row", "tag", "confidence", "by_cluster")


_Names = list[tuple[str, str]]  # category and tag, by the number of the tag


@dataclass(frozen=True)
class TagsOfSome:
    """Tags of g clusters whose numbers follow each other, and what their members got.

    Attributes:
        names: of all tags.
        tags_from: (g + 1,) where those of each cluster begin.
        of_cluster: columns of `_OF_CLUSTER`, the clusters' one behind the other.
        items_from: (g + 1,) where what each cluster's members got begins.
        of_item: columns of `_OF_ITEM`, with the place of the member in its cluster for its row.
    """

    names: _Names
    tags_from: list[int]
    of_cluster: list[npt.NDArray[Any]]
    items_from: list[int]
    of_item: list[npt.NDArray[Any]]

    def of(self, place: int) -> list[ClusterTag]:
        """Return the tags of the cluster at a place among the g."""
        first, last = self.tags_from[place : place + 2]
        if first == last:
            return []
        columns = [values[first:last].tolist() for values in self.of_cluster]
        return [self._tag(*row) for row in zip(*columns, strict=True)]

    def of_members(self, place: int, source_ids: npt.NDArray[Any]) -> list[MemberTag]:
        """Return what the cluster's members got.

        Args:
            place: of the cluster among the g.
            source_ids: of the members, in the order of their rows.
        """
        first, last = self.items_from[place : place + 2]
        if first == last:
            return []
        members, *columns = (values[first:last].tolist() for values in self.of_item)
        return [
            {"id": source_ids[member], **_item_tag(self.names, *row)}
            for member, *row in zip(members, *columns, strict=True)
        ]

    def _tag(
        self, tag: int, confidence: float, members: int, applied: int, conflicts: int
    ) -> ClusterTag:
        category, name = self.names[tag]
        return {
            "category": category,
            "tag": name,
            "confidence": confidence,
            "members": members,
            "applied": applied,
            "conflicts": conflicts,
        }


class Tags:
    """Tags by clusters and by rows; Python's objects are made for some at a time."""

    def __init__(self, tag: Result, labels: I32, clusters: int) -> None:
        """Read the files of `tag`.

        Args:
            tag: the step's result.
            labels: (n,) number of each row's cluster, negative for none.
            clusters: their number.
        """
        names = read_columns(tag.path("tags"), ["category", "tag"])
        self._names = list(zip(*(names[each].to_pylist() for each in names), strict=True))
        of_cluster = _arrays(tag, "cluster_tags", ("cluster", *_OF_CLUSTER))
        self._of_cluster = [of_cluster[name] for name in _OF_CLUSTER]
        self._of_item = _arrays(tag, "item_tags", _OF_ITEM)
        of = labels[self._of_item["row"]]
        self._order = np.argsort(of, kind="stable")
        numbers = np.arange(clusters + 1)
        self._items_from = np.searchsorted(of[self._order], numbers)
        self._tags_from = np.searchsorted(of_cluster["cluster"], numbers)
        self._places = _places(labels)[self._of_item["row"]]

    def some(self, first: int, last: int) -> TagsOfSome:
        """Return those of the clusters from one number up to another."""
        tags_from, items_from = (
            bounds[first : last + 1] for bounds in (self._tags_from, self._items_from)
        )
        rows = self._order[items_from[0] : items_from[-1]]
        return TagsOfSome(
            self._names,
            (tags_from - tags_from[0]).tolist(),
            [values[tags_from[0] : tags_from[-1]] for values in self._of_cluster],
            (items_from - items_from[0]).tolist(),
            [self._places[rows], *(self._of_item[name][rows] for name in _OF_ITEM[1:])],
        )

    def texts(self, start: int, stop: int) -> pa.Array:
        """Return what some rows got as JSON, an array each."""
        first, last = np.searchsorted(self._of_item["row"], (start, stop))
        rows, *columns = (self._of_item[name][first:last].tolist() for name in _OF_ITEM)
        got: dict[int, list[ItemTag]] = {}
        for row, *tag in zip(rows, *columns, strict=True):
            got.setdefault(row, []).append(_item_tag(self._names, *tag))
        texts = [to_json(got[row]).decode() if row in got else "[]" for row in range(start, stop)]
        return pa.array(texts, pa.string())


def _item_tag(names: _Names, tag: int, confidence: float, by_cluster: bool) -> ItemTag:
    category, name = names[tag]
    return {
        "category": category,
        "tag": name,
        "confidence": confidence,
        "source": "cluster" if by_cluster else "text",
    }


def _arrays(tag: Result, file: str, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    columns = read_columns(tag.path(file), names)
    return {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}


def _places(labels: I32) -> I64:
    """Return the place of each row among those of its cluster, (n,)."""
    order = np.argsort(labels, kind="stable")
    ordered = labels[order]
    places = np.empty(len(labels), dtype=np.int64)
    places[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return places
