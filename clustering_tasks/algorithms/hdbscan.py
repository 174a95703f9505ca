"""HDBSCAN (Campello, Moulavi, Sander 2013) on the neighbour graph."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import I32, Mask
from clustering_tasks.engine.condensed_tree import Selection, condense, select
from clustering_tasks.engine.spanning_tree import Edges, core_distances, spanning_tree
from clustering_tasks.engine.window import days_apart
from clustering_tasks.settings.run import RunSettings

# Between unit vectors, there is no larger distance.
_FARTHEST = np.float32(2)


def hdbscan(block: Block, settings: RunSettings, _method: Method) -> FlatClustering:
    """Cut the condensed tree; the tree kept is the spanning tree of mutual reachability."""
    own = settings.hdbscan
    core = core_distances(block.ids, block.distances, block.weight, own.min_samples)
    edges = spanning_tree(block.vectors, block.ids, block.distances, core)
    apart = beyond_window(block, edges, settings.temporal.window_days)
    edges, apart = _joined_last(edges, apart)
    selection = select(
        condense(edges, block.weight, own.min_cluster_size),
        own.cluster_selection_method,
        own.cluster_selection_epsilon,
        own.allow_single_cluster,
    )
    if apart.any():
        selection = _without(edges, apart, selection, block.weight, own.min_cluster_size)
    tree = {
        "nodes": np.stack([edges.first, edges.second]),
        "reachability": edges.reachability,
        "distance": edges.distance,
    }
    return FlatClustering(selection.labels, selection.probabilities, selection.outlier_scores, tree)


def beyond_window(block: Block, edges: Edges, window_days: float | None) -> Mask:
    """Tell which edges are between items further apart than the window (TM-2): (n - 1,).

    The graph has none, but what it leaves in pieces is bridged by the vectors alone.
    """
    if block.span is None or window_days is None:
        return np.zeros(len(edges.first), dtype=bool)
    return days_apart(block.span, edges.first, edges.second) > window_days


def _joined_last(edges: Edges, apart: Mask) -> tuple[Edges, Mask]:
    """Make some edges the longest of the tree, so that clusters end where they would begin."""
    longest = np.maximum(edges.reachability.max(initial=0), _FARTHEST)
    distance = np.where(apart, longest, edges.distance)
    reachability = np.where(apart, longest, edges.reachability)
    order = np.lexsort((edges.second, edges.first, distance, reachability))
    moved = Edges(edges.first[order], edges.second[order], reachability[order], distance[order])
    return moved, apart[order]


def _without(
    edges: Edges,
    apart: Mask,
    selection: Selection,
    weight: I32,
    min_size: int,
) -> Selection:
    """Cut clusters where only such an edge holds them together; too small a piece is noise.

    The root may be chosen, by `allow_single_cluster` or a large epsilon, and so may be a few items
    that nothing but the root contains.
    """
    n = len(weight)
    near = sparse.csr_array(
        (np.ones((~apart).sum(), bool), (edges.first[~apart], edges.second[~apart])), shape=(n, n)
    )
    component = sparse.csgraph.connected_components(near, directed=False)[1]
    inside = selection.labels >= 0
    pairs = np.stack([selection.labels[inside], component[inside]])
    piece = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
    kept = np.bincount(piece, weight[inside]) >= min_size
    labels = np.full(n, -1, dtype=np.int32)
    labels[inside] = np.where(kept, np.cumsum(kept) - 1, -1)[piece]
    probabilities = np.where(labels >= 0, selection.probabilities, np.float32(0))
    return replace(selection, labels=labels, probabilities=probabilities)
