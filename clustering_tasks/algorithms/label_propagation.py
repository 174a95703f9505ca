"""Label propagation: communities of the neighbour graph."""

import numpy as np

from clustering_tasks.algorithms.interface import Block, FlatClustering, graph_clustering
from clustering_tasks.algorithms.method import Method
from clustering_tasks.engine.edge_threshold import choose_threshold
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.settings.run import RunSettings


def label_propagation(block: Block, settings: RunSettings, method: Method) -> FlatClustering:
    """Group the nodes along the edges that are similar enough."""
    similarity, k = block.similarity, settings.label_propagation.neighbours
    least, silhouette = method.edge_similarity, None
    if least is None and len(block.ids):
        least, silhouette = choose_threshold(block.vectors, block.ids, similarity, block.weight, k)
    least = least or 0.0
    labels = propagate(block.ids, similarity, block.weight, least, k)
    strength = np.maximum(similarity - np.float32(least), 0)
    facts = {"edge_similarity": least, "edge_silhouette": silhouette}
    return graph_clustering(block, labels, strength, facts=facts)
