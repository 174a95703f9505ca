"""Tags of clusters, and the members that they apply to.

A cluster's tag has as its confidence the share of the members that bear it, weighted by their
membership probabilities. At a member the confidence is that times the member's probability.
"""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F64, I64, Mask
from clustering_tasks.settings.groups.meaning import TagSettings
from clustering_tasks.steps.tag.sources import Pairs, among

DECIMALS = 6  # of a record's probabilities, so that a reader of records gets the same numbers


@dataclass(frozen=True)
class Clustering:
    """The memberships of n items.

    Attributes:
        labels: (n,) number of each item's cluster, negative for none.
        probabilities: (n,) of membership.
        clusters: their number.
    """

    labels: I64
    probabilities: F64
    clusters: int


@dataclass(frozen=True)
class ClusterTags:
    """Tags of clusters, cluster by cluster, each cluster's surest first.

    Attributes:
        clusters: (k,) numbers.
        tags: (k,) numbers.
        confidence: (k,) 0 to 1.
        members: (k,) how many members bear the tag themselves.
    """

    clusters: I64
    tags: I64
    confidence: F64
    members: I64

    def __len__(self) -> int:
        return len(self.clusters)

    def where(self, some: Mask | I64) -> "ClusterTags":
        """Return some of them."""
        return ClusterTags(
            self.clusters[some], self.tags[some], self.confidence[some], self.members[some]
        )


@dataclass(frozen=True)
class Applied:
    """What members get from their clusters.

    Attributes:
        pairs: members and tags, in the order of `of`.
        confidence: (m,) 0 to 1.
        of: (m,) row of the cluster's tag in `ClusterTags`.
        conflicts: (k,) members of each cluster's tag that bear others of its category alone.
    """

    pairs: Pairs
    confidence: F64
    of: I64
    conflicts: I64


def tag_clusters(
    borne: Pairs, clustering: Clustering, count: int, settings: TagSettings
) -> ClusterTags:
    """Give clusters the tags that enough of their members bear.

    Args:
        borne: what items bear.
        clustering: the items' memberships.
        count: number of tags.
        settings: the least confidence, and how many tags a cluster gets.
    """
    labels, weight = clustering.labels, clustering.probabilities
    inside = labels >= 0
    total = np.bincount(labels[inside], weight[inside], clustering.clusters)
    borne = borne.where(inside[borne.rows])
    keys, at = np.unique(labels[borne.rows] * max(count, 1) + borne.tags, return_inverse=True)
    clusters, tags = np.divmod(keys, max(count, 1))
    having = np.bincount(at, weight[borne.rows], len(keys))
    share = np.zeros(len(keys))
    np.divide(having, total[clusters], out=share, where=total[clusters] > 0)
    share = np.round(share, DECIMALS)
    found = ClusterTags(clusters, tags, share, np.bincount(at, minlength=len(keys)))
    return _surest(found.where(found.confidence >= settings.min_confidence), settings.count)


def _surest(found: ClusterTags, most: int) -> ClusterTags:
    """Keep the surest tags of each cluster; of equally sure ones the first by name."""
    found = found.where(np.lexsort((found.tags, -found.confidence, found.clusters)))
    first = np.searchsorted(found.clusters, found.clusters)
    return found.where(np.arange(len(found)) - first < most)


def apply_tags(
    found: ClusterTags, borne: Pairs, clustering: Clustering, exclusive: I64, threshold: float
) -> Applied:
    """Apply tags of clusters to members that do not bear them.

    A member that bears tags of the same category, and none of its cluster's, keeps its own: that is
    a conflict.

    Args:
        found: the clusters' tags.
        borne: what items bear.
        clustering: the items' memberships.
        exclusive: (t,) category of each tag, -1 where tags do not exclude each other.
        threshold: least confidence at a member.
    """
    count = len(exclusive)
    offered, of = _offers(found, clustering, threshold)
    confidence = np.round(found.confidence[of] * clustering.probabilities[offered.rows], DECIMALS)
    bears = among(offered, borne, count)
    sure = confidence >= threshold
    opposed = sure & ~bears & _oppose(offered, borne, offered.where(bears), exclusive)
    applied = sure & ~bears & ~opposed
    return Applied(
        offered.where(applied),
        confidence[applied],
        of[applied],
        np.bincount(of[opposed], minlength=len(found)),
    )


def _offers(found: ClusterTags, clustering: Clustering, threshold: float) -> tuple[Pairs, I64]:
    """Pair all members of clusters with their tags; of tags that are sure enough at a sure member.

    Returns:
        (m) pairs, and the row of each in `found`.
    """
    order = np.argsort(clustering.labels, kind="stable")
    bounds = np.searchsorted(clustering.labels[order], np.arange(clustering.clusters + 1))
    able = np.flatnonzero(found.confidence >= threshold)
    first, last = (bounds[found.clusters[able] + end] for end in (0, 1))
    sizes = last - first
    of = np.repeat(able, sizes)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Pairs(order[np.repeat(first, sizes) + within], found.tags[of]), of


def _oppose(offered: Pairs, borne: Pairs, agreed: Pairs, exclusive: I64) -> Mask:
    """Tell which offers are for members with tags of the category, none of which is offered, (m,).

    Args:
        offered: members and tags of their clusters.
        borne: what items bear.
        agreed: offers of what members bear.
        exclusive: (t,) category of each tag, -1 for none.
    """
    categories = int(exclusive.max(initial=-1)) + 1

    def keys(pairs: Pairs) -> I64:
        category = exclusive[pairs.tags]
        return np.where(category >= 0, pairs.rows * categories + category, -1)

    mine = keys(offered)
    has, agrees = (np.isin(mine, keys(each), kind="sort") for each in (borne, agreed))
    return np.asarray((mine >= 0) & has & ~agrees)
