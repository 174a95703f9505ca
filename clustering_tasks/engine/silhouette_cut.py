"""Choosing where to cut a hierarchy, without gold: the highest simplified silhouette."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.decay import TIMELESS, Decay, GroupedDecay, decayed
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.engine.products import dot

LEAST, MOST, STEP = 0.08, 0.86, 0.02
# Cuts whose silhouettes differ by less are as good; the finest of them splits what is in doubt.
_TOLERANCE = 0.002
# Where the silhouette says nothing (all items one story, or none), the best fixed cut of many real
# collections.
FALLBACK = 0.6
_SAMPLE = 1000
_FEW = 1024


@dataclass(frozen=True)
class Cut:
    """The cut that was chosen.

    Attributes:
        labels: (n,) int32 from 0, clusters of one included.
        similarity: mean similarity at which merging stopped.
        silhouette: mean simplified silhouette there, None where no cut had a positive one.
    """

    labels: I32
    similarity: float
    silhouette: float | None


@dataclass(frozen=True)
class Grouping:
    """Clusters of all nodes, and their sums.

    Attributes:
        labels: (n,) int32 from 0.
        sums: (c, d) sum of each cluster's vectors, times their weights.
        sizes: (c,) items.
    """

    labels: I32
    sums: F32
    sizes: F32

    def coarser(self, labels: I32) -> "Grouping":
        """Group whole clusters anew: the sums are of sums, not of all nodes."""
        into = np.empty(len(self.sums), dtype=np.int32)
        into[self.labels] = labels
        return replace(
            grouped(into, self.sums, np.ones(len(into), np.int32), self.sizes), labels=labels
        )


def grouped(labels: I32, vectors: F32, weights: I32, sizes: F32) -> Grouping:
    """Add up the vectors of each cluster.

    Args:
        labels: (n,) from 0.
        vectors: (n, d).
        weights: (n,) factors of the vectors.
        sizes: (n,) items that each stands for.
    """
    count = int(labels.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    add_up(vectors, labels, weights, sums)
    return Grouping(labels, sums, np.bincount(labels, sizes, minlength=count).astype(np.float32))


def choose_cut(
    linkage: Linkage,
    vectors: F32,
    ids: I32,
    weights: I32,
    cuts: F64 | None = None,
    decay: Decay = TIMELESS,
) -> Cut:
    """Cut a hierarchy where the mean simplified silhouette (Hruschka 2004) is highest.

    A node's silhouette compares its cosine to its own cluster's centroid with the highest to
    another's; it is 0 in a cluster of one. It counts by the node's items over the fourth root of
    its cluster's size. If items counted alike, the parts of one giant story would decide where all
    stories are cut; if clusters did, pairs would. The fourth and the second root differ by .001 of
    mean B-cubed F1 over 40 kinds of variants (docs/ALGORITHMS.md).

    Args:
        linkage: of n nodes.
        vectors: (n, d) the unit vectors that it was grown on.
        ids: (n, k) their neighbours.
        weights: (n,) items per node.
        cuts: similarities to try, highest first; default: from MOST to LEAST in steps of STEP.
        decay: that it was grown with.
    """
    n = len(vectors)
    if cuts is None:
        cuts = np.arange(MOST, LEAST - STEP / 2, -STEP)
    scores = np.array(list(_scores(linkage, cuts, vectors, ids, weights, decay)))
    if scores.max() <= 0:
        return Cut(linkage.cut(n, FALLBACK), FALLBACK, None)
    at = finest_best(scores)
    return Cut(linkage.cut(n, cuts[at]), float(cuts[at]), float(scores[at]))


def finest_best(scores: F64) -> int:
    """Return the first of the scores, of cuts from the finest on, that are as good as the best."""
    return int(np.argmax(scores >= scores.max() - _TOLERANCE))


def sampled(n: int) -> I64:
    """Evenly spaced ones of n nodes, whose silhouettes stand for all."""
    return np.arange(0, n, max(n // _SAMPLE, 1))


def _scores(
    linkage: Linkage,
    cuts: F64,
    vectors: F32,
    ids: I32,
    weights: I32,
    decay: Decay,
) -> Iterator[float]:
    """Score the cuts, finest first: every one joins clusters of the one before."""
    n = len(vectors)
    sample = sampled(n)
    parent = np.arange(n, dtype=np.int32)
    grouping: Grouping | None = None
    score, done = 0.0, -1
    for cut in cuts:
        before, done = done, linkage.merges(cut)
        if done != before:
            join(parent, linkage.first, linkage.second, max(before, 0), done)
            labels = number(parent)
            if grouping is None:
                grouping = grouped(labels, vectors, weights, weights.astype(np.float32))
            else:
                grouping = grouping.coarser(labels)
            score = mean_silhouette(
                grouping, vectors, ids, weights, sample, decay, size_damped=True
            )
        yield score


@kernel
def join(parent: I32, first: I32, second: I32, start: int, stop: int) -> None:
    """Do the merges from `start` up to `stop` in a forest whose roots are the lowest nodes."""
    for merge in range(start, stop):
        a, b = find(parent, first[merge]), find(parent, second[merge])
        parent[max(a, b)] = min(a, b)


@kernel
def number(parent: I32) -> I32:
    """Number the trees of a forest whose roots are the lowest nodes: (n,) int32 from 0."""
    labels = np.empty(len(parent), np.int32)
    count = 0
    for node in range(len(parent)):
        root = find(parent, node)
        if root == node:
            labels[node] = count
            count += 1
        else:
            labels[node] = labels[root]
    return labels


def ward_cuts(linkage: Linkage) -> F64:
    """Where to try cutting a tree of Ward's: its distances grow with the clusters, without end.

    Returns:
        as many similarities as other trees are tried at, highest first: the distances are in equal
        proportions from that of MOST to the last merge's.
    """
    lowest = float(linkage.similarity.min(initial=MOST))
    count = round((MOST - LEAST) / STEP) + 1
    return np.asarray(1 - np.geomspace(1 - MOST, 1 - lowest, count))


def mean_silhouette(
    grouping: Grouping,
    vectors: F32,
    ids: I32,
    weights: I32,
    sample: I64,
    decay: Decay = TIMELESS,
    *,
    size_damped: bool = False,
) -> float:
    """Mean simplified silhouette of a sample of nodes, 0 with fewer than two clusters.

    With decay, the cosine to a node's own centroid decays with the days from its cluster's mean
    time, one to another's with the days from that cluster's span, as in the tree. A hull would hide
    how far a node's own cluster is spread: the cut would come out too low.

    Args:
        grouping: of all nodes.
        vectors: (n, d) unit vectors.
        ids: (n, k) their neighbours.
        weights: (n,) items per node.
        sample: (m,) nodes that stand for all.
        decay: of similarity in time.
        size_damped: whether a node counts by its items over the fourth root of its cluster's size,
            else by its items.
    """
    if len(grouping.sums) < 2:
        return 0.0
    lengths = np.empty(len(grouping.sums), dtype=np.float32)
    norms(grouping.sums, lengths)
    own, other = np.empty((2, len(sample)), dtype=np.float32)
    times = decay.of_groups(grouping.labels, weights)
    nearest_linked(grouping.labels, vectors, ids, sample, grouping.sums, lengths, times, own, other)
    if len(lengths) <= _FEW:
        other = _nearest_other(grouping, vectors, sample, lengths, times)
    widths = (own - other) / np.maximum(np.maximum(1 - own, 1 - other), np.float32(1e-9))
    sizes = grouping.sizes[grouping.labels[sample]]
    widths[sizes == 1] = 0
    counts = weights[sample] / np.sqrt(np.sqrt(sizes)) if size_damped else weights[sample]
    return float(np.average(widths, weights=counts))


def _nearest_other(
    grouping: Grouping, vectors: F32, sample: I64, lengths: F32, times: GroupedDecay
) -> F32:
    """Highest cosine to another cluster's centroid, over all of them.

    Among many clusters they are small, and the nearest is one of those that a node's neighbours are
    in; few are all compared.
    """
    products = vectors[sample] @ grouping.sums.T
    products /= lengths
    if times.rate:
        decay_products(products, sample, times)
    products[np.arange(len(sample)), grouping.labels[sample]] = -1
    highest: F32 = products.max(axis=1)
    return highest


@kernel
def norms(vectors: F32, lengths: F32) -> None:
    """Write the length of each vector, at least 1e-12."""
    for i in range(len(vectors)):
        lengths[i] = max(np.sqrt(dot(vectors[i], vectors[i])), np.float32(1e-12))


@kernel
def nearest_linked(
    labels: I32,
    vectors: F32,
    ids: I32,
    sample: I64,
    sums: F32,
    lengths: F32,
    times: GroupedDecay,
    own: F32,
    other: F32,
) -> None:
    """Write each node's cosine to its centroid, and the highest to a neighbour's, 0 for none."""
    for s in range(len(sample)):
        i = sample[s]
        own[s] = dot(vectors[i], sums[labels[i]]) / lengths[labels[i]]
        if times.rate > 0:
            own[s] = decayed(own[s], times.spans[i], times.means[labels[i]], times.rate)
        other[s] = 0
        for j in range(ids.shape[1]):
            if ids[i, j] >= 0 and labels[ids[i, j]] != labels[i]:
                label = labels[ids[i, j]]
                cosine = dot(vectors[i], sums[label]) / lengths[label]
                if times.rate > 0:
                    cosine = decayed(cosine, times.spans[i], times.hulls[label], times.rate)
                other[s] = max(other[s], cosine)


@kernel
def decay_products(products: F32, sample: I64, times: GroupedDecay) -> None:
    """Decay the cosines of a sample of nodes to clusters: (s, c)."""
    for s in range(len(sample)):
        for label in range(len(times.hulls)):
            products[s, label] = decayed(
                products[s, label], times.spans[sample[s]], times.hulls[label], times.rate
            )


@kernel
def add_up(vectors: F32, labels: I32, weights: I32, sums: F32) -> None:
    """Add each node's vector, times its weight, to its cluster's sum."""
    for i in range(len(labels)):
        sums[labels[i]] += vectors[i] * weights[i]
