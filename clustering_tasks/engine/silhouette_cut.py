"""Choosing where to cut a hierarchy, without gold: the highest simplified silhouette."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.engine.products import dot

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

LEAST, MOST, STEP = 0.08, 0.86, 0.02
# Cuts whose silhouettes differ by less are as good; the finest of them splits what is in doubt.
TOLERANCE = 0.002
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

    labels: Ints
    similarity: float
    silhouette: float | None


def choose_cut(linkage: Linkage, vectors: Floats, ids: Ints, weights: Ints) -> Cut:
    """Cut a hierarchy where the mean simplified silhouette (Hruschka 2004) is highest.

    A node's silhouette compares its cosine to its own cluster's centroid with the highest to
    another's; it is 0 in a cluster of one.

    Args:
        linkage: of n nodes.
        vectors: (n, d) the unit vectors that it was grown on.
        ids: (n, k) their neighbours.
        weights: (n,) items per node.
    """
    n = len(vectors)
    step = max(n // _SAMPLE, 1)
    sample = np.arange(0, n, step)
    cuts = np.arange(MOST, LEAST - STEP / 2, -STEP)
    scores = np.array(
        [mean_silhouette(linkage.cut(n, cut), vectors, ids, weights, sample) for cut in cuts]
    )
    if scores.max() <= 0:
        return Cut(linkage.cut(n, FALLBACK), FALLBACK, None)
    at = int(np.argmax(scores >= scores.max() - TOLERANCE))
    return Cut(linkage.cut(n, cuts[at]), float(cuts[at]), float(scores[at]))


def mean_silhouette(
    labels: Ints, vectors: Floats, ids: Ints, weights: Ints, sample: npt.NDArray[np.int64]
) -> float:
    """Mean simplified silhouette of a sample of nodes, 0 with fewer than two clusters."""
    count = int(labels.max(initial=-1)) + 1
    if count < 2:
        return 0.0
    centroids, sizes = unit_sums(vectors, labels, weights, count)
    own = np.einsum("ij,ij->i", vectors[sample], centroids[labels[sample]])
    other = _nearest_other(labels, vectors, ids, sample, centroids)
    widths = (own - other) / np.maximum(np.maximum(1 - own, 1 - other), np.float32(1e-9))
    widths[sizes[labels[sample]] == 1] = 0
    return float(np.average(widths, weights=weights[sample]))


def _nearest_other(
    labels: Ints,
    vectors: Floats,
    ids: Ints,
    sample: npt.NDArray[np.int64],
    centroids: Floats,
) -> Floats:
    """Highest cosine to another cluster's centroid.

    Few clusters are all compared. Among many they are small, and the nearest is one of those that
    a node's neighbours are in.
    """
    if len(centroids) > _FEW:
        other = np.zeros(len(sample), np.float32)
        nearest_linked(labels, vectors, ids, sample, centroids, other)
        return other
    products = vectors[sample] @ centroids.T
    products[np.arange(len(sample)), labels[sample]] = -1
    highest: Floats = products.max(axis=1)
    return highest


@kernel
def nearest_linked(
    labels: Ints,
    vectors: Floats,
    ids: Ints,
    sample: npt.NDArray[np.int64],
    centroids: Floats,
    other: Floats,
) -> None:
    """Write each node's highest cosine to the centroid of a neighbour's cluster, 0 for none."""
    for s in range(len(sample)):
        i = sample[s]
        for j in range(ids.shape[1]):
            if ids[i, j] >= 0 and labels[ids[i, j]] != labels[i]:
                other[s] = max(other[s], dot(vectors[i], centroids[labels[ids[i, j]]]))


def unit_sums(
    vectors: Floats, labels: Ints, weights: Ints, count: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Centroids (count, d), L2-normalised, and sizes (count,) in items."""
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    add_up(vectors, labels, weights, sums)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sizes = np.bincount(labels, weights, minlength=count).astype(np.int64)
    return sums / np.maximum(lengths, np.float32(1e-12)), sizes


@kernel
def add_up(vectors: Floats, labels: Ints, weights: Ints, sums: Floats) -> None:
    """Add each node's vector, times its weight, to its cluster's sum."""
    for i in range(len(labels)):
        sums[labels[i]] += vectors[i] * weights[i]


def trim_small(labels: Ints, vectors: Floats, weights: Ints, largest: int, least: float) -> Ints:
    """Take out of small clusters the members that are hardly similar to the others.

    A cluster of a few has little evidence for any one member; the silhouette does not see it.

    Args:
        labels: (n,) from 0.
        vectors: (n, d) unit vectors, not smoothed.
        weights: (n,) items per node.
        largest: clusters of more items are left alone.
        least: mean similarity to the other members below which one is taken out.

    Returns:
        (n,) int32, those taken out -1.
    """
    count = int(labels.max(initial=-1)) + 1
    sums = np.zeros((count, vectors.shape[1]), np.float32)
    add_up(vectors, labels, weights, sums)
    sizes = np.bincount(labels, weights, minlength=count)
    to_all = np.einsum("ij,ij->i", vectors, sums[labels])
    to_others = (to_all - 1) / np.maximum(sizes[labels] - 1, 1)
    loose = (sizes[labels] <= largest) & (to_others < least)
    return np.where(loose, -1, labels).astype(np.int32)
