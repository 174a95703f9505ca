"""Quality without gold, on the vectors as they are. What is undefined is None, never a number."""

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.centroids import Blocks, Sums

_ROWS = 4096


def silhouette(blocks: Blocks, labels: npt.NDArray[np.int32], sums: Sums) -> float | None:
    """Mean silhouette of the clustered rows (Rousseeuw 1987) under cosine distance; exact.

    The mean cosine of a unit vector to a cluster is its product with the cluster's sum over its
    size, so no pair is ever computed: n c d operations instead of n^2 d.

    Returns:
        None with fewer than two clusters.
    """
    if len(sums.sizes) < 2:
        return None
    total, count = 0.0, 0
    for start, block in blocks:
        own = labels[start : start + len(block)]
        for at in range(0, len(block), _ROWS):
            rows = at + np.flatnonzero(own[at : at + _ROWS] >= 0)
            widths = _widths(block[rows], own[rows], sums)
            total, count = total + float(widths.sum()), count + len(rows)
    return total / count if count else None


def _widths(
    vectors: npt.NDArray[np.float32], own: npt.NDArray[np.int32], sums: Sums
) -> npt.NDArray[np.float64]:
    products = vectors @ sums.vectors.T.astype(np.float32)
    at = np.arange(len(own))
    sizes = sums.sizes[own]
    inside = 1 - (products[at, own] - 1) / np.maximum(sizes - 1, 1)
    means = products / sums.sizes
    means[at, own] = -np.inf
    outside = 1 - means.max(axis=1)
    widths = (outside - inside) / np.maximum(np.maximum(inside, outside), np.finfo(float).tiny)
    return np.where(sizes > 1, widths, 0.0)


def davies_bouldin(spread: npt.NDArray[np.float64], sums: Sums) -> float | None:
    """Davies-Bouldin index (1979) under Euclidean distance to mean vectors; lower is better.

    Args:
        spread: (c,) mean distance of a cluster's members to their mean.
        sums: of the same clusters.

    Returns:
        None with fewer than two clusters, or where two have the same mean.
    """
    means = sums.vectors / np.maximum(sums.sizes, 1)[:, None]
    if len(means) < 2:
        return None
    squares = np.square(means).sum(axis=1)
    worst = np.empty(len(means))
    for start in range(0, len(means), _ROWS):
        rows = slice(start, start + _ROWS)
        apart = np.maximum(squares[rows, None] + squares - 2 * means[rows] @ means.T, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (spread[rows, None] + spread) / np.sqrt(apart)
        np.fill_diagonal(ratio[:, start:], -np.inf)
        worst[rows] = ratio.max(axis=1)
    index = float(worst.mean())
    return index if np.isfinite(index) else None


def mean_spread(
    blocks: Blocks, labels: npt.NDArray[np.int32], sums: Sums
) -> npt.NDArray[np.float64]:
    """Mean Euclidean distance of each cluster's members to their mean vector: (c,)."""
    means = (sums.vectors / np.maximum(sums.sizes, 1)[:, None]).astype(np.float32)
    total = np.zeros(len(means))
    for start, block in blocks:
        own = labels[start : start + len(block)]
        rows = np.flatnonzero(own >= 0)
        distances = np.linalg.norm(block[rows] - means[own[rows]], axis=1)
        total += np.bincount(own[rows], distances, minlength=len(means))
    return total / np.maximum(sums.sizes, 1)
