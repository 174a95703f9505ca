"""A random order of vectors that follows from the vectors themselves, not from their rows."""

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.rows import Vectors

_ROWS = 65_536
_SEED = 20_260_301


def shuffled(vectors: Vectors) -> I64:
    """Order rows at random: the same vectors in the same order, wherever their rows are.

    The first m rows of the order are a random sample. A row's place is a hash of its bits.

    Args:
        vectors: (n, d), read in slices of rows.
    """
    hashes = np.empty(len(vectors), dtype=np.uint64)
    for start in range(0, len(vectors), _ROWS):
        block = np.ascontiguousarray(vectors[start : start + _ROWS], dtype=np.float32)
        hash_rows(block.view(np.uint32), np.uint64(_SEED), hashes[start : start + _ROWS])
    return np.argsort(hashes, kind="stable")


@kernel
def hash_rows(
    words: npt.NDArray[np.uint32], seed: np.uint64, hashes: npt.NDArray[np.uint64]
) -> None:
    """Write a 64-bit hash of each row: SplitMix64's finaliser (Steele et al. 2014) on each word."""
    for i in range(len(words)):
        value = seed
        for word in words[i]:
            value = (value ^ np.uint64(word)) + np.uint64(0x9E3779B97F4A7C15)
            value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            value ^= value >> np.uint64(31)
        hashes[i] = value
