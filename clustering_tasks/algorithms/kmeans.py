"""Spherical k-means on smoothed vectors."""

import numpy as np

from clustering_tasks.algorithms.interface import Block, FlatClustering, numbered
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine import kmeans as engine
from clustering_tasks.engine.cluster_count import estimate
from clustering_tasks.engine.nearest_centroids import Nearest, nearest_centroids
from clustering_tasks.engine.smoothing import smooth
from clustering_tasks.engine.time_gaps import find_gaps, split_at_gaps
from clustering_tasks.engine.trimming import trim_small
from clustering_tasks.settings.run import RunSettings

# Cosine distances below are rounding: the vectors are the same.
_SAME = np.float32(1e-6)


def kmeans(block: Block, settings: RunSettings, _method: Method) -> FlatClustering:
    """Give each node to its nearest centroid, and take out what is hardly similar there.

    The tree holds the centroids, in the space of the smoothed vectors: a column for each cluster,
    in the order of their numbers.
    """
    own = settings.kmeans
    smoothed = smooth(np.asarray(block.vectors), block.ids, block.distances, block.weight)
    facts: dict[str, float | None] = {"k": own.k, "k_silhouette": None}
    if own.k is None:
        best = estimate(smoothed, block.weight, own.estimate)
        facts = {"k": best.k, "k_silhouette": best.silhouette if best.k > 1 else None}
    k = int(facts["k"] or 1)
    centroids = engine.kmeans(smoothed, block.weight, k, own.mini_batch_above)
    nearest = nearest_centroids(smoothed, centroids)
    found = nearest.ids[:, 0].copy()
    kept = trim_small(found, block.vectors, block.weight, own.trim_size, own.trim_similarity)
    labels = _within_window(numbered(_related(kept, block), block.weight), block, settings)
    return FlatClustering(
        labels=labels,
        probabilities=np.where(labels >= 0, confidence(nearest), 0).astype(np.float32),
        outlier_scores=np.full(len(labels), np.nan, dtype=np.float32),
        tree={"centroids": centroids[_centroid_of_each(labels, found)].T},
        facts=facts,
    )


def confidence(nearest: Nearest) -> F32:
    """Membership by the distances a and b to the nearest and the second nearest centroid.

    b^2 / (a^2 + b^2): that of fuzzy c-means (Bezdek 1981, m = 2) between these two. From 0.5, half
    way between them, to 1, on the centroid; a single centroid is compared with its opposite.

    Returns:
        (n,) float32.
    """
    apart = 1 - nearest.similarity  # half the squared distance
    apart[apart < _SAME] = 0
    total = apart.sum(axis=1)
    share = np.divide(apart[:, 1], total, out=np.full_like(total, 0.5), where=total > 0)
    return np.asarray(share)


def _related(labels: I32, block: Block) -> I32:
    """Dissolve clusters whose members are on average no more alike than unrelated vectors.

    Their sum is no longer than the root of their number: k-means divides even what has nothing in
    common.
    """
    members = np.flatnonzero(labels >= 0)
    vectors, own = block.vectors[members], labels[members]
    sums = np.zeros((int(labels.max(initial=-1)) + 1, vectors.shape[1]))
    engine.add(vectors, block.weight[members], own, sums)
    sizes = np.bincount(own, block.weight[members], minlength=len(sums))
    related = np.append(np.square(sums).sum(axis=1) > sizes * (1 + _SAME), False)
    return np.where(related[labels], labels, -1).astype(np.int32)


def _within_window(labels: I32, block: Block, settings: RunSettings) -> I32:
    """Split clusters where no two items are within the window: k-means knows no links (TM-2)."""
    days = settings.temporal.window_days
    if days is None or block.span is None:
        return labels
    gaps = find_gaps(labels, block.span, days)
    return split_at_gaps(labels, gaps, block.ids, block.weight, days)


def _centroid_of_each(labels: I32, found: I32) -> I32:
    """Return the centroid of each cluster that is left."""
    clustered = np.flatnonzero(labels >= 0)
    return found[clustered[np.unique(labels[clustered], return_index=True)[1]]]
