"""How firmly a node belongs to its cluster, for methods that have no density."""

import numpy as np

from clustering_tasks.arrays import F32, I32


def share_inside(labels: I32, ids: I32, strength: F32, weights: I32) -> F32:
    """Share of a node's edge weight that stays inside its cluster: (n,) float32, 0 for noise.

    Args:
        labels: (n,) negative for noise.
        ids: (n, k) neighbours, -1 for none.
        strength: (n, k) non-negative weights of the edges.
        weights: (n,) items per node; copies of a node are inside, at strength 1.
    """
    there = ids >= 0
    edge = np.where(there, strength * weights[ids], 0)
    inside = np.where(labels[ids] == labels[:, None], edge, 0).sum(axis=1) + weights - 1
    total = edge.sum(axis=1) + weights - 1
    share = np.divide(inside, total, out=np.ones_like(total), where=total > 0)
    return np.where(labels >= 0, share, 0).astype(np.float32)
