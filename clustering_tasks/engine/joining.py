"""Joining clusters that domain scope tore apart (MD-1, AL-4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.centroids import ClusterSums
from clustering_tasks.engine.exact import cosines
from clustering_tasks.engine.kmeans import unit_means
from clustering_tasks.engine.rows import Vectors


def mutual_best(sums: ClusterSums, block: I32, min_similarity: float) -> I32:
    """Join clusters of different blocks that are each other's most similar, until none are left.

    Being each other's best is the guard: joining whatever is similar enough chains (measured on
    real events: .59 of B-cubed F1 against .70).

    Args:
        sums: of c clusters.
        block: (c,) the block a cluster comes from; within one nothing is joined.
        min_similarity: least cosine of two centroids that are joined.

    Returns:
        (c,) int32 the group of each cluster, numbered from 0 in the order of first members.
    """
    group = np.arange(len(sums.sizes), dtype=np.int32)
    blocks = [{int(b)} for b in block]
    while True:
        now = sums.grouped(group)
        joined = _round(now.centroids, blocks, min_similarity)
        if len(np.unique(joined)) == len(joined):
            return group
        blocks = [
            set().union(*(blocks[i] for i in np.flatnonzero(joined == g)))
            for g in range(int(joined.max()) + 1)
        ]
        group = joined[group]


def _round(centroids: F32, blocks: list[set[int]], min_similarity: float) -> I32:
    similarity = centroids @ centroids.T
    for i, own in enumerate(blocks):
        similarity[i, [j for j, other in enumerate(blocks) if own & other]] = -np.inf
    best = similarity.argmax(axis=1) if len(blocks) else np.empty(0, np.int64)
    at = np.arange(len(best))
    mutual = (best[best] == at) & (similarity[at, best] >= min_similarity)
    first = np.where(mutual, np.minimum(at, best), at)
    return np.unique(first, return_inverse=True)[1].astype(np.int32)


# On six real collections in cells of 100 nodes, with stories of up to 300, HDBSCAN in cells agrees
# with HDBSCAN on the whole (adjusted Rand index) from .97 on with these two, from .20 on without.
# Joining too many cells is no loss: what it finds inside does not depend on how large they are.
_NEAREST = 6
_ASTRIDE = 0.1


def joined_cells(ids: I32, weights: I32, cell_of: I32) -> I32:
    """Join cells whose border runs through something dense, which would fill each of them.

    That is where at least a tenth of the items of one have a node of the other among their six
    nearest that has them among its own.

    Args:
        ids: (n, k) neighbours, nearest first, -1 for none.
        weights: (n,) items per node.
        cell_of: (n,) cells from 0.

    Returns:
        (n,) int32 cells, from 0 without gaps.
    """
    n, count = len(ids), int(cell_of.max(initial=-1)) + 1
    rows, at = np.nonzero(ids[:, :_NEAREST] >= 0)
    near = sparse.csr_array((np.ones(len(rows)), (rows, ids[rows, at])), (n, n))
    one, other = sparse.coo_array(near.multiply(near.T)).coords
    across = cell_of[one] != cell_of[other]
    # each node once, however many such neighbours it has in a cell
    node, cell = np.unique(np.stack([one[across], cell_of[other[across]]]), axis=1)
    astride = sparse.csr_array((weights[node].astype(float), (cell_of[node], cell)), (count, count))
    items = np.bincount(cell_of, weights, minlength=count)
    dense = astride.tocoo()
    kept = dense.data >= _ASTRIDE * items[dense.coords[0]]
    links = sparse.csr_array(
        (kept[kept].astype(float), (dense.coords[0][kept], dense.coords[1][kept])), (count, count)
    )
    cells = sparse.csgraph.connected_components(links, directed=False)[1]
    return np.unique(cells[cell_of], return_inverse=True)[1].astype(np.int32)


def with_nearest(
    vectors: Vectors,
    weights: I32,
    cell_of: I32,
    alone: Mask,
) -> I32:
    """Join some cells with the cell whose centroid is nearest to theirs.

    Args:
        vectors: (n, d) unit vectors.
        weights: (n,) items per node.
        cell_of: (n,) cells from 0 without gaps, at least two.
        alone: (c,) which of them are joined.

    Returns:
        (n,) int32 cells, from 0 without gaps.
    """
    means = unit_means(vectors, weights, cell_of, len(alone))
    similarity = cosines(means, means)
    np.fill_diagonal(similarity, -np.inf)
    one = np.flatnonzero(alone)
    pairs = (np.ones(len(one)), (one, similarity[one].argmax(axis=1)))
    links = sparse.csr_array(pairs, (len(alone), len(alone)))
    cells: I32 = sparse.csgraph.connected_components(links, directed=False)[1]
    return cells[cell_of]


@dataclass(frozen=True)
class View:
    """A clustering of some of the nodes; views overlap.

    Attributes:
        rows: (m,) the nodes.
        labels: (m,) int32 clusters from 0, negative for noise.
    """

    rows: I64
    labels: I32

    @property
    def clusters(self) -> int:
        """Number of the last cluster and one more."""
        return int(self.labels.max(initial=-1)) + 1


def joined_views(views: Sequence[View], weights: I32) -> I32:
    """Find which clusters of different views are one.

    Two are, where each holds more than half of what the other holds in sight of both. Clusters of
    one view do not overlap, so a cluster has at most one such partner in each other view: nothing
    is joined for being near.

    Args:
        views: their clusters are numbered on, view after view.
        weights: (n,) items per node.

    Returns:
        (c,) int32 the group of each cluster, from 0.
    """
    counts = [view.clusters for view in views]
    start = np.cumsum([0, *counts])
    view_of = np.repeat(np.arange(len(views)), counts)
    node = np.concatenate([view.rows for view in views])
    view = np.repeat(np.arange(len(views)), [len(view.rows) for view in views])
    label = np.concatenate([view.labels for view in views])
    held = label >= 0
    cluster = (label + start[view])[held]
    shape = (int(start[-1]), len(weights))
    items = sparse.csr_array((weights[node[held]].astype(float), (cluster, node[held])), shape)
    seen = sparse.csr_array((np.ones(len(node)), (view, node)), (len(views), len(weights)))
    both = sparse.coo_array(items @ (items > 0).astype(float).T)
    a, b = both.coords
    most = 2 * both.data > (items @ seen.T).toarray()[a, view_of[b]]
    most &= view_of[a] != view_of[b]
    same = sparse.csr_array((np.ones(int(most.sum())), (a[most], b[most])), (shape[0], shape[0]))
    mutual = same.multiply(same.T)
    group: I32 = sparse.csgraph.connected_components(mutual, directed=False)[1]
    return group
