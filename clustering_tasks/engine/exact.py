"""Products of unit vectors that are exact, and so the same bits whoever computes them.

The last bits of a matrix product depend on its shape, on the number of threads and on the
processor, because its sums are rounded in another order. Sums of whole numbers that the type can
hold are not rounded at all, so the vectors are rounded first; by Cauchy and Schwarz no partial sum
of two unit vectors' products passes the square of the scale.
"""

import numpy as np

from clustering_tasks.arrays import F32, F64

# float32 holds whole numbers up to 2^24, float64 up to 2^53; two bits are left for what rounding
# adds to the length, up to 65,536 dimensions.
COARSE, FINE = 2.0**11, 2.0**25


def coarse(vectors: F32) -> F32:
    """Round unit vectors to whole numbers of 1/COARSE: (n, d); products are right to about 1e-4."""
    return np.asarray(np.rint(vectors * np.float32(COARSE)))


def cosines(one: F32, other: F32) -> F64:
    """Cosines of all pairs of unit vectors, (n, d) and (m, d), right to 1e-7: (n, m)."""
    return np.asarray(_fine(one) @ _fine(other).T) / FINE**2


def _fine(vectors: F32) -> F64:
    return np.asarray(np.rint(vectors.astype(np.float64) * FINE))
