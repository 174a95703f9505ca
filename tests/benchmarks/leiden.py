"""Leiden (Traag et al. 2019), the field's choice for neighbour graphs, by igraph on our graph."""

import random
from dataclasses import dataclass

import igraph
import numpy as np

from clustering_tasks.arrays import F32, I64
from clustering_tasks.engine.cells import find_neighbours, probe_count
from clustering_tasks.settings.groups.graph import NeighbourSettings


@dataclass(frozen=True)
class Leiden:
    """A setting.

    Attributes:
        objective: `modularity`, or `CPM`, whose resolution does not depend on the number of items.
        resolution: higher gives more communities.
    """

    objective: str
    resolution: float

    @property
    def name(self) -> str:
        """The setting in words."""
        return f"Leiden {self.objective} {self.resolution:g}"


# What packages take where nothing is set: scanpy, leidenalg's RBConfiguration.
FIELD_DEFAULT = Leiden("modularity", 1.0)
SETTINGS = (FIELD_DEFAULT, *(Leiden("CPM", each) for each in (0.05, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)))


def neighbour_graph(vectors: F32) -> igraph.Graph:
    """Link every item with its nearest others, as many as in a run; weights are cosines.

    Args:
        vectors: (n, d) unit vectors.
    """
    n, ours = len(vectors), NeighbourSettings()
    found = find_neighbours(vectors, ours.k, ours.exact_rows, probe_count(n))
    row, at = np.nonzero(found.ids >= 0)
    column = found.ids[row, at].astype(np.int64)
    keys = np.minimum(row, column) * n + np.maximum(row, column)
    keys, first = np.unique(keys, return_index=True)
    graph = igraph.Graph(n=n, edges=np.column_stack([keys // n, keys % n]))
    cosine = 1 - np.square(found.distances[row, at][first]) / 2
    graph.es["weight"] = np.maximum(cosine, 0).tolist()
    return graph


def communities(graph: igraph.Graph, setting: Leiden) -> I64:
    """Community of each item: (n,), -1 for an item alone in its own.

    Args:
        graph: of the items.
        setting: of Leiden.
    """
    igraph.set_random_number_generator(random.Random(0))
    found = graph.community_leiden(
        objective_function=setting.objective, weights="weight", resolution=setting.resolution
    )
    labels = np.asarray(found.membership, dtype=np.int64)
    return np.where(np.bincount(labels)[labels] > 1, labels, -1)
