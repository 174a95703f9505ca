"""Vectors, wherever they are, and at length 1."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot


class Vectors(Protocol):
    """Rows of vectors, in memory or read where they are asked for.

    `numpy.asarray` reads them all; a slice or an array of row numbers reads these.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any, /) -> F32: ...
    def __array__(self, dtype: Any = None, /) -> npt.NDArray[Any]: ...


def evenly_spaced(count: int, most: int) -> I64:
    """Return the numbers of at most so many of `count` rows, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def unit(rows: F32) -> F32:
    """Return the rows, (n, d) float32, L2-normalised; rows of zeros stay what they are."""
    scaled = np.empty_like(rows, order="C")
    scale(np.ascontiguousarray(rows), scaled)
    return scaled


@kernel
def scale(rows: F32, scaled: F32) -> None:
    """Write the rows at length 1; numpy would go over them three times."""
    for i in range(len(rows)):
        length = max(np.sqrt(dot(rows[i], rows[i])), np.float32(1e-12))
        for c in range(rows.shape[1]):
            scaled[i, c] = rows[i, c] / length
