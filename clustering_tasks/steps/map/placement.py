"""Where clusters and their members are drawn: a map of a level within the square from -1 to 1."""

from collections.abc import Iterable

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.exact import COARSE, coarse
from clustering_tasks.engine.main_axes import turn
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.engine.tsne import tsne

_SEED = 20_260_301
_DIMENSIONS = 32  # onto which members are projected before their cluster's plane is looked for
_COVERED = 0.2  # share of the map that the discs of all clusters cover
_LARGEST_DISC = 0.06
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_FEWEST_DIMENSIONS = 8
_MANY_DIMENSIONS = 1024  # up to here the axes take a second at most
_DIGITS = 5  # further ones depend on the processor, and nobody sees them


def by_size(sizes: I64) -> I64:
    """Order clusters by size, the largest first, equal ones by number: (c,)."""
    return np.lexsort((np.arange(len(sizes)), -sizes))


def place_clusters(centroids: F32, sizes: I64, max_clusters: int) -> F64:
    """Lay clusters out, similar ones beside each other: (c, 2) between -1 and 1.

    Args:
        centroids: (c, d) unit vectors.
        sizes: (c,) members.
        max_clusters: number of clusters, the largest, that are laid out by their neighbours; each
            other one lies beside the most similar of these.
    """
    order = by_size(sizes)
    first, others = order[:max_clusters], order[max_clusters:]
    places = np.zeros((len(sizes), 2))
    places[first] = _into_square(tsne(_narrowed(centroids[first])))
    if len(others):
        nearest = nearest_centroids(centroids[others], centroids[first]).ids[:, 0]
        places[others] = places[first[nearest]] + _beside(nearest, len(first))
    return np.asarray(np.round(np.clip(places, -1, 1), _DIGITS), dtype=np.float64)


def _narrowed(vectors: F32) -> F32:
    """Turn a few vectors of very many dimensions into as many dimensions as there are vectors.

    Their distances stay. The layout starts from their main axes, which take time with the cube of
    the dimension: half a minute at 3,072.
    """
    count, dimension = vectors.shape
    width = max(count, _FEWEST_DIMENSIONS)
    if dimension <= _MANY_DIMENSIONS or width >= dimension / 2:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    _, within = np.linalg.qr(vectors.astype(np.float64).T)
    narrow = np.zeros((count, width), dtype=np.float32)
    narrow[:, :count] = np.round(within.T, _DIGITS)
    return narrow


def _into_square(places: F64) -> F64:
    if not len(places):
        return places
    low, high = places.min(axis=0), places.max(axis=0)
    width = (high - low).max()
    return np.asarray(1.9 * (places - (low + high) / 2) / width if width else 0 * places)


def _beside(nearest: I32, laid_out: int) -> F64:
    """Steps away from the nearest, each further out on a spiral around it: (m, 2)."""
    order = np.argsort(nearest, kind="stable")
    starts = np.searchsorted(nearest[order], nearest[order])
    place = np.empty(len(nearest))
    place[order] = np.arange(len(nearest)) - starts + 1
    steps = np.stack([np.cos(place * _GOLDEN_ANGLE), np.sin(place * _GOLDEN_ANGLE)], axis=1)
    # so that three of them have room in a laid-out cluster's share of the square
    return np.asarray(steps * (np.sqrt(place) / np.sqrt(3 * laid_out))[:, None])


def radii(sizes: I64) -> F64:
    """Radius of the disc in which a cluster's members lie, its area by their number: (c,)."""
    whole = 4 * _COVERED / np.pi
    disc = np.sqrt(sizes * (whole / max(int(sizes.sum()), 1)))
    return np.asarray(np.minimum(disc, _LARGEST_DISC))


def draw_members(labels: I32, sizes: I64, max_members: int) -> I64:
    """Draw members for the map, in the order in which a view shows them: their rows, (m,).

    Of a large cluster more are drawn than of a small one, by the root of its size: small ones are
    seen, and large ones look large.

    Args:
        labels: (n,) cluster of each row, negative for none.
        sizes: (c,) rows of each cluster.
        max_members: members drawn in all.
    """
    order = np.lexsort((np.random.default_rng(_SEED).random(len(labels)), labels))
    order = order[np.searchsorted(labels[order], 0) :]
    cluster = labels[order]
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    number = np.arange(len(order)) - starts[cluster] + 1
    turn = number.astype(np.float64) ** 2 / sizes[cluster]
    size_rank = np.argsort(by_size(sizes))
    first = np.lexsort((size_rank[cluster], turn))[:max_members]
    return np.asarray(order[first], dtype=np.int64)


def place_members(
    blocks: Iterable[tuple[int, F32]],
    rows: I64,
    cluster: I32,
    centroids: F32,
    places: F64,
    radius: F64,
) -> F64:
    """Lay members out around their cluster, in the plane in which they differ most: (m, 2).

    Args:
        blocks: first row's number and rows of all vectors, (b, d) each; one in memory at a time.
        rows: (m,) the members' rows.
        cluster: (m,) their clusters.
        centroids: (c, d).
        places: (c, 2) of the clusters.
        radius: (c,) of the clusters.
    """
    axes = _axes(centroids.shape[1])
    order = np.argsort(rows)
    projected = np.empty((len(rows), _DIMENSIONS))
    for start, block in blocks:
        here = order[slice(*np.searchsorted(rows[order], [start, start + len(block)]))]
        projected[here] = _project(block[rows[here] - start], axes)
    projected -= _project(centroids, axes)[cluster]
    together = np.lexsort((rows, cluster))
    flat = np.empty((len(rows), 2))
    flat[together] = _within_discs(projected[together], cluster[together], len(centroids))
    return np.round(places[cluster] + flat * radius[cluster, None], _DIGITS)


def _axes(dimension: int) -> F64:
    signs = np.random.default_rng(_SEED).integers(0, 2, (dimension, _DIMENSIONS))
    return np.asarray(2.0 * signs - 1)


def _project(vectors: F32, axes: F64) -> F64:
    """Project on random directions: sums of whole numbers, which are exact."""
    return np.asarray(coarse(vectors).astype(np.float64) @ axes) / COARSE


def _within_discs(projected: F64, cluster: I32, clusters: int) -> F64:
    """Turn members, sorted by cluster, onto its two main axes, and into its unit disc: (m, 2)."""
    flat = np.zeros((len(projected), 2))
    turn(projected, np.searchsorted(cluster, np.arange(clusters + 1)), flat)
    squares = (flat**2).sum(axis=1)
    count = np.maximum(np.bincount(cluster, minlength=clusters), 1)
    usual = np.sqrt(np.bincount(cluster, squares, clusters) / count)[cluster]
    # the usual distance is 0.6 of the radius; what lies further out than the disc is on its edge
    return np.asarray(flat / np.maximum(np.maximum(usual / 0.6, np.sqrt(squares)), 1e-9)[:, None])
