"""A window in time: rows further apart than it are no neighbours, however alike (TM-2).

The search itself leaves them out. In an archive of like stories, the k nearest of all times would
hardly hold one from within the window.
"""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.compile import kernel


@dataclass(frozen=True)
class Window:
    """The window, and when the rows are.

    Attributes:
        spans: (n, 2) first and last time of each row in days, NaN for undated.
        days: its width.
    """

    spans: F64
    days: float


def days_apart(spans: F64, rows: I32, columns: I32) -> F64:
    """Days between the spans of two rows: (m,) float64, 0 when they touch, NaN for undated.

    Args:
        spans: (n, 2) first and last time in days.
        rows: (m,) the one row of each pair.
        columns: (m,) the other.
    """
    one, other = spans[rows], spans[columns]
    between = np.maximum(other[:, 0] - one[:, 1], one[:, 0] - other[:, 1])
    return np.maximum(between, 0)  # keeps NaN


@kernel
def blank(products: F32, rows: I32, first: int, spans: F64, days: float) -> None:
    """Write NaN where two rows are more than `days` apart; an undated row is apart from none."""
    for i in range(products.shape[0]):
        begin, end = spans[rows[i], 0], spans[rows[i], 1]
        for j in range(products.shape[1]):
            other = first + j
            # NaN compares false
            if spans[other, 0] - end > days or begin - spans[other, 1] > days:
                products[i, j] = np.nan
