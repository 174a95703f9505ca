"""Label propagation: communities of the neighbour graph."""

import numpy as np

from clustering_tasks.algorithms.partition import Block, Partition, graph_partition
from clustering_tasks.choice import Choice
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.settings import RunSettings


def label_propagation(block: Block, settings: RunSettings, choice: Choice) -> Partition:
    """Group the nodes along the edges that are similar enough."""
    similarity = block.similarity
    labels = propagate(
        block.ids,
        similarity,
        block.weight,
        choice.edge_similarity,
        settings.label_propagation.neighbours,
    )
    strength = np.maximum(similarity - np.float32(choice.edge_similarity), 0)
    return graph_partition(block, labels, strength)
