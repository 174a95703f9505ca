"""How the items of gold clusters are spread over the clusters that were found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from clustering_tasks.arrays import I64

Labels = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Contingency:
    """Overlaps of two clusterings of the same items; noise is a cluster of one for every item.

    Attributes:
        gold, found: (m,) clusters that have items in common, from 0.
        common: (m,) how many.
        gold_sizes, found_sizes: items of each cluster.
    """

    gold: I64
    found: I64
    common: I64
    gold_sizes: I64
    found_sizes: I64

    @property
    def items(self) -> int:
        """Number of items."""
        return int(self.common.sum())


def contingency(gold: Sequence[str], found: Sequence[str | None]) -> Contingency:
    """Compare a clustering with gold clusters.

    Args:
        gold: (n) cluster of each item.
        found: (n) cluster of each item, None for noise.
    """
    alone = [cluster if cluster is not None else f"\0{n}" for n, cluster in enumerate(found)]
    return _crossed(_codes(list(gold)), _codes(alone))


def contingency_of_labels(gold: Labels, found: Labels) -> Contingency:
    """Compare labels, -1 for an item alone on either side.

    Args:
        gold: (n) cluster of each item.
        found: (n) cluster of each item.
    """
    return _crossed(_with_singles(gold), _with_singles(found))


def _with_singles(labels: Labels) -> I64:
    """Give every item without a cluster one of its own."""
    alone = -1 - np.arange(len(labels))
    numbers = np.unique(np.where(labels >= 0, labels, alone), return_inverse=True)[1]
    return np.asarray(numbers, dtype=np.int64)


def _crossed(rows: I64, columns: I64) -> Contingency:
    ones = np.ones(len(rows), dtype=np.int64)
    table = sparse.csr_array((ones, (rows, columns)))
    table.sum_duplicates()
    pairs = table.tocoo()
    return Contingency(pairs.row, pairs.col, pairs.data, np.bincount(rows), np.bincount(columns))


def _codes(names: list[str]) -> I64:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
