"""Joining clusters that a partition tore apart (MD-1)."""

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.centroids import Sums


def mutual_best(sums: Sums, block: npt.NDArray[np.int32], least: float) -> npt.NDArray[np.int32]:
    """Join clusters of different blocks that are each other's most similar, until none are left.

    Being each other's best is the guard: joining whatever is similar enough chains (measured on
    real events: .59 of B-cubed F1 against .70).

    Args:
        sums: of c clusters.
        block: (c,) the partition a cluster comes from; within one nothing is joined.
        least: least cosine of two centroids that are joined.

    Returns:
        (c,) int32 the group of each cluster, numbered from 0 in the order of first members.
    """
    group = np.arange(len(sums.sizes), dtype=np.int32)
    blocks = [{int(b)} for b in block]
    while True:
        now = sums.grouped(group)
        joined = _round(now.centroids, blocks, least)
        if len(np.unique(joined)) == len(joined):
            return group
        blocks = [
            set().union(*(blocks[i] for i in np.flatnonzero(joined == g)))
            for g in range(int(joined.max()) + 1)
        ]
        group = joined[group]


def _round(
    centroids: npt.NDArray[np.float32], blocks: list[set[int]], least: float
) -> npt.NDArray[np.int32]:
    similarity = centroids @ centroids.T
    for i, own in enumerate(blocks):
        similarity[i, [j for j, other in enumerate(blocks) if own & other]] = -np.inf
    best = similarity.argmax(axis=1) if len(blocks) else np.empty(0, np.int64)
    at = np.arange(len(best))
    mutual = (best[best] == at) & (similarity[at, best] >= least)
    first = np.where(mutual, np.minimum(at, best), at)
    return np.unique(first, return_inverse=True)[1].astype(np.int32)
