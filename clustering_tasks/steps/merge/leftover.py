"""New nodes that joined no cluster, clustered with what is around them."""

from dataclasses import dataclass, replace

import numpy as np

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.trimming import without_pairs_below
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.learned import Learned
from clustering_tasks.steps.merge.some_edges import SomeEdges
from clustering_tasks.steps.merge.votes import Ballot
from clustering_tasks.workspace.artefacts import Metric
from clustering_tasks.workspace.vector_files import VectorFile

_SMALLEST = 2  # nodes that can form a cluster


@dataclass(frozen=True)
class Leftover:
    """Nodes that joined nothing, noise beside them, and members of clusters that vote on them.

    Attributes:
        rows: (r,) numbers of the nodes in the level, ascending.
        loose: (r,) those that joined nothing.
        cluster: (r,) of the members, NOISE for the others.
    """

    rows: I64
    loose: Mask
    cluster: I32


def leftover(graph: Graph, loose: Ballot, labels: I32) -> Leftover:
    """Gather what is to be clustered.

    Args:
        graph: of the level.
        loose: the ballot of all loose nodes.
        labels: (n,) clusters of all nodes.
    """
    left = loose.rows[labels[loose.rows] < 0]
    beside = np.unique(graph.ids[left])
    beside = beside[(beside >= 0) & (labels[beside] < 0)]
    rows = np.unique(np.concatenate([left, beside, loose.of(left).voters(labels)]))
    return Leftover(rows, np.isin(rows, left), labels[rows])


@dataclass(frozen=True)
class AsBefore:
    """The run's algorithm, with what it chose in the last full run."""

    settings: RunSettings
    method: Method
    learned: Learned

    def cluster(
        self, rest: Leftover, edges: SomeEdges, graph: Graph, nodes: Nodes, features: VectorFile
    ) -> tuple[I32, F32]:
        """Cluster some nodes: (r,) clusters from 0, NOISE for none, and their probabilities.

        Args:
            rest: the nodes; known to `edges`.
            edges: with their evidence.
            graph: of the level.
            nodes: of the level.
            features: of the nodes.
        """
        rows = rest.rows
        labels = np.full(len(rows), NOISE, dtype=np.int32)
        firm, count = np.zeros(len(rows), dtype=np.float32), 0
        algorithm = ALGORITHMS[self.method.algorithm].load()
        settings, method = self._chosen()
        apart = np.where(self._accompanied(rows, graph, nodes), nodes.block[rows], NOISE)
        for block in np.unique(apart[apart >= 0]):
            here = np.flatnonzero(apart == block)
            if len(here) < _SMALLEST:
                continue
            part = edges.block(graph, nodes, rows[here], features)
            found = algorithm(part, settings, method)
            floor = self.learned.facts.get("pair_similarity")
            own = without_weak_pairs(found.labels, rest.cluster[here], part, floor)
            labels[here] = np.where(own >= 0, own + count, NOISE)
            firm[here] = found.probabilities
            count = int(labels.max(initial=-1)) + 1
        return labels, firm

    def _chosen(self) -> tuple[RunSettings, Method]:
        """Keep what was chosen: on a few nodes it would be something else."""
        traits, facts = ALGORITHMS[self.method.algorithm], self.learned.facts
        group = getattr(self.settings, traits.name)
        kept = group.model_copy(update={name: facts.get(name) for name in traits.keeps})
        settings = self.settings.model_copy(update={traits.name: kept})
        edge = facts.get("edge_similarity")
        least = float(edge) if isinstance(edge, float | int) else self.method.edge_similarity
        return settings, replace(self.method, edge_similarity=least)

    def _accompanied(self, rows: I64, graph: Graph, nodes: Nodes) -> Mask:
        """Tell which nodes some other resembles more than chance has it."""
        floor = self.learned.facts.get("lone_similarity")
        if not isinstance(floor, float):
            return np.ones(len(rows), dtype=bool)
        nearest = 1 - np.square(graph.distances[rows, 0]) / 2
        return np.asarray((nearest >= floor) | (nodes.weight[rows] > 1))


def without_weak_pairs(labels: I32, cluster: I32, part: Block, floor: Metric) -> I32:
    """Take new pairs apart that are less alike than the pairs of the full run had to be.

    Args:
        labels: (m,) groups that were found, from 0, NOISE for none.
        cluster: (m,) of each node, NOISE for none: a member stands for its whole cluster, so that
            a group with one is no pair.
        part: the m nodes.
        floor: similarity of the pairs that stay; None: all do.
    """
    if not isinstance(floor, float):
        return labels
    apart = without_pairs_below(labels, part.vectors, part.weight, floor)
    joining = np.isin(labels, labels[cluster >= 0])
    return np.where(joining, labels, apart)


def placed(rest: Leftover, group: I32, weight: I32, first: int) -> I32:
    """Return the clusters of what joined nothing, after it was clustered: (r,), NOISE for none.

    A group with members of clusters is that of most of them; one without is a new cluster, if it
    has a loose node. Noise stays noise but in a new cluster.

    Args:
        rest: what was clustered.
        group: (r,) the groups that were found, from 0, NOISE for none.
        weight: (r,) items per node.
        first: number of the first new cluster.
    """
    heir = np.append(heirs(group, rest.cluster, weight), NOISE)[group]
    fresh = np.where((group >= 0) & (heir < 0), group, NOISE)
    fresh = with_loose(fresh.astype(np.int32), rest.loose)
    found = np.where(fresh >= 0, fresh + first, np.where(rest.loose, heir, rest.cluster))
    return found.astype(np.int32)


def heirs(group: I32, cluster: I32, weight: I32) -> I32:
    """Return the cluster of most items of each group: (g,), NOISE where none has one.

    Args:
        group: (m,) of each node, from 0, NOISE for none.
        cluster: (m,) of each node, NOISE for none.
        weight: (m,) items per node.
    """
    result = np.full(int(group.max(initial=-1)) + 1, NOISE, dtype=np.int32)
    held = np.flatnonzero((group >= 0) & (cluster >= 0))
    if not len(held):
        return result
    clusters = int(cluster.max()) + 1
    of_both = group[held].astype(np.int64) * clusters + cluster[held]
    pairs, at = np.unique(of_both, return_inverse=True)
    # the largest comes last; of equals the one with the lower number
    order = np.lexsort((-pairs, np.bincount(at, weight[held])))
    result[pairs[order] // clusters] = pairs[order] % clusters
    return result


def with_loose(group: I32, loose: Mask) -> I32:
    """Keep the groups that have a loose node, numbered without gaps: old noise forms none."""
    kept = np.isin(group, group[loose & (group >= 0)])
    return without_gaps(np.where(kept, group, NOISE).astype(np.int32))


def without_gaps(labels: I32) -> I32:
    """Number clusters from 0 without gaps, in their order; NOISE stays."""
    result = np.full(len(labels), NOISE, dtype=np.int32)
    there = labels >= 0
    result[there] = np.unique(labels[there], return_inverse=True)[1]
    return result
