"""Sums over the components of vectors, in an order that is written down.

Eight partial sums fill a processor's vector registers whatever their width, and their order is the
code's, not the compiler's: the same bits everywhere. One running sum would be as exact and cannot
be vectorised.
"""

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.compile import kernel

Floats = npt.NDArray[np.float32]


@kernel
def dot(a: Floats, b: Floats) -> np.float32:
    """Product of two vectors of one length, float32."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
    whole = len(a) - len(a) % 8
    for c in range(0, whole, 8):
        s0 += a[c] * b[c]
        s1 += a[c + 1] * b[c + 1]
        s2 += a[c + 2] * b[c + 2]
        s3 += a[c + 3] * b[c + 3]
        s4 += a[c + 4] * b[c + 4]
        s5 += a[c + 5] * b[c + 5]
        s6 += a[c + 6] * b[c + 6]
        s7 += a[c + 7] * b[c + 7]
    for c in range(whole, len(a)):
        s0 += a[c] * b[c]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@kernel
def squared_distance(a: Floats, b: Floats) -> np.float32:
    """Squared Euclidean distance of two vectors of one length, float32, by differences."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = np.float32(0)
    whole = len(a) - len(a) % 8
    for c in range(0, whole, 8):
        s0 += (a[c] - b[c]) * (a[c] - b[c])
        s1 += (a[c + 1] - b[c + 1]) * (a[c + 1] - b[c + 1])
        s2 += (a[c + 2] - b[c + 2]) * (a[c + 2] - b[c + 2])
        s3 += (a[c + 3] - b[c + 3]) * (a[c + 3] - b[c + 3])
        s4 += (a[c + 4] - b[c + 4]) * (a[c + 4] - b[c + 4])
        s5 += (a[c + 5] - b[c + 5]) * (a[c + 5] - b[c + 5])
        s6 += (a[c + 6] - b[c + 6]) * (a[c + 6] - b[c + 6])
        s7 += (a[c + 7] - b[c + 7]) * (a[c + 7] - b[c + 7])
    for c in range(whole, len(a)):
        s0 += (a[c] - b[c]) * (a[c] - b[c])
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))
