"""HDBSCAN's hierarchy: dendrogram, condensed tree, stability and the choice of clusters.

Campello, Moulavi, Zimek, Sander: Hierarchical density estimates (TKDD 2015); the condensed tree
after McInnes and Healy (2017). A node stands for `weight` identical items, which never part.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64, Mask
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.engine.spanning_tree import Edges

# Density is 1 / distance. Identical items would be infinitely dense; below this they count as such.
_LEAST_DISTANCE = 1e-6


@dataclass(frozen=True)
class CondensedTree:
    """The tree of clusters of at least a minimum size; a parent's number is below its children's.

    Attributes:
        parent: (c,) int32 parent of each cluster, -1 for the root, which is cluster 0.
        birth: (c,) density at which a cluster splits from its parent.
        size: (c,) items in a cluster when it is born.
        leaves_at: (n,) density at which a node leaves its cluster.
        leaves_from: (n,) int32 that cluster.
        weight: (n,) int32 items per node.
        min_size: smallest number of items that counts as a cluster.
    """

    parent: I32
    birth: F64
    size: I64
    leaves_at: F64
    leaves_from: I32
    weight: I32
    min_size: int


@dataclass(frozen=True)
class Selection:
    """Clusters chosen from a condensed tree.

    Attributes:
        labels: (n,) int32 from 0, in the order of the tree; -1 is noise.
        probabilities: (n,) float32 membership, 0 for noise.
        outlier_scores: (n,) float32 GLOSH, 0 for the densest.
        stabilities: (labels,) excess of mass of each cluster.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    stabilities: F64


def condense(edges: Edges, weight: I32, min_cluster_size: int) -> CondensedTree:
    """Condense the single-linkage tree of a spanning tree.

    Args:
        edges: the n - 1 edges of the spanning tree, in their order.
        weight: (n,) items per node.
        min_cluster_size: smallest number of items that counts as a cluster.
    """
    children, size = dendrogram(edges.first, edges.second, weight)
    density = 1.0 / np.maximum(edges.reachability.astype(np.float64), _LEAST_DISTANCE)
    parent, birth, leaves_at, leaves_from, sizes = condense_dendrogram(
        children, size, density, weight, min_cluster_size, 1.0 / _LEAST_DISTANCE
    )
    return CondensedTree(parent, birth, sizes, leaves_at, leaves_from, weight, min_cluster_size)


@kernel
def dendrogram(first: I32, second: I32, weight: I32) -> tuple[I32, I64]:
    """Single linkage: (n - 1, 2) children and (2 n - 1,) sizes; merge m is node n + m."""
    n = len(weight)
    children = np.empty((n - 1, 2), np.int32)
    size = np.empty(2 * n - 1, np.int64)
    size[:n] = weight
    parent = np.arange(n).astype(np.int32)
    top = np.arange(n).astype(np.int32)
    for m in range(n - 1):
        a, b = find(parent, first[m]), find(parent, second[m])
        children[m, 0], children[m, 1] = top[a], top[b]
        size[n + m] = size[top[a]] + size[top[b]]
        if size[top[a]] < size[top[b]]:
            a, b = b, a
        parent[b] = a
        top[a] = n + m
    return children, size


@kernel
def condense_dendrogram(
    children: I32,
    size: I64,
    density: F64,
    weight: I32,
    min_cluster_size: int,
    most_dense: float,
) -> tuple[I32, F64, F64, I32, I64]:
    """Walk the dendrogram from its root; parts below the minimum size fall out of their cluster."""
    n = len(weight)
    parent = np.empty(2 * n, np.int32)
    birth = np.empty(2 * n, np.float64)
    sizes = np.empty(2 * n, np.int64)
    cluster = np.zeros(2 * n - 1, np.int32)
    fell_at = np.full(2 * n - 1, -1.0)
    parent[0], birth[0], sizes[0] = -1, 0.0, size[2 * n - 2]
    count = 1
    for node in range(2 * n - 2, n - 1, -1):
        level = density[node - n]
        left, right = children[node - n]
        split = size[left] >= min_cluster_size and size[right] >= min_cluster_size
        for child in (left, right):
            cluster[child] = cluster[node]
            if fell_at[node] >= 0:
                fell_at[child] = fell_at[node]
            elif split:
                parent[count], birth[count], sizes[count] = cluster[node], level, size[child]
                cluster[child] = count
                count += 1
            elif size[child] < min_cluster_size:
                fell_at[child] = level
    leaves_at = np.where(fell_at[:n] >= 0, fell_at[:n], most_dense)
    return parent[:count], birth[:count], leaves_at, cluster[:n], sizes[:count]


