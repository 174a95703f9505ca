"""Modularity of a flat clustering of the neighbour graph (Newman and Girvan 2004)."""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.compile import kernel


def modularity(ids: I32, distances: F32, labels: I32, gamma: float = 1.0) -> float | None:
    """Share of edge weight inside clusters, less what their nodes' edges would have by chance.

    An edge weighs its cosine, a negative one nothing; where two nodes are each other's neighbours
    it counts twice. Noise is a cluster for every node.

    Args:
        ids: (n, k) neighbours, -1 for none.
        distances: (n, k) sqrt(2 - 2 cosine).
        labels: (n,) clusters from 0, negative for noise.
        gamma: resolution (Reichardt and Bornholdt 2006); higher values favour small clusters.

    Returns:
        at most 1; None without clusters or without edges.
    """
    strength = np.zeros(len(ids))
    inside = add_strengths(ids, distances, labels, strength)
    total = strength.sum()
    clustered = labels >= 0
    if not clustered.any() or total == 0:
        return None
    together = np.bincount(labels[clustered], strength[clustered])
    by_chance = np.square(together).sum() + np.square(strength[~clustered]).sum()
    return float(2 * inside / total - gamma * by_chance / total**2)


@kernel
def add_strengths(ids: I32, distances: F32, labels: I32, strength: F64) -> float:
    """Add up the weights of each node's edges, at both ends; return the weight inside clusters."""
    inside = 0.0
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            other = ids[i, j]
            if other < 0:
                continue
            weight = max(1 - distances[i, j] * distances[i, j] / 2, 0.0)
            strength[i] += weight
            strength[other] += weight
            if labels[i] >= 0 and labels[i] == labels[other]:
                inside += weight
    return inside
