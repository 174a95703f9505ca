"""Which neighbours of a graph have each other among their nearest."""

import numpy as np

from clustering_tasks.arrays import I32, Mask
from clustering_tasks.engine.compile import kernel


def mutual_neighbours(ids: I32, rank: int) -> tuple[I32, I32, I32]:
    """Find the pairs of rows that have each other among their first neighbours, each once.

    Args:
        ids: (n, k) neighbours, nearest first, -1 for none.
        rank: how many of a row's neighbours count.

    Returns:
        for each of m pairs the lower row, the higher one, and the place of the higher one among
        the lower one's neighbours: (m,) each, ordered by the first and the last.
    """
    nearest = np.ascontiguousarray(ids[:, :rank])
    mutual = np.zeros(nearest.shape, dtype=np.bool_)
    mark_mutual(nearest, mutual)
    rows, at = np.nonzero(mutual)
    return rows.astype(np.int32), nearest[rows, at], at.astype(np.int32)


@kernel
def mark_mutual(nearest: I32, mutual: Mask) -> None:
    """Mark each neighbour with a higher number that has the row among its own."""
    n, k = nearest.shape
    for i in range(n):
        for at in range(k):
            j = nearest[i, at]
            if j <= i:
                continue
            for back in range(k):
                if nearest[j, back] == i:
                    mutual[i, at] = True
