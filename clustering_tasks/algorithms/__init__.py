"""The clustering algorithms behind one interface: a block of the neighbour graph to a partition.

A new one is a module here and a line in `ALGORITHMS`; its settings are a group of `RunSettings`.
"""

from collections.abc import Callable

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.hdbscan import hdbscan
from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.kmeans import kmeans
from clustering_tasks.algorithms.label_propagation import label_propagation
from clustering_tasks.algorithms.method import Method
from clustering_tasks.algorithms.two_stage import two_stage
from clustering_tasks.settings.run import RunSettings

ALGORITHMS: dict[str, Callable[[Block, RunSettings, Method], FlatClustering]] = {
    "agglomerative": agglomerative,
    "hdbscan": hdbscan,
    "kmeans": kmeans,
    "label_propagation": label_propagation,
    "two_stage": two_stage,
}
