"""The tags that `tag` gave to clusters and applied to items, for records and for rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clustering_tasks.arrays import I32, I64
from clustering_tasks.contract.record import ClusterTag, ItemTag, Record
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.storage import to_json

_OF_CLUSTER = ("tag", "confidence", "members", "applied", "conflicts")  # as `_cluster_tag` takes
_OF_ITEM = ("row", "tag", "confidence", "by_cluster")


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

    def on(self, record: Record, number: int, source_ids: npt.NDArray[Any]) -> Record:
        """Enter the tags of a cluster, and those that its members got, into its record.

        Args:
            record: of the cluster.
            number: of the cluster in the run.
            source_ids: of the members, in the order of their rows.
        """
        first, last = self._tags_from[number : number + 2]
        columns = [values[first:last].tolist() for values in self._of_cluster]
        record["tags"] = [self._cluster_tag(*row) for row in zip(*columns, strict=True)]
        first, last = self._items_from[number : number + 2]
        record["member_tags"] = [
            {"id": source_ids[self._places[at]], **self._item_tag(at)}
            for at in self._order[first:last].tolist()
        ]
        return record

    def texts(self, start: int, stop: int) -> pa.Array:
        """Return what some rows got as JSON, an array each."""
        first, last = np.searchsorted(self._of_item["row"], (start, stop))
        got: dict[int, list[Any]] = {}
        for at in range(first, last):
            got.setdefault(int(self._of_item["row"][at]), []).append(self._item_tag(at))
        texts = [to_json(got[row]).decode() if row in got else "[]" for row in range(start, stop)]
        return pa.array(texts, pa.string())

    def _cluster_tag(
        self, tag: int, confidence: float, members: int, applied: int, conflicts: int
    ) -> ClusterTag:
        category, name = self._names[tag]
        return {
            "category": category,
            "tag": name,
            "confidence": confidence,
            "members": members,
            "applied": applied,
            "conflicts": conflicts,
        }

    def _item_tag(self, at: int) -> ItemTag:
        category, tag = self._names[self._of_item["tag"][at]]
        return {
            "category": category,
            "tag": tag,
            "confidence": self._of_item["confidence"][at].item(),
            "source": "cluster" if self._of_item["by_cluster"][at] else "text",
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
