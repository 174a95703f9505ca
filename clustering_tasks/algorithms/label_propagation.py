"""Label propagation: communities of the neighbour graph."""

import numpy as np

from clustering_tasks.algorithms.method import Choice
from clustering_tasks.algorithms.partition import Block, Partition, graph_partition
from clustering_tasks.engine.edge_threshold import choose_threshold
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.settings.run import RunSettings


def label_propagation(block: Block, settings: RunSettings, choice: Choice) -> Partition:
    """Group the nodes along the edges that are similar enough."""
    similarity, k = block.similarity, settings.label_propagation.neighbours
    least, silhouette = choice.edge_similarity, None
    if least is None and len(block.ids):
        least, silhouette = choose_threshold(block.vectors, block.ids, similarity, block.weight, k)
    least = least or 0.0
    labels = propagate(block.ids, similarity, block.weight, least, k)
    strength = np.maximum(similarity - np.float32(least), 0)
    facts = {"edge_similarity": least, "edge_silhouette": silhouette}
    return graph_partition(block, labels, strength, facts=facts)
