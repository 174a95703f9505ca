"""Vectors, wherever they are."""

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
