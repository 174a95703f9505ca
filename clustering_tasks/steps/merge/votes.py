"""Which cluster the neighbours of a node vote for, and when it joins."""

from dataclasses import dataclass

import os

import numpy as np

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.settings.run import IncrementalSettings
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.outlier_policy import by_vote

# Rounds in which nodes join; chains of new nodes that are longer are left to the algorithm.
_ROUNDS = 20


@dataclass(frozen=True)
class Ballot:
    """Some nodes, (m,), and the neighbours that vote on them.

    Attributes:
        rows: numbers of the nodes in the level, ascending.
        block: their edges; its `ids` are numbers in the level.
    """

    rows: I64
    block: Block

    def of(self, rows: I64) -> "Ballot":
        """Return the ballot of some of the nodes, ascending."""
        at = np.searchsorted(self.rows, rows)
        return ballot(rows, self.block.ids[at], self.block.distances[at])

    def count(self, labels: I32) -> tuple[I32, F32]:
        """Count the votes: (m,) clusters, NOISE for none, and similarity of the nearest voter.

        Args:
            labels: (n,) clusters of all nodes.
        """
        voter, similarity = by_vote(self.block, labels, np.arange(len(self.rows)))
        return np.where(voter >= 0, labels[voter], NOISE).astype(np.int32), similarity

    def nearest_open(self, open_nodes: Mask) -> F32:
        """Return the similarity of the nearest of the open, (n,), neighbours: (m,), or -inf."""
        ids = self.block.ids
        likeness = np.where((ids >= 0) & open_nodes[ids], self.block.similarity, -np.inf)
        return np.asarray(likeness.max(axis=1, initial=-np.inf), dtype=np.float32)


def ballot(rows: I64, ids: I32, distances: F32) -> Ballot:
    """Make a ballot of the neighbours of some nodes, (m, k), and their distances."""
    nothing = np.empty((0, 0), np.float32)
    return Ballot(rows, Block(nothing, ids, distances, np.ones(len(rows), np.int32)))


def join_limit(settings: IncrementalSettings, labels: I32, offered: I32, similarity: F32) -> float:
    """Return the similarity from which a node joins: where most of the sample join as they should.

    To join the wrong cluster, or as noise any, counts as much against it as a right one for it.

    Args:
        settings: may set it.
        labels: (s,) clusters of the sample, NOISE for none.
        offered: (s,) clusters that the vote offers.
        similarity: (s,) of the node and that cluster.
    """
    if settings.vote_similarity is not None:
        return settings.vote_similarity
    asked = np.flatnonzero(offered >= 0)
    if not len(asked):
        return np.inf
    order = asked[np.argsort(-similarity[asked], kind="stable")]
    # of those that join from a similarity on, the right ones less the wrong ones
    gain = np.cumsum(np.where(offered[order] == labels[order], 1, -1))
    last = len(gain) - 1 - int(np.argmax(gain[::-1]))
    return float(similarity[order[last]]) if gain[last] > 0 else np.inf


def join_one_by_one(loose: Ballot, labels: I32, limit: float) -> tuple[I32, F32]:
    """Let loose nodes join clusters, those first whose nearest neighbour is no other loose one.

    What has joined votes in the next round. A node that is nearer to a loose one waits for it: the
    two may be the beginning of something new.

    Args:
        loose: the ballot of all loose nodes.
        labels: (n,) clusters of all nodes; changed.
        limit: least similarity.

    Returns:
        (m,) clusters that the loose nodes joined, NOISE for none, and the similarity.
    """
    joined = np.full(len(loose.rows), NOISE, dtype=np.int32)
    likeness = np.zeros(len(loose.rows), dtype=np.float32)
    open_nodes = np.zeros(len(labels), dtype=bool)
    open_nodes[loose.rows] = True
    for _ in range(_ROUNDS):
        offered, similarity = loose.count(labels)
        waits = (os.environ.get("LAB", "D") != "A") & (loose.nearest_open(open_nodes) > similarity)
        now = open_nodes[loose.rows] & (offered >= 0) & (similarity >= limit) & ~waits
        if not now.any():
            break
        joined[now], likeness[now] = offered[now], similarity[now]
        labels[loose.rows[now]] = offered[now]
        open_nodes[loose.rows[now]] = False
    return joined, likeness


def join_together(group: I32, weight: I32, offered: I32, similarity: F32, limit: float) -> I32:
    """Let groups of nodes join the cluster that they are most similar to, on average.

    Args:
        group: (m,) of each node, from 0.
        weight: (m,) items per node.
        offered: (m,) cluster that the vote on each offers, NOISE for none.
        similarity: (m,) of the node and that cluster.
        limit: least mean similarity; those that are offered another cluster count as 0.

    Returns:
        (g,) cluster that each group joins, NOISE for none.
    """
    groups = int(group.max(initial=-1)) + 1
    asked = np.flatnonzero(offered >= 0)
    heirs = np.full(groups, NOISE, dtype=np.int32)
    if not len(asked):
        return heirs
    clusters = int(offered.max()) + 1
    pairs, at = np.unique(
        group[asked].astype(np.int64) * clusters + offered[asked], return_inverse=True
    )
    total = np.bincount(at, weight[asked] * np.maximum(similarity[asked], 0))
    mean = total / np.bincount(group, weight, minlength=groups)[pairs // clusters]
    order = np.lexsort((-pairs, mean))  # the best comes last; of equals the lower number
    order = order[mean[order] >= limit]
    heirs[pairs[order] // clusters] = pairs[order] % clusters
    return heirs
