"""What becomes of items that an algorithm put into no cluster (TG-3), whatever the algorithm."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import structlog

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.centroids import ClusterSums, row_products
from clustering_tasks.engine.kmeans import unit_means
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.settings.groups.clustering import OutlierSettings
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.workspace.vector_files import VectorFile

MOST_PROBABLE = np.float32(0.5)
# Neighbours that vote. B-cubed F1 on real documents clustered by HDBSCAN, without policy, with the
# nearest neighbour's cluster, with the nearest centroid's, with five votes: ecbplus .792 .807 .809
# .813, headlines .751 .810 .790 .813, wikinews .670 .669 .668 .671.
VOTERS = 5
_ROWS = 32_768

log = structlog.get_logger()


@dataclass(frozen=True)
class Offers:
    """Where each noise node could go.

    Attributes:
        node: (n,) int32 a member of the cluster that it is nearest to; -1 for nodes in a cluster,
            and where there is none.
        similarity: (n,) float32 of the node and that cluster, -inf where there is none.
    """

    node: I32
    similarity: F32

    def enter(self, rows: slice, offers: "Offers") -> None:
        """Enter the offers to the nodes of a block."""
        self.node[rows] = np.where(offers.node >= 0, offers.node + np.int32(rows.start), -1)
        self.similarity[rows] = offers.similarity


def no_offers(count: int) -> Offers:
    """Return offers of nothing to `count` nodes."""
    return Offers(np.full(count, -1, np.int32), np.full(count, -np.inf, np.float32))


def nearest_clusters(block: Block, labels: I32, settings: RunSettings) -> Offers:
    """Find the cluster that each noise node of a block is nearest to, if the policy asks.

    Up to five of its most similar neighbours in the graph that are in a cluster vote by their
    similarity, and the similarity is that of the nearest in the winning cluster. Where the graph
    has none it is the nearest centroid, unless a window in time is set, which centroids know
    nothing of. Only members that the algorithm put there itself count, so that nothing joins by
    way of what has joined.

    Args:
        block: what was clustered.
        labels: (n,) clusters from 0 without gaps, -1 for noise.
        settings: the outlier policy, and the window.
    """
    offers = no_offers(len(labels))
    noise = np.flatnonzero(labels < 0)
    asked = settings.outliers.policy in ("nearest", "target")
    if not asked or len(noise) in (0, len(labels)):
        return offers
    offers.node[noise], offers.similarity[noise] = by_vote(block, labels, noise)
    rest = noise[offers.node[noise] < 0]
    if len(rest) and settings.temporal.window_days is None:
        offers.node[rest], offers.similarity[rest] = _by_centroid(block, labels, rest)
    return offers


def by_vote(block: Block, labels: I32, noise: I64) -> tuple[I32, F32]:
    """Let up to five neighbours of some rows of a block, (m,), vote by their similarity.

    Args:
        block: whose `ids` are rows of `labels`.
        labels: (n,) clusters, negative for none.
        noise: the rows.

    Returns:
        (m,) the nearest voter of the winning cluster, -1 for none, and its similarity.
    """
    ids = block.ids[noise]
    likeness = np.where((ids >= 0) & (labels[ids] >= 0), block.similarity[noise], -np.inf)
    order = np.argsort(-likeness, axis=1, kind="stable")[:, :VOTERS]
    voter, likeness = np.take_along_axis(ids, order, 1), np.take_along_axis(likeness, order, 1)
    votes = np.isfinite(likeness)
    cluster = np.where(votes, labels[voter], -1)
    same = (cluster[:, :, None] == cluster[:, None, :]) & votes[:, None, :]
    total = (same * np.maximum(likeness, 0)[:, None, :]).sum(axis=2)
    # the nearest voter of the winning cluster; of equal clusters that of the nearest voter
    first = np.argmax(np.where(votes, total, -1), axis=1)
    at = np.arange(len(noise))
    node = np.where(votes[at, first], voter[at, first], -1)
    return node.astype(np.int32), likeness[at, first].astype(np.float32)


def _by_centroid(block: Block, labels: I32, rows: I64) -> tuple[I32, F32]:
    centroids = unit_means(block.vectors, block.weight, labels, int(labels.max()) + 1)
    nearest = nearest_centroids(block.vectors[rows], centroids)
    members = np.flatnonzero(labels >= 0).astype(np.int32)
    first = members[np.unique(labels[members], return_index=True)[1]]
    return first[nearest.ids[:, 0]], nearest.similarity[:, 0]


@dataclass(frozen=True)
class Treated:
    """Nodes after the policy.

    Attributes:
        labels: (n,) int32 clusters, negative for none.
        probabilities: (n,) float32.
    """

    labels: I32
    probabilities: F32


def treat(
    labels: I32, probabilities: F32, offers: Offers, weight: I32, settings: OutlierSettings
) -> Treated:
    """Let noise nodes join clusters, as the policy says; nothing joins without any similarity.

    Their probability is their similarity, but at most 0.5.

    Args:
        labels: (n,) clusters of all nodes of the level; only those that are -1 may join.
        probabilities: (n,) of membership.
        offers: to these nodes.
        weight: (n,) items per node.
        settings: the policy.
    """
    offered = np.where(offers.node >= 0, labels[offers.node], -1)
    able = (labels == NOISE) & (offered >= 0) & (offers.similarity > 0)
    joins = np.zeros(len(labels), dtype=bool)
    if settings.policy == "nearest":
        joins = able & (offers.similarity >= np.float32(settings.threshold))
    elif settings.policy == "target" and settings.target_share is not None:
        outliers = int(weight[labels == NOISE].sum())
        most = settings.target_share * int(weight.sum())
        joins = _until(able, offers.similarity, weight, outliers, most)
    likeness = np.minimum(offers.similarity, MOST_PROBABLE)
    return Treated(
        np.where(joins, offered, labels).astype(np.int32), np.where(joins, likeness, probabilities)
    )


def _until(able: Mask, similarity: F32, weight: I32, outliers: int, most: float) -> Mask:
    """Let the most similar join until few enough are left; equally similar ones join together."""
    nodes = np.flatnonzero(able)
    nodes = nodes[np.argsort(-similarity[nodes], kind="stable")]
    left = outliers - np.concatenate([[0], np.cumsum(weight[nodes])])
    enough = np.flatnonzero(left <= most)
    if not len(enough):
        log.warning("outliers.target_share is out of reach", outliers=int(left[-1]), most=most)
        return able
    if enough[0] == 0:
        return np.zeros(len(able), dtype=bool)
    return np.asarray(able & (similarity >= similarity[nodes[enough[0] - 1]]))


def assignment(core: I32, labels: I32, settings: OutlierSettings) -> "pd.Series[str]":
    """Say how each item came to where it is: `core`, `nearest`, `individual`, or null.

    Args:
        core: (n,) clusters of the algorithm, negative for none.
        labels: (n,) clusters after the policy.
        settings: the policy.
    """
    alone = "individual" if settings.policy == "individual" else ""
    kinds = np.select([core >= 0, labels >= 0, labels == NOISE], ["core", "nearest", alone], "")
    return pd.Series(kinds, dtype="str").where(kinds != "")


def enter_similarity(
    similarity: F32, vectors: VectorFile, core: I32, labels: I32, sums: ClusterSums
) -> None:
    """Enter the cosine of each item that joined to the centroid of its cluster's core.

    Args:
        similarity: (n,) of the items, written where they joined.
        vectors: of the items.
        core: (n,) clusters of the algorithm.
        labels: (n,) clusters after the policy.
        sums: of the core.
    """
    joined = np.flatnonzero((core < 0) & (labels >= 0))
    lengths = np.sqrt(sums.squares)
    for start in range(0, len(joined), _ROWS):
        rows = joined[start : start + _ROWS]
        products = row_products(vectors.take(rows), labels[rows], sums)
        similarity[rows] = np.clip(products / lengths[labels[rows]], -1, 1)
