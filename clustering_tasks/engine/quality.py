"""Quality without gold, on the vectors as they are. What is undefined is None, never a number.

Comparing every item with every cluster takes minutes for a million items in 20,000 clusters. Small
levels are measured exactly; of large ones a sample is, and the standard error says how far off it
may be. The nearest cluster is found by products in float32; what is reported of it is computed
again in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.centroids import (
    Blocks,
    ClusterSums,
    narrow_quotients,
    row_products,
)

# Pairs that are compared: half a second on two cores, whatever the level's size.
ITEM_PAIRS = 1 << 25
CLUSTER_PAIRS = 1 << 24
# Bounds of the samples; silhouette widths spread by about 0.2, so 512 give an error of 0.01.
_MOST_ITEMS, _LEAST_ITEMS, _LEAST_CLUSTERS = 16_384, 512, 256
_ROWS, _COLUMNS = 2048, 8192
# Squared distance below which two means are the same: they are means of float32 rows.
_SAME = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error, which is 0 where nothing was left out."""

    value: float
    error: float


@dataclass(frozen=True)
class Fit:
    """How the clustered rows lie to their own clusters, found in one pass over all vectors.

    Attributes:
        products: (n,) each row's product with its cluster's sum, 0 without cluster.
        sample: (m,) int64 the rows that stand for all.
        sampled: (m, d) float32 their vectors.
    """

    products: F64
    sample: I64
    sampled: F32


def fit(blocks: Blocks, labels: I32, sums: ClusterSums, effort: float = 1) -> Fit:
    """Compare each row with its own cluster, and gather the rows that `silhouette` needs."""
    sample = item_sample(labels, len(sums.sizes), effort)
    sampled = np.empty((len(sample), sums.vectors.shape[1]), dtype=np.float32)
    products = np.zeros(len(labels))
    for start, block in blocks:
        rows = slice(start, start + len(block))
        products[rows] = row_products(block, labels[rows], sums)
        here = slice(*np.searchsorted(sample, [rows.start, rows.stop]))
        sampled[here] = block[sample[here] - start]
    return Fit(products, sample, sampled)


