"""Spherical k-means (Dhillon and Modha 2001), in full or by mini-batches (Sculley 2010).

The same centroids whatever the order of the rows, the number of threads and the processor: rows are
taken in an order of their own (`shuffle`), seeds are drawn by exact sums (`exact`), the nearest
centroid is decided in a written order (`nearest_centroids`), and so are all sums taken.
"""

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.centroids import multiply_rows
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.exact import COARSE, coarse
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.engine.shuffle import shuffled

_SEED = 20_260_301
_ROWS = 65_536
_ROUNDS = 25  # real collections settle in 5 to 15
# Seeds are most of the quality. B-cubed F1 on four real collections, k as in gold: random rows .71
# to .79, k-means++ .74 to .87, the best of five draws at each step .77 to .88. More draws, or more
# than four rows to choose from for each seed, gain nothing.
_DRAWS = 5
_ROWS_PER_SEED = 4
# The tightest of so many: it gains .005, .004, .021 and -.002 on those collections.
_STARTS = 3
_LEAST_SEED_ROWS = 4096
_LEAST_BATCH = 8192
# FAISS's own rule for how many rows a centroid needs to settle.
_ROWS_PER_CENTROID = 256
_MOST_PASSES = 4


def kmeans(vectors: Vectors, weights: I32, k: int, mini_batch_above: int) -> F32:
    """Find the centroids of k clusters.

    Args:
        vectors: (n, d) unit vectors.
        weights: (n,) items per node.
        k: number of clusters; no more than n are found.
        mini_batch_above: with more nodes, each round moves the centroids by a part of them.

    Returns:
        (min(k, n), d) unit vectors.
    """
    k = min(k, len(vectors))
    order = shuffled(vectors)
    if not k:
        return gather(vectors, order)
    first = order[: max(_ROWS_PER_SEED * k, _LEAST_SEED_ROWS)]
    choice = gather(vectors, first)
    if len(vectors) > mini_batch_above:
        start = choice[seeds(choice, weights[first], k)]
        return _by_mini_batches(vectors, weights, order, start)
    rows, counts = gather(vectors, order), weights[order]
    starts = (choice[seeds(choice, weights[first], k, start)] for start in range(_STARTS))
    found = [refine(rows, counts, start, _ROUNDS) for start in starts]
    return found[int(np.argmin([inertia(rows, counts, centroids) for centroids in found]))]


def inertia(vectors: F32, weights: I32, centroids: F32) -> float:
    """Items times cosine distance to their nearest centroid, summed."""
    similarity = nearest_centroids(vectors, centroids).similarity[:, 0].astype(np.float64)
    return float(((1 - similarity) * weights).sum())


def gather(vectors: Vectors, rows: I64) -> F32:
    """Copy rows: (len(rows), d) float32."""
    return np.ascontiguousarray(vectors[rows], dtype=np.float32)


def seeds(vectors: F32, weights: I32, k: int, start: int = 0) -> I64:
    """Choose k different rows by greedy k-means++ (Arthur and Vassilvitskii 2007).

    Each is the best of some that are drawn with the chances of their squared distance to the
    nearest one chosen before. The first j of k seeds are those that j would have had.

    Args:
        vectors: (n, d) unit vectors.
        weights: (n,) items per node.
        k: at most n.
        start: another one, another choice.
    """
    draws = np.random.Generator(np.random.PCG64(_SEED + start)).random((k, _DRAWS))
    # Each product is small: threads would wait for each other (16 to 48 ms instead of 3 on a busy
    # machine).
    with threadpool_limits(1, user_api="blas"):
        return _spread(coarse(vectors), weights.astype(np.float64), draws)


def _spread(whole: F32, weights: F64, draws: F64) -> I64:
    apart = np.full(len(whole), COARSE**2)  # whole numbers: no sum of them is rounded
    chosen: list[int] = []
    for draw in draws:
        ladder = np.cumsum(apart * weights)
        if ladder[-1] == 0:
            rest = np.setdiff1d(np.arange(len(whole)), chosen)
            return np.array([*chosen, *rest[: len(draws) - len(chosen)]], dtype=np.int64)
        drawn = np.searchsorted(ladder, draw * ladder[-1], side="right")
        left = np.minimum(apart, np.maximum(COARSE**2 - whole[drawn] @ whole.T, 0))
        best = int(np.argmin(left @ weights))
        chosen.append(int(drawn[best]))
        apart = left[best]
        apart[chosen[-1]] = 0
    return np.array(chosen, dtype=np.int64)


