"""What a cut leaves together although its own members say otherwise: in small clusters alone.

A cluster of a few has little evidence for any one member, and the silhouette does not see it:
smoothing makes one vector of two items that have no other neighbour, however unlike they are.
"""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.engine.silhouette_cut import grouped

# One-sided test at the customary level. Of 10 %, levels of many small stories lose pairs
# (docs/ALGORITHMS.md).
_LEVEL = 0.05
# So many members have one below a quantile of that level.
_LEAST_MEMBERS = 20
_PAIR = 2


def trim_small(
    labels: I32, vectors: Vectors, weights: I32, largest: int, min_similarity: float
) -> I32:
    """Take out of small clusters the members that are hardly similar to the others.

    Args:
        labels: (n,) from 0.
        vectors: (n, d) unit vectors, not smoothed.
        weights: (n,) items per node.
        largest: clusters of more items are left alone.
        min_similarity: mean similarity to the other members below which one is taken out.

    Returns:
        (n,) int32, those taken out -1.
    """
    sizes = np.bincount(labels, weights)
    small = np.flatnonzero(sizes[labels] <= largest)
    trimmed = labels.copy()
    to_others = _to_others(labels[small], vectors[small], weights[small])
    trimmed[small[to_others < min_similarity]] = -1
    return trimmed


def least_similarity_of_pairs(labels: I32, vectors: Vectors, weights: I32) -> float | None:
    """Say how alike two items have to be on this level to be a story of their own.

    Two lone items, each the other's least unlike, are the commonest wrong cluster of a feed. What
    belongs together on this level, its larger clusters show: a pair stands if its similarity is
    at least that of a member to the others of its cluster in all but 5 % of the cases. Every
    cluster counts alike, so that a giant story does not say alone how alike stories are.

    Args:
        labels: (n,), -1 for none.
        vectors: (n, d) unit vectors, not smoothed.
        weights: (n,) items per node.

    Returns:
        None where clusters of three items and more have fewer than 20 nodes in all.
    """
    sizes = _sizes(labels, weights)
    larger = np.flatnonzero(sizes > _PAIR)
    if len(larger) < _LEAST_MEMBERS:
        return None
    similarity = _to_others(labels[larger], vectors[larger], weights[larger])
    return _low_quantile(similarity, weights[larger] / sizes[larger])


def without_pairs_below(labels: I32, vectors: Vectors, weights: I32, least: float) -> I32:
    """Take pairs apart whose two items are less alike; copies of one vector are not.

    Args:
        labels: (n,), -1 for none.
        vectors: (n, d) unit vectors, not smoothed.
        weights: (n,) items per node.
        least: similarity of the pairs that stay.

    Returns:
        (n,) int32, -1 for the items of the others.
    """
    paired = np.flatnonzero(_sizes(labels, weights) == _PAIR)
    similarity = _to_others(labels[paired], vectors[paired], weights[paired])
    kept = labels.copy()
    kept[paired[similarity < least]] = -1
    return kept


def _sizes(labels: I32, weights: I32) -> F64:
    """Items of each node's cluster, 0 for a node of none: (n,)."""
    counts = np.bincount(labels + 1, weights, minlength=1).astype(np.float64)
    counts[0] = 0
    return counts[labels + 1]


def _low_quantile(values: F32, weights: F64) -> float:
    """Return the value below which `_LEVEL` of the weight lies."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    at = np.searchsorted(below, _LEVEL * below[-1])
    return float(values[order][at])


def _to_others(labels: I32, members: F32, weights: I32) -> F32:
    """Mean similarity of nodes to the other items of their clusters, 0 for an item alone: (m,)."""
    own = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    grouping = grouped(own, members, weights, weights.astype(np.float32))
    to_all = np.einsum("ij,ij->i", members, grouping.sums[own])
    to_others: F32 = (to_all - 1) / np.maximum(grouping.sizes[own] - 1, 1)
    return to_others
