"""What all items of a level share, whatever its largest stories are about.

The mean of all vectors is taken off. Where a few stories are most of the level, the mean is what
they are about: without it, their items have no more in common than chance, and each of these
stories falls into parts. So a giant story counts less, and where most pairs are of one story,
nothing is taken off.
"""

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.background import DEVIATIONS, background
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot

# Plateau: from .07 to .1, by the power 1.5, 2 or 3, mean B-cubed F1 over thinned levels changes by
# .001. Less, and levels of small stories change as well: a story's size is only known as the number
# of items that resemble an item (docs/ALGORITHMS.md).
LARGE_SHARE = 0.1
# A share of a tenth to .007; 90 ms.
SAMPLE = 2048


def shift_without_giants(vectors: F32, weights: I32) -> F64 | None:
    """Find by how much the mean of vectors moves where giant stories count less.

    The items of a story with a share s of the level, more than a tenth, count by (0.1 / s)^2: the
    larger the story, the less it counts.

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
    counts = weights * np.square(np.minimum(1, LARGE_SHARE * weights.sum() / similar))
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
