"""Sums of unit vectors: centroids, similarities and quality follow from them exactly."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot

Blocks = Iterable[tuple[int, F32]]

_ROWS = 8192


@dataclass(frozen=True)
class ClusterSums:
    """Sum vector and size of each cluster.

    Attributes:
        vectors: (c, d) float64 sums of the members' unit vectors.
        sizes: (c,) int64.
    """

    vectors: F64
    sizes: I64

    @cached_property
    def squares(self) -> F64:
        """Squared lengths of the sums: (c,)."""
        return row_products(self.vectors, np.arange(len(self.sizes), dtype=np.int32), self)

    @property
    def centroids(self) -> F32:
        """Mean of the members, L2-normalised (LV-7): (c, d)."""
        unit = np.empty(self.vectors.shape, dtype=np.float32)
        # by rows: at a million events the sums are a gigabyte and must not be copied in float64
        for start in range(0, len(unit), _ROWS):
            rows = self.vectors[start : start + _ROWS]
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            lengths = np.maximum(norms, np.finfo(float).tiny)
            unit[start : start + _ROWS] = narrow_quotients(rows, lengths)
        return unit

    @property
    def intra_similarity(self) -> F64:
        """Mean cosine over all pairs of members: (c,), from the norm of the sum; NaN for one."""
        pairs = self.sizes * (self.sizes - 1.0)
        undefined = np.full(len(pairs), np.nan)
        return np.asarray(
            np.divide(self.squares - self.sizes, pairs, out=undefined, where=pairs > 0)
        )

    def grouped(self, group_of: I32) -> "ClusterSums":
        """Add clusters up: cluster i becomes part of cluster `group_of[i]`."""
        sums = np.zeros((int(group_of.max(initial=-1)) + 1, self.vectors.shape[1]))
        add_rows(self.vectors, group_of, sums)
        sizes = np.bincount(group_of, self.sizes, minlength=len(sums))
        return ClusterSums(sums, sizes.astype(np.int64))


def cluster_sums(blocks: Blocks, labels: I32, clusters: int, dimension: int) -> ClusterSums:
    """Add up each cluster's vectors, a block of rows at a time, in the order of the rows.

    Args:
        blocks: first row's number and (m, d) unit vectors.
        labels: (n,) cluster of each row, negative for none.
        clusters: their number.
        dimension: d.
    """
    vectors = np.zeros((clusters, dimension))
    for start, block in blocks:
        add_rows(block, labels[start : start + len(block)], vectors)
    sizes = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.int64)
    return ClusterSums(vectors, sizes)


def narrow_quotients(vectors: F64, divisors: npt.NDArray[np.number]) -> F32:
    """Divide vectors, (m, d), by numbers, (m, 1), in float64; the quotients are float32.

    Each is rounded where it is made: all of them in float64 would be new memory from the system,
    which cost as much as the rest.
    """
    quotients = np.empty(vectors.shape, dtype=np.float32)
    np.divide(vectors, divisors, out=quotients, casting="same_kind")
    return quotients


def row_products(rows: npt.NDArray[np.floating], cluster: I32, sums: ClusterSums) -> F64:
    """Product of each row with the sum of a cluster of its own: (m,), 0 where that is negative.

    Args:
        rows: (m, d).
        cluster: (m,).
        sums: of the clusters.
    """
    products = np.zeros(len(rows))
    multiply_rows(rows, cluster, sums.vectors, products)
    return products


@kernel
def add_rows(block: npt.NDArray[np.floating], labels: I32, sums: npt.NDArray[np.floating]) -> None:
    """Add each row to its cluster's sum."""
    for i in range(len(labels)):
        if labels[i] >= 0:
            for k in range(block.shape[1]):
                sums[labels[i], k] += block[i, k]


@kernel
def multiply_rows(
    rows: npt.NDArray[np.floating],
    cluster: I32,
    sums: npt.NDArray[np.floating],
    products: F64,
) -> None:
    """Write each row's product with its cluster's sum, computed in the wider of their types."""
    for i in range(len(cluster)):
        if cluster[i] >= 0:
            products[i] = dot(rows[i], sums[cluster[i]])
