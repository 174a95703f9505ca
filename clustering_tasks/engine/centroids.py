"""Sums of unit vectors: centroids, similarities and quality follow from them exactly."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]
Blocks = Iterable[tuple[int, npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class Sums:
    """Sum vector and size of each cluster.

    Attributes:
        vectors: (c, d) float64 sums of the members' unit vectors.
        sizes: (c,) int64.
    """

    vectors: Floats
    sizes: npt.NDArray[np.int64]

    @property
    def centroids(self) -> npt.NDArray[np.float32]:
        """Mean of the members, L2-normalised (LV-7): (c, d)."""
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        unit = self.vectors / np.maximum(norms, np.finfo(float).tiny)
        return np.asarray(unit, dtype=np.float32)

    @property
    def intra_similarity(self) -> Floats:
        """Mean cosine over all pairs of members: (c,), from the norm of the sum; NaN for one."""
        squares = np.square(self.vectors).sum(axis=1)
        pairs = self.sizes * (self.sizes - 1.0)
        undefined = np.full(len(pairs), np.nan)
        return np.asarray(np.divide(squares - self.sizes, pairs, out=undefined, where=pairs > 0))

    def grouped(self, group_of: npt.NDArray[np.int32]) -> "Sums":
        """Add clusters up: cluster i becomes part of cluster `group_of[i]`."""
        count = int(group_of.max(initial=-1)) + 1
        matrix = _indicator(group_of, count)
        return Sums(np.asarray(matrix @ self.vectors), np.asarray(matrix @ self.sizes))


def cluster_sums(
    blocks: Blocks, labels: npt.NDArray[np.int32], clusters: int, dimension: int
) -> Sums:
    """Add up each cluster's vectors, a block of rows at a time.

    Args:
        blocks: first row's number and (m, d) unit vectors.
        labels: (n,) cluster of each row, negative for none.
        clusters: their number.
        dimension: d.
    """
    vectors = np.zeros((clusters, dimension))
    for start, block in blocks:
        vectors += _indicator(labels[start : start + len(block)], clusters) @ block
    sizes = np.bincount(labels[labels >= 0], minlength=clusters).astype(np.int64)
    return Sums(vectors, sizes)


def centroid_similarity(
    blocks: Blocks, labels: npt.NDArray[np.int32], centroids: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Cosine of each row to its cluster's centroid: (n,) float32, NaN for rows without cluster."""
    similarity = np.full(len(labels), np.nan, dtype=np.float32)
    for start, block in blocks:
        own = labels[start : start + len(block)]
        rows = np.flatnonzero(own >= 0)
        products = np.einsum("ij,ij->i", block[rows], centroids[own[rows]])
        similarity[start + rows] = np.clip(products, -1, 1)
    return similarity


def _indicator(labels: npt.NDArray[np.int32], count: int) -> sparse.csr_array:
    """Matrix (count, len(labels)) with a one where a row is in a cluster."""
    rows = np.flatnonzero(labels >= 0)
    ones = np.ones(len(rows), dtype=np.float64)
    return sparse.csr_array((ones, (labels[rows], rows)), shape=(count, len(labels)))
