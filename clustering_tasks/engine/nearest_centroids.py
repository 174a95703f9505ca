"""The nearest centroids of unit vectors: found by FAISS, decided by sums in a written order.

FAISS's own k-means is not used: the last bits of its products, and with them who is nearest, depend
on the number of threads and on the processor. Measured on 5,053 real vectors and 500 centroids: it
ends in other clusters with four threads than with two, and with OpenBLAS's kernels for SkylakeX
than with those for Haswell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.engine.rows import Vectors

_ROWS = 16_384
_CANDIDATES = 6
_LITTLE = 20_000_000  # products of numbers: about 10 ms


@dataclass(frozen=True)
class Nearest:
    """The nearest and the second nearest centroid of some rows; of equals the lower number.

    Attributes:
        ids: (m, 2) int32 centroids, -1 where there is none.
        similarity: (m, 2) float32 cosines, -1 where there is none.
    """

    ids: I32
    similarity: F32


def nearest_centroids(vectors: Vectors, centroids: F32) -> Nearest:
    """Find the two nearest centroids of each row.

    Args:
        vectors: (m, d) unit vectors, read in slices of rows.
        centroids: (c, d) unit vectors.
    """
    ids = np.full((len(vectors), 2), -1, dtype=np.int32)
    similarity = np.full((len(vectors), 2), -1, dtype=np.float32)
    if not len(centroids):
        return Nearest(ids, similarity)
    import faiss  # 0.3 s that only those pay who use it

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    # A centroid that is not among the candidates may be nearer than it seemed by twice the largest
    # error of a float32 product of d terms.
    slack = np.float32(centroids.shape[1] * 2.0**-23)
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        block = np.ascontiguousarray(vectors[rows], dtype=np.float32)
        rough, candidates = _candidates(index, block)
        decide(block, centroids, candidates, rough, slack, ids[rows], similarity[rows])
    return Nearest(ids, similarity)


def _candidates(index: Any, block: F32) -> tuple[F32, I64]:
    """Search a FAISS index for a few that may be the nearest: (m, j) products and numbers, j >= 2.

    Where that is little work all are candidates, because it is done before threads have woken up.
    """
    if index.ntotal <= _CANDIDATES or block.size * index.ntotal <= _LITTLE:
        every = np.tile(np.arange(index.ntotal), (len(block), 1))
        return np.zeros(every.shape, dtype=np.float32), every
    rough, candidates = index.search(block, _CANDIDATES)
    return rough, candidates


@kernel
def decide(
    block: F32,
    centroids: F32,
    candidates: I64,
    rough: F32,
    slack: np.float32,
    ids: I32,
    similarity: F32,
) -> None:
    """Write the two nearest of the candidates, or of all where others come too close to them."""
    for i in range(len(block)):
        for at in range(candidates.shape[1]):
            offer(block[i], centroids, candidates[i, at], ids[i], similarity[i])
        others = candidates.shape[1] < len(centroids)
        if others and rough[i, -1] + slack >= similarity[i, 1]:
            ids[i], similarity[i] = -1, -1
            for centroid in range(len(centroids)):
                offer(block[i], centroids, centroid, ids[i], similarity[i])


@kernel
def offer(vector: F32, centroids: F32, centroid: int, ids: I32, similarity: F32) -> None:
    """Enter a centroid if it is one of the two nearest so far."""
    s = dot(vector, centroids[centroid])
    if ids[0] < 0 or s > similarity[0] or (s == similarity[0] and centroid < ids[0]):
        ids[1], similarity[1] = ids[0], similarity[0]
        ids[0], similarity[0] = centroid, s
    elif ids[1] < 0 or s > similarity[1] or (s == similarity[1] and centroid < ids[1]):
        ids[1], similarity[1] = centroid, s
