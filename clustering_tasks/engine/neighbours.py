"""Exact nearest neighbours of unit vectors, in tiles that do not depend on how work is split."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import squared_distance

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

# A matrix product's bits depend on its shape: these are the only shapes, whatever a part holds.
TILE_ROWS = 1024
TILE_COLUMNS = 8192
# Candidates kept beyond k: products in float32 order neighbours up to 1e-7; exact distances decide.
SPARE = 8


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbours of some rows, nearest first; equal distances by row number.

    Attributes:
        ids: (m, k) int32, -1 where there are fewer than k.
        distances: (m, k) float32 Euclidean distances, infinite where there are fewer than k.
    """

    ids: Ints
    distances: Floats


def exact_neighbours(vectors: Floats, start: int, stop: int, k: int) -> Neighbours:
    """Find the k nearest others of the rows from `start` up to `stop`.

    Args:
        vectors: (n, d) unit vectors, all rows that may be neighbours.
        start: first row of a tile.
        stop: end of a tile, whose rows are at most TILE_ROWS.
        k: neighbours per row, itself not counted.
    """
    starts = range(start, stop, TILE_ROWS)
    tiles = [_tile(vectors, row, min(row + TILE_ROWS, stop), k) for row in starts]
    if not tiles:
        return Neighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    ids, distances = zip(*tiles, strict=True)
    return Neighbours(np.concatenate(ids), np.concatenate(distances))


def _tile(vectors: Floats, start: int, stop: int, k: int) -> tuple[Ints, Floats]:
    queries = vectors[start:stop]
    ids = np.full((len(queries), k + SPARE), -1, dtype=np.int32)
    similarities = np.full((len(queries), k + SPARE), -np.inf, dtype=np.float32)
    for column in range(0, len(vectors), TILE_COLUMNS):
        products = queries @ vectors[column : column + TILE_COLUMNS].T
        keep_largest(products, start, column, similarities, ids)
    distances = np.empty(ids.shape, dtype=np.float32)
    exact_distances(queries, vectors, ids, distances)
    order = np.lexsort((ids, distances))[:, :k]
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)


@kernel
def keep_largest(products: Floats, row: int, column: int, values: Floats, ids: Ints) -> None:
    """Update each row's min-heap of its largest products; a row is no neighbour of itself."""
    size = values.shape[1]
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            value = products[i, j]
            if value <= values[i, 0] or row + i == column + j:
                continue
            at = 0
            while 2 * at + 1 < size:
                child = 2 * at + 1
                if child + 1 < size and (
                    values[i, child + 1] < values[i, child]
                    or (
                        values[i, child + 1] == values[i, child]
                        and ids[i, child + 1] > ids[i, child]  # of equals the last goes first
                    )
                ):
                    child += 1
                if values[i, child] >= value:
                    break
                values[i, at] = values[i, child]
                ids[i, at] = ids[i, child]
                at = child
            values[i, at] = value
            ids[i, at] = column + j


@kernel
def exact_distances(queries: Floats, vectors: Floats, ids: Ints, distances: Floats) -> None:
    """Compute distances by differences.

    From products (2 - 2 s) they would be off by 1e-3 for near-duplicates, enough to make the
    spanning tree heavier than it is.
    """
    for i in range(ids.shape[0]):
        for j in range(ids.shape[1]):
            if ids[i, j] < 0:
                distances[i, j] = np.inf
                continue
            distances[i, j] = np.sqrt(squared_distance(queries[i], vectors[ids[i, j]]))
