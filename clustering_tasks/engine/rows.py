"""Vectors, wherever they are, and at length 1."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Vectors(Protocol):
    """Rows of vectors, in memory or read where they are asked for.

    `numpy.asarray` reads them all; a slice or an array of row numbers reads these.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, rows: Any, /) -> npt.NDArray[np.float32]: ...
    def __array__(self, dtype: Any = None, /) -> npt.NDArray[Any]: ...


def unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the rows, (n, d) float32, L2-normalised; rows of zeros stay what they are."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.float32(1e-12)))
