"""Average linkage on smoothed vectors, cut where the silhouette is highest."""

import numpy as np

from clustering_tasks.algorithms.partition import Block, Partition, graph_partition
from clustering_tasks.choice import Choice
from clustering_tasks.engine.linkage import average_linkage
from clustering_tasks.engine.silhouette_cut import LEAST, Cut, choose_cut, trim_small
from clustering_tasks.engine.smoothing import THRESHOLD, smooth
from clustering_tasks.settings import RunSettings


def agglomerative(block: Block, settings: RunSettings, _choice: Choice) -> Partition:
    """Grow the tree, choose the cut, and take what is hardly similar out of small clusters."""
    own = settings.agglomerative
    smoothed = smooth(np.asarray(block.vectors), block.ids, block.distances, block.weight)
    linkage = average_linkage(smoothed, block.ids, block.weight, LEAST)
    if own.cut_similarity is None:
        cut = choose_cut(linkage, smoothed, block.ids, block.weight)
    else:
        labels = linkage.cut(len(block.weight), own.cut_similarity)
        cut = Cut(labels, own.cut_similarity, None)
    labels = trim_small(cut.labels, block.vectors, block.weight, own.trim_size, own.trim_similarity)
    return graph_partition(
        block,
        labels,
        np.square(np.maximum(block.similarity - np.float32(THRESHOLD), 0)),
        {"nodes": np.stack([linkage.first, linkage.second]), "similarity": linkage.similarity},
        {"cut_similarity": cut.similarity, "cut_silhouette": cut.silhouette},
    )