def lloyd(
    centroids: F32,
    max_rounds: int,
    nearest: Callable[[F32], I32],
    means: Callable[[I32, F32], F32],
) -> F32:
    """Move centroids to the means of their clusters until no row changes sides (Lloyd 1982).

    Args:
        centroids: (k, d) to begin with.
        max_rounds: number of moves after which it ends anyway.
        nearest: takes centroids and returns the cluster of each row, (n,).
        means: takes these clusters and the same centroids, from which it places those of clusters
            without rows; returns the new centroids, (k, d).
    """
    labels = None
    for _ in range(max_rounds):
        now = nearest(centroids)
        if labels is not None and np.array_equal(labels, now):
            break
        labels, centroids = now, means(now, centroids)
    return centroids


def refine(vectors: F32, weights: I32, centroids: F32, max_rounds: int) -> F32:
    """Run Lloyd's rounds with exact decisions and sums in float64.

    A centroid without rows moves to the row that is farthest from its own.

    Args:
        vectors: (n, d) unit vectors, in an order that does not depend on the input's.
        weights: (n,) items per node.
        centroids: (k, d) to begin with, k at most n.
        max_rounds: number of moves after which it ends anyway.
    """
    return lloyd(
        centroids,
        max_rounds,
        lambda now: nearest_centroids(vectors, now).ids[:, 0].copy(),
        lambda labels, now: _means_or_farthest(vectors, weights, labels, now),
    )


def _means_or_farthest(vectors: F32, weights: I32, labels: I32, centroids: F32) -> F32:
    sums = np.zeros(centroids.shape)
    add(vectors, weights, labels, sums)
    empty = np.flatnonzero(np.bincount(labels, minlength=len(centroids)) == 0)
    similarity = np.empty(len(vectors))
    multiply_rows(vectors, labels, centroids, similarity)
    farthest = np.argsort(similarity, kind="stable")
    sums[empty] = vectors[farthest[: len(empty)]]
    return _unit(sums)


def _by_mini_batches(vectors: Vectors, weights: I32, order: I64, centroids: F32) -> F32:
    """Let each batch move its nearest centroids, by less the more rows they have seen."""
    n, k = len(vectors), len(centroids)
    size = max(_LEAST_BATCH, 2 * k)
    sums = centroids.astype(np.float64)
    for start in range(0, min(_ROWS_PER_CENTROID * k, _MOST_PASSES * n), size):
        rows = order[np.arange(start, start + size) % n]
        batch = gather(vectors, rows)
        labels = nearest_centroids(batch, centroids).ids[:, 0].copy()
        add(batch, weights[rows], labels, sums)
        centroids = _unit(sums)
    return centroids


def unit_means(vectors: Vectors, weights: I32, labels: I32, count: int) -> F32:
    """Means of clusters, L2-normalised: (count, d).

    Args:
        vectors: (n, d), read in slices of rows.
        weights: (n,) items per node.
        labels: (n,) clusters from 0, negative for none.
        count: their number.
    """
    sums = np.zeros((count, vectors[:1].shape[1]))
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        block = np.ascontiguousarray(vectors[rows], dtype=np.float32)
        add(block, weights[rows], labels[rows], sums)
    return _unit(sums)


def _unit(sums: F64) -> F32:
    centroids = np.empty(sums.shape, dtype=np.float32)
    normalise(sums, centroids)
    return centroids


@kernel
def add(vectors: F32, weights: I32, labels: I32, sums: F64) -> None:
    """Add each row, times its weight, to the sum of its cluster, if it is in one."""
    for i in range(len(labels)):
        if labels[i] < 0:
            continue
        for c in range(vectors.shape[1]):
            sums[labels[i], c] += np.float64(vectors[i, c]) * weights[i]


@kernel
def normalise(sums: F64, centroids: F32) -> None:
    """Write the sums at length 1."""
    for i in range(len(sums)):
        square = 0.0
        for value in sums[i]:
            square += value * value
        length = max(np.sqrt(square), 1e-12)
        for c in range(sums.shape[1]):
            centroids[i, c] = sums[i, c] / length
