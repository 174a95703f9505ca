"""What all items of a level share, whatever its largest stories are about.

The mean of all vectors is taken off. Where a few stories are most of the level, the mean is what
they are about: without it, their items have no more in common than chance, and each of these
stories falls into parts. So no story counts for more than a twentieth of the mean.
"""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.background import DEVIATIONS, background
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot

# At .1 half of the gain is gone; below .05 small collections lose .005, because a story's size is
# only known as the number of items that resemble an item (docs/ALGORITHMS.md).
_LARGEST_SHARE = 0.05
# A share of a twentieth to .005; 90 ms.
SAMPLE = 2048


def shift_without_giants(vectors: F32, weights: I32) -> F64 | None:
    """Find by how much the mean of vectors moves where no story counts for more than a twentieth.

    A vector's story is as large as the number of items that resemble it more than unrelated items
    do (`engine.background`).

    Args:
        vectors: (m, d) unit vectors, evenly spaced ones of a level: SAMPLE, or all of fewer.
        weights: (m,) items that each stands for.

    Returns:
        (d,) what to add to the mean: zeros where no story is that large. None where most pairs are
        of one story: then nothing is to be taken off.
    """
    chance = background(vectors)
    if chance is None:
        return None
    similar = np.zeros(len(vectors))
    add_similar(vectors, weights, np.float32(chance.beyond(DEVIATIONS)), similar)
    counts = weights * np.minimum(1, _LARGEST_SHARE * weights.sum() / similar)
    if np.array_equal(counts, weights):
        return np.zeros(vectors.shape[1])
    shares = counts / counts.sum() - weights / weights.sum()
    moved: F64 = shares @ vectors
    return moved


@kernel
def add_similar(vectors: F32, weights: I32, least: np.float32, similar: F64) -> None:
    """Add up the weights of the vectors at least so similar to each, itself included: (m,)."""
    for i in range(len(vectors)):
        similar[i] += weights[i]
        for j in range(i):
            if dot(vectors[i], vectors[j]) >= least:
                similar[i] += weights[j]
                similar[j] += weights[i]