def item_sample(labels: I32, clusters: int, effort: float = 1) -> I64:
    """Choose the rows whose silhouette is taken: all clustered ones of a small level, sorted.

    Args:
        labels: (n,) clusters, negative for none.
        clusters: their number.
        effort: share of the usual number of pairs that are compared.
    """
    rows, pairs = np.flatnonzero(labels >= 0), int(effort * ITEM_PAIRS)
    if len(rows) <= _MOST_ITEMS and len(rows) * clusters <= pairs:
        return rows
    return _choose(rows, min(max(pairs // clusters, _LEAST_ITEMS), _MOST_ITEMS))


def cluster_sample(clusters: int, effort: float = 1) -> I64:
    """Choose the clusters that are compared with all: every one of few, sorted."""
    pairs = int(effort * CLUSTER_PAIRS)
    if clusters * clusters <= pairs:
        return np.arange(clusters)
    return _choose(np.arange(clusters), max(pairs // clusters, _LEAST_CLUSTERS))


def _choose(rows: I64, count: int) -> I64:
    if count >= len(rows):
        return rows
    # rows are in the order of vector ids, so that the choice does not depend on the input's order
    chosen = np.random.default_rng(0).choice(len(rows), count, replace=False, shuffle=False)
    return rows[np.sort(chosen)]


def centroid_similarity(fitted: Fit, labels: I32, sums: ClusterSums) -> F32:
    """Cosine of each row to its cluster's centroid: (n,) float32, NaN for rows without cluster."""
    similarity = np.full(len(labels), np.nan, dtype=np.float32)
    rows = np.flatnonzero(labels >= 0)
    lengths = np.maximum(np.sqrt(sums.squares), np.finfo(float).tiny)
    similarity[rows] = np.clip(fitted.products[rows] / lengths[labels[rows]], -1, 1)
    return similarity


def mean_spread(fitted: Fit, labels: I32, sums: ClusterSums) -> F64:
    """Mean Euclidean distance of each cluster's members to their mean vector: (c,).

    Members have length 1 (the snapshot makes it exact), so products with the sum are enough.
    """
    rows = np.flatnonzero(labels >= 0)
    own, sizes = labels[rows], np.maximum(sums.sizes, 1)
    means = sums.squares / np.square(sizes)
    squared = 1 - 2 * fitted.products[rows] / sizes[own] + means[own]
    distances = np.sqrt(np.maximum(squared, 0))
    return np.bincount(own, distances, minlength=len(sizes)) / sizes


def silhouette(fitted: Fit, labels: I32, sums: ClusterSums) -> Estimate | None:
    """Mean silhouette of the clustered rows (Rousseeuw 1987) under cosine distance.

    The mean cosine of a unit vector to a cluster is its product with the cluster's sum over its
    size: no pair of items is ever compared.

    Returns:
        None with fewer than two clusters.
    """
    if len(sums.sizes) < 2 or not len(fitted.sample):
        return None
    own = labels[fitted.sample]
    sizes = sums.sizes[own]
    inside = 1 - (fitted.products[fitted.sample] - 1) / np.maximum(sizes - 1, 1)
    other = _most_similar(fitted.sampled, own, sums)
    outside = 1 - row_products(fitted.sampled, other, sums) / sums.sizes[other]
    widths = (outside - inside) / np.maximum(np.maximum(inside, outside), np.finfo(float).tiny)
    return _estimate(np.where(sizes > 1, widths, 0.0), int((labels >= 0).sum()))


def _most_similar(vectors: F32, own: I32, sums: ClusterSums) -> I32:
    """Find the cluster, not its own, that each row is most similar to on average: (m,) int32."""
    best = np.full(len(vectors), -1, dtype=np.int32)
    highest = np.full(len(vectors), -np.inf, dtype=np.float32)
    for first, means in _means(sums):
        for start in range(0, len(vectors), _ROWS):
            rows = slice(start, start + _ROWS)
            products = vectors[rows] @ means.T
            _forbid(products, own[rows] - first)
            _keep(products, first, best[rows], highest[rows])
    return best


def separation(
    spread: F64, sums: ClusterSums, effort: float = 1
) -> tuple[Estimate | None, Estimate | None]:
    """Compare each cluster with its worst and its nearest rival.

    Args:
        spread: (c,) mean distance of a cluster's members to their mean.
        sums: of the same clusters.
        effort: share of the usual number of pairs that are compared.

    Returns:
        The Davies-Bouldin index (1979) under Euclidean distance to mean vectors, None where two of
        them are the same; the mean over clusters of the highest cosine to another's centroid. Both
        None with fewer than two clusters.
    """
    count = len(sums.sizes)
    if count < 2:
        return None, None
    sample = cluster_sample(count, effort)
    sizes = np.maximum(sums.sizes, 1)
    squares = sums.squares / np.square(sizes)
    worst, nearest = _rivals(sample, spread, squares, sums)
    lengths = np.maximum(np.sqrt(squares), np.finfo(float).tiny)
    rows = sums.vectors[sample] / sizes[sample, None]
    cosines = row_products(rows, nearest, sums) / (
        sizes[nearest] * lengths[sample] * lengths[nearest]
    )
    apart = squares[sample] + squares[worst] - 2 * row_products(rows, worst, sums) / sizes[worst]
    index = None
    if apart.min() > _SAME:
        index = _estimate((spread[sample] + spread[worst]) / np.sqrt(apart), count)
    return index, _estimate(np.clip(cosines, -1, 1), count)


def _rivals(sample: I64, spread: F64, squares: F64, sums: ClusterSums) -> tuple[I32, I32]:
    """Find each sampled cluster's rival by Davies and Bouldin's ratio, and by cosine."""
    narrow, lengths = spread.astype(np.float32), np.sqrt(squares).astype(np.float32)
    rows = (sums.vectors[sample] / np.maximum(sums.sizes[sample], 1)[:, None]).astype(np.float32)
    best = np.full((2, len(sample)), -1, dtype=np.int32)
    highest = np.full((2, len(sample)), -np.inf, dtype=np.float32)
    for first, means in _means(sums):
        columns = slice(first, first + len(means))
        for start in range(0, len(sample), _ROWS):
            here = slice(start, start + _ROWS)
            own = sample[here]
            products = rows[here] @ means.T
            apart = np.square(lengths[own])[:, None] + np.square(lengths[columns]) - 2 * products
            ratio = (narrow[own, None] + narrow[columns]) / np.sqrt(np.maximum(apart, _SAME))
            cosine = products / np.maximum(lengths[columns], np.finfo(np.float32).tiny)
            for which, values in enumerate((ratio, cosine)):
                _forbid(values, own - first)
                _keep(values, first, best[which, here], highest[which, here])
    return best[0], best[1]


def _means(sums: ClusterSums) -> Iterator[tuple[int, F32]]:
    """Yield the mean vectors in float32, some clusters at a time."""
    sizes = np.maximum(sums.sizes, 1)[:, None]
    for first in range(0, len(sizes), _COLUMNS):
        rows = slice(first, first + _COLUMNS)
        yield first, narrow_quotients(sums.vectors[rows], sizes[rows])


def _forbid(values: F32, own: npt.NDArray[np.integer]) -> None:
    """Take out each row's own column, where it is among these."""
    rows = np.flatnonzero((own >= 0) & (own < values.shape[1]))
    values[rows, own[rows]] = -np.inf


def _keep(values: F32, first: int, best: I32, highest: F32) -> None:
    """Note each row's highest value, and its column's number, where it is higher than before."""
    at = values.argmax(axis=1)
    found = values[np.arange(len(at)), at]
    higher = found > highest
    best[higher], highest[higher] = at[higher] + first, found[higher]


def _estimate(values: F64, population: int) -> Estimate:
    """Mean of a sample drawn without replacement, and its standard error."""
    missing = 1 - len(values) / population
    error = np.sqrt(values.var(ddof=1) / len(values) * missing) if missing else 0.0
    return Estimate(float(values.mean()), float(error))
