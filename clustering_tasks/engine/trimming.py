"""What a cut leaves together although its own members say otherwise: in small clusters alone.

A cluster of a few has little evidence for any one member, and the silhouette does not see it:
smoothing makes one vector of two items that have no other neighbour, however unlike they are.
"""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.background import pairs as all_products
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.duplicates import LEAST as NEAR_DUPLICATES
from clustering_tasks.engine.products import dot
from clustering_tasks.engine.rows import Vectors, evenly_spaced
from clustering_tasks.engine.silhouette_cut import grouped

# Where taking a pair apart is as likely wrong as right.
_STORIES_AMONG_TAKEN = 0.5
# Pairs above it are stories: Storey's customary choice, the middle of what even pairs would fill.
_STORIES_ABOVE = 0.5
# A share of so many members is known to .1 (one standard error) if they are of several stories:
# members of one are alike, and one or two stories say little about others.
_LEAST_MEMBERS = 20
_LEAST_STORIES = 3
# Members of a cluster whose pairs stand for all.
_SAMPLE = 32
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


def least_similarity_of_pairs(
    labels: I32, vectors: Vectors, weights: I32, left_out: int
) -> float | None:
    """Say how alike two items have to be on this level to be a story of their own.

    Two lone items, each the other's least unlike, are the commonest wrong cluster of a feed. How
    alike two items of a story are, the larger clusters show. A pair's *rank* is the share of their
    pairs that are less alike; every cluster counts alike, so that a giant story does not speak for
    all. Pairs that are stories have ranks spread evenly, lone items crowd at the low end: the pairs
    with a rank above a half tell how many are stories (Storey 2002). From the least alike on, pairs
    are none as long as stories are expected to be at most half of those: a false discovery rate
    (Benjamini and Hochberg 1995) of a half.

    Where lone items are in pairs others stand alone: not all find one that is the least unlike.
    Near-duplicates are no lone items, however alike the level's stories are.

    Args:
        labels: (n,), -1 for none.
        vectors: (n, d) unit vectors, not smoothed.
        weights: (n,) items per node.
        left_out: further nodes of the level, which stand alone.

    Returns:
        None where no pair is too unlike, where clusters of three items and more are fewer than 3 or
        have fewer than 20 nodes in all, and where there is no node alone for every two pairs.
    """
    sizes = _sizes(labels, weights)
    larger, pairs = np.flatnonzero(sizes > _PAIR), _pairs(sizes, labels, weights)
    alone = left_out + (sizes <= 1).sum()
    few = len(larger) < _LEAST_MEMBERS or len(np.unique(labels[larger])) < _LEAST_STORIES
    if few or not len(pairs) or 2 * alone < len(pairs):
        return None
    similarity = np.sort(_similarity(pairs, vectors))
    rank = _share_below(*_inside(larger, labels, vectors), similarity)
    above = (rank > _STORIES_ABOVE).sum() + 1  # one more: few pairs, and none above, prove little
    expected = above / (1 - _STORIES_ABOVE) * rank
    taken = np.flatnonzero(expected <= _STORIES_AMONG_TAKEN * np.arange(1, len(pairs) + 1))
    if not len(taken):
        return None
    return min(float(np.nextafter(similarity[taken[-1]], np.float32(2))), NEAR_DUPLICATES)


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
    pairs = _pairs(_sizes(labels, weights), labels, weights)
    kept = labels.copy()
    kept[pairs[_similarity(pairs, vectors) < least]] = -1
    return kept


def _pairs(sizes: F64, labels: I32, weights: I32) -> I64:
    """Nodes of the clusters of two items that are no copies: (p, 2)."""
    nodes = np.flatnonzero((sizes == _PAIR) & (weights == 1))
    return nodes[np.argsort(labels[nodes], kind="stable")].reshape(-1, _PAIR)


def _similarity(pairs: I64, vectors: Vectors) -> F32:
    """Similarity of the two nodes of each pair: (p,)."""
    similarity = np.empty(len(pairs), dtype=np.float32)
    products(vectors[pairs[:, 0]], vectors[pairs[:, 1]], similarity)
    return similarity


def _inside(nodes: I64, labels: I32, vectors: Vectors) -> tuple[F32, F64]:
    """Similarities of pairs of nodes of one cluster, and their weights: 1 for each cluster."""
    order = nodes[np.argsort(labels[nodes], kind="stable")]
    clusters = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    samples = [members[evenly_spaced(len(members), _SAMPLE)] for members in clusters]
    ends = np.cumsum([len(sample) for sample in samples])
    read = np.split(vectors[np.concatenate(samples)], ends[:-1])  # from the file at once
    found = [np.empty(len(own) * (len(own) - 1) // 2, dtype=np.float32) for own in read]
    for own, similarity in zip(read, found, strict=True):
        all_products(own, similarity)
    counts = np.array([len(similarity) for similarity in found])
    return np.concatenate(found), np.repeat(1 / np.maximum(counts, 1), counts)


@kernel
def products(one: F32, other: F32, similarity: F32) -> None:
    """Write the products of rows: (m,)."""
    for i in range(len(one)):
        similarity[i] = dot(one[i], other[i])


def _share_below(values: F32, weights: F64, limits: F32) -> F64:
    """Share of the weight of the values that are below each limit, 1 without any: (p,)."""
    if not len(values):
        return np.ones(len(limits))
    order = np.argsort(values, kind="stable")
    below = np.append(0, np.cumsum(weights[order]))
    return np.asarray(below[np.searchsorted(values[order], limits)] / below[-1])


def _sizes(labels: I32, weights: I32) -> F64:
    """Items of each node's cluster, 0 for a node of none: (n,)."""
    counts = np.bincount(labels + 1, weights, minlength=1).astype(np.float64)
    counts[0] = 0
    return counts[labels + 1]


def _to_others(labels: I32, members: F32, weights: I32) -> F32:
    """Mean similarity of nodes to the other items of their clusters, 0 for an item alone: (m,)."""
    own = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    grouping = grouped(own, members, weights, weights.astype(np.float32))
    to_all = np.einsum("ij,ij->i", members, grouping.sums[own])
    to_others: F32 = (to_all - 1) / np.maximum(grouping.sizes[own] - 1, 1)
    return to_others