def select(
    tree: CondensedTree,
    method: Literal["eom", "leaf"] = "eom",
    epsilon: float = 0.0,
    allow_single_cluster: bool = False,
) -> Selection:
    """Choose clusters and say how firmly each node belongs to its own.

    Args:
        tree: from `condense`.
        method: excess of mass, or the leaves.
        epsilon: clusters born at a smaller distance are joined with their neighbours (Malzer and
            Baum 2020).
        allow_single_cluster: whether the root may be chosen.
    """
    stability = stabilities(tree)
    chosen = _most_stable(tree, stability) if method == "eom" else _leaves(tree)
    chosen[0] &= allow_single_cluster
    if len(chosen) == 1:
        enough = tree.weight.sum() >= tree.min_size
        chosen[0] = enough and (allow_single_cluster or _is_one_vector(tree))
    if epsilon > 0:
        chosen = _raise_to(tree, chosen, epsilon, allow_single_cluster)
    label_of = _nearest_chosen(tree.parent, chosen)
    labels = label_of[tree.leaves_from]
    if chosen[0]:
        labels = np.where(_in_root(tree, epsilon), labels, -1).astype(np.int32)
    return _describe(tree, labels, chosen, stability)


def stabilities(tree: CondensedTree) -> F64:
    """Excess of mass of each cluster: how many items live in it, over which range of density."""
    lives = tree.weight * (tree.leaves_at - tree.birth[tree.leaves_from])
    own = np.bincount(tree.leaves_from, lives, minlength=len(tree.parent))
    parent = tree.parent[1:]
    gain = tree.size[1:] * (tree.birth[1:] - tree.birth[parent])
    return np.asarray(own + np.bincount(parent, gain, minlength=len(tree.parent)))


def _most_stable(tree: CondensedTree, stability: F64) -> Mask:
    best = stability.copy()
    below = np.zeros(len(best))
    keep = np.ones(len(best), dtype=bool)
    for cluster in range(len(best) - 1, -1, -1):
        keep[cluster] = best[cluster] >= below[cluster]
        best[cluster] = max(best[cluster], below[cluster])
        if cluster:
            below[tree.parent[cluster]] += best[cluster]
    keep[0] &= len(best) == 1 or bool(stability[0] >= below[0])
    return keep


def _leaves(tree: CondensedTree) -> Mask:
    leaf = np.ones(len(tree.parent), dtype=bool)
    leaf[tree.parent[1:]] = False
    return leaf


def _is_one_vector(tree: CondensedTree) -> bool:
    """Tell whether all items are identical: then enough of them are one cluster."""
    return len(tree.weight) == 1


def _raise_to(tree: CondensedTree, chosen: Mask, epsilon: float, allow_root: bool) -> Mask:
    raised = np.zeros_like(chosen)
    for cluster in np.flatnonzero(_topmost(tree.parent, chosen)):
        at = int(cluster)
        while at and 1 / tree.birth[at] < epsilon:
            if tree.parent[at] == 0 and not allow_root:
                break
            at = int(tree.parent[at])
        raised[at] = True
    return raised


def _topmost(parent: I32, chosen: Mask) -> Mask:
    covered = np.zeros(len(chosen), dtype=bool)
    for cluster in range(1, len(chosen)):
        above = parent[cluster]
        covered[cluster] = covered[above] or chosen[above]
    return chosen & ~covered


def _nearest_chosen(parent: I32, chosen: Mask) -> I32:
    """Label of each cluster's topmost chosen ancestor or itself, -1 for none."""
    top = _topmost(parent, chosen)
    labels = np.where(top, np.cumsum(top) - 1, -1).astype(np.int32)
    for cluster in range(1, len(parent)):
        if labels[cluster] < 0:
            labels[cluster] = labels[parent[cluster]]
    return labels


def _in_root(tree: CondensedTree, epsilon: float) -> Mask:
    """Tell which nodes belong to a root that was chosen, as hdbscan does.

    With an epsilon those denser than it; else those that stay until the root splits or ends.
    """
    if epsilon > 0:
        return np.asarray(tree.leaves_at >= 1 / epsilon)
    return np.asarray(tree.leaves_at >= _last_leaves_at(tree)[0])


def _describe(tree: CondensedTree, labels: I32, chosen: Mask, stability: F64) -> Selection:
    top = _topmost(tree.parent, chosen)
    peak = np.append(_last_leaves_at(tree)[top], 1.0)[labels]
    own = np.where(labels >= 0, np.minimum(tree.leaves_at, peak) / peak, 0.0)
    ceiling = _deepest(tree)[tree.leaves_from]
    scores = (ceiling - np.minimum(tree.leaves_at, ceiling)) / ceiling
    return Selection(
        labels=labels,
        probabilities=own.astype(np.float32),
        outlier_scores=scores.astype(np.float32),
        stabilities=stability[top],
    )


def _last_leaves_at(tree: CondensedTree) -> F64:
    """Density at which each cluster ends: its last node leaves, or it splits."""
    ends = np.zeros(len(tree.parent))
    np.maximum.at(ends, tree.leaves_from, tree.leaves_at)
    np.maximum.at(ends, tree.parent[1:], tree.birth[1:])
    return ends


def _deepest(tree: CondensedTree) -> F64:
    """Density at which the last node leaves each cluster or one below it."""
    deepest = _last_leaves_at(tree)
    for cluster in range(len(deepest) - 1, 0, -1):
        above = tree.parent[cluster]
        deepest[above] = max(deepest[above], deepest[cluster])
    return deepest
