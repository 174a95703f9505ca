"""Which cluster the neighbours of a node vote for, and when it joins."""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.settings.groups.continuity import IncrementalSettings
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.outlier_policy import VOTERS, by_vote

# Rounds in which nodes join; chains of new nodes that are longer are left to the algorithm.
_ROUNDS = 20


@dataclass(frozen=True)
class Ballot:
    """Some nodes, (m,), and the neighbours that vote on them.

    Attributes:
        rows: numbers of the nodes in the level, ascending.
        block: their edges, the most similar first; its `ids` are numbers in the level.
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

    def voters(self, labels: I32) -> I64:
        """Return all who have a vote, ascending."""
        ids = self.block.ids
        votes = (ids >= 0) & (labels[ids] >= 0)
        return np.unique(ids[votes & (votes.cumsum(axis=1) <= VOTERS)]).astype(np.int64)

    def nearest(self, among: Mask) -> F32:
        """Return the similarity of the nearest neighbour among some, (n,): (m,), or -inf."""
        likeness = np.where(among, self.block.similarity, -np.inf)
        return np.asarray(likeness.max(axis=1, initial=-np.inf), dtype=np.float32)

    def nearest_open(self, open_nodes: Mask) -> F32:
        """Return the similarity of the nearest neighbour that is open, (n,): (m,), or -inf."""
        return self.nearest(open_nodes[self.block.ids])

    def nearest_fellow(self, labels: I32) -> F32:
        """Return the similarity of the nearest neighbour in the same cluster: (m,), or -inf."""
        return self.nearest(labels[self.block.ids] == labels[self.rows][:, None])


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


def join_one_by_one(loose: Ballot, labels: I32, limit: float) -> None:
    """Let loose nodes join clusters, those first whose nearest neighbour is no other loose one.

    What has joined votes in the next round. A node that is nearer to a loose one waits for it: the
    two may be the beginning of something new.

    Args:
        loose: the ballot of all loose nodes.
        labels: (n,) clusters of all nodes; changed.
        limit: least similarity.
    """
    open_nodes = np.zeros(len(labels), dtype=bool)
    open_nodes[loose.rows] = True
    for _ in range(_ROUNDS):
        offered, similarity = loose.count(labels)
        waits = loose.nearest_open(open_nodes) > similarity
        now = open_nodes[loose.rows] & (offered >= 0) & (similarity >= limit) & ~waits
        if not now.any():
            break
        labels[loose.rows[now]] = offered[now]
        open_nodes[loose.rows[now]] = False
