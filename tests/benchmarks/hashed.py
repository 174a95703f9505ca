"""Numbers that look random and depend on an id alone: whoever needs them computes them again."""

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F64, I64

Ids = npt.NDArray[np.integer]


def mixed(ids: Ids, salt: int) -> npt.NDArray[np.uint64]:
    """Numbers that look random, the same for the same ids and salt (splitmix64)."""
    seed = np.uint64((salt * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % (1 << 64))
    z = ids.astype(np.int64).view(np.uint64) * np.uint64(0xD1342543DE82EF95) + seed
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def uniform(ids: Ids, salt: int, number: I64 | None = None) -> F64:
    """Numbers from 0 to 1 that look random, the same for the same ids."""
    bits = mixed(ids, salt)
    if number is not None:
        bits = mixed(bits.view(np.int64) + number, salt)
    return np.asarray((bits >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def normal(ids: Ids, salt: int) -> F64:
    """Standard normal numbers by Box and Muller, the same for the same ids."""
    radius, angle = uniform(ids, salt), uniform(ids, salt + 1)
    return np.asarray(np.sqrt(-2 * np.log1p(-radius)) * np.cos(2 * np.pi * angle))
