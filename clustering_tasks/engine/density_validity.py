"""Density-based validity (DBCV: Moulavi et al. 2014), as far as a spanning tree tells it."""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.disjoint_set import find

_NOTHING, _SEVERAL = -1, -2


def relative_validity(
    first: I32, second: I32, reachability: F32, labels: I32, weights: I32
) -> float | None:
    """Compare each cluster's density with that of what separates it from the others.

    A cluster's sparseness is its longest edge in the spanning tree, its separation the longest edge
    on the tree's path to the next cluster; its validity is their difference over the larger of the
    two. The whole is the mean, weighted by items, noise counting 0. It orders the clusterings of
    one level; its values are not those of DBCV, which looks at all pairs.

    Like `relative_validity_` of the package hdbscan, but for clusters between which the tree leads
    through noise: there the package takes twice the tree's longest edge as their separation, which
    flatters the more, the more noise there is.

    Args:
        first, second: (e,) nodes of each edge of the spanning forest, of each tree by length.
        reachability: (e,) length of the edges.
        labels: (n,) clusters from 0, negative for noise.
        weights: (n,) items per node.

    Returns:
        -1 to 1; None where no tree holds two clusters. Trees with fewer are left out.
    """
    count = int(labels.max(initial=-1)) + 1
    sparseness = np.zeros(count)
    separation = np.full(count, np.inf)
    holds = connect(first, second, reachability, labels, sparseness, separation)
    whole = int(weights[holds == _SEVERAL].sum())
    if not whole:
        return None
    apart = np.isfinite(separation)
    width = separation[apart] - sparseness[apart]
    larger = np.maximum(separation[apart], sparseness[apart])
    validity = np.divide(width, larger, out=np.zeros(len(width)), where=larger > 0)
    sizes = np.bincount(labels[labels >= 0], weights[labels >= 0], minlength=count)
    return float((sizes[apart] * validity).sum() / whole)


@kernel
def connect(
    first: I32,
    second: I32,
    length: F32,
    labels: I32,
    sparseness: F64,
    separation: F64,
) -> I32:
    """Let the edges join, shortest first, and note where a cluster first meets another.

    Returns:
        (n,) what a node's tree holds at the end: one cluster, no cluster, or several.
    """
    n = len(labels)
    parent = np.arange(n).astype(np.int32)
    holds = np.where(labels >= 0, labels, np.int32(_NOTHING)).astype(np.int32)
    for e in range(len(first)):
        a, b = find(parent, first[e]), find(parent, second[e])
        own, other = labels[first[e]], labels[second[e]]
        if own >= 0 and own == other:
            sparseness[own] = max(sparseness[own], length[e])
        mine, theirs = holds[a], holds[b]
        if mine != theirs and mine != _NOTHING and theirs != _NOTHING:
            if mine >= 0:
                separation[mine] = min(separation[mine], length[e])
            if theirs >= 0:
                separation[theirs] = min(separation[theirs], length[e])
            holds[a] = _SEVERAL
        elif mine == _NOTHING:
            holds[a] = theirs
        parent[b] = a
    ends = np.empty(n, np.int32)
    for i in range(n):
        ends[i] = holds[find(parent, i)]
    return ends
