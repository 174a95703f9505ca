"""HDBSCAN (Campello, Moulavi, Sander 2013) on the neighbour graph."""

import numpy as np

from clustering_tasks.algorithms.partition import Block, Partition
from clustering_tasks.choice import Choice
from clustering_tasks.engine.condensed_tree import condense, select
from clustering_tasks.engine.spanning_tree import core_distances, spanning_tree
from clustering_tasks.settings import RunSettings


def hdbscan(block: Block, settings: RunSettings, _choice: Choice) -> Partition:
    """Cut the condensed tree; the tree kept is the spanning tree of mutual reachability."""
    own = settings.hdbscan
    core = core_distances(block.ids, block.distances, block.weight, own.min_samples)
    edges = spanning_tree(block.vectors, block.ids, block.distances, core)
    selection = select(
        condense(edges, block.weight, own.min_cluster_size),
        own.cluster_selection_method,
        own.cluster_selection_epsilon,
        own.allow_single_cluster,
    )
    tree = {
        "nodes": np.stack([edges.first, edges.second]),
        "reachability": edges.reachability,
        "distance": edges.distance,
    }
    return Partition(selection.labels, selection.probabilities, selection.outlier_scores, tree)
