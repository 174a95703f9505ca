"""Direct computations of what the engine finds in other ways."""

import numpy as np

from clustering_tasks.arrays import F32, F64
from clustering_tasks.engine.common_part import shift_without_giants


def mean_taken_off(vectors: F32) -> F64:
    """Compute what all items of a level of n items share: (d,)."""
    n = len(vectors)
    shift = shift_without_giants(vectors, np.ones(n, dtype=np.int32))
    if shift is None:
        return np.zeros(vectors.shape[1])
    mean: F64 = (vectors.mean(axis=0, dtype=np.float64) + shift) * n / (n + 20)
    return mean
