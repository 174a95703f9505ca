"""Lists of rows' neighbours, nearest first, into which others are put.

Kernels get all lists and a row's number: a view of one list takes as long as an insertion.
"""

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel


@kernel
def insert(ids: I32, distances: F32, row: int, other: int, distance: np.float32) -> int:
    """Put a row into another one's list, if it is near enough; the last one of the list goes.

    Args:
        ids: (n, k) the lists, equal distances by row; -1 for none.
        distances: (n, k), infinite for none.
        row: whose list it is.
        other: that is in no place of the list.
        distance: of the two.

    Returns:
        its place, -1 where it is not near enough.
    """
    at: int = ids.shape[1] - 1
    if distances[row, at] < distance or (distances[row, at] == distance and ids[row, at] <= other):
        return -1
    while at > 0 and (
        distances[row, at - 1] > distance
        or (distances[row, at - 1] == distance and ids[row, at - 1] > other)
    ):
        ids[row, at], distances[row, at] = ids[row, at - 1], distances[row, at - 1]
        at -= 1
    ids[row, at], distances[row, at] = other, distance
    return at


@kernel
def insert_once(ids: I32, distances: F32, row: int, other: int, distance: np.float32) -> None:
    """Do what `insert` does with a row that may be in the list already."""
    if distances[row, -1] < distance:
        return  # most are: the list need not be looked through
    for at in range(ids.shape[1]):
        if ids[row, at] == other:
            return
    insert(ids, distances, row, other, distance)
