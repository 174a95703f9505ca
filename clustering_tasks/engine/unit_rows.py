"""Rows made unit vectors in 64 bits, and digests that tell which are the same.

Kernels, so that this goes on beside the interpreter while it is busy with metadata.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot

Digests = npt.NDArray[np.uint64]

# Odd, so that no two words have the same product; with ones all over, so that a product carries a
# word's bits into the upper half, and the shift brings them down again.
_ONE, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_HALF = np.uint64(32)


def checked(rows: F32) -> tuple[F64, Digests]:
    """Measure rows, (n, d), and make a digest of each as a unit vector.

    Returns:
        (n,) float64 Euclidean norms, NaN or infinite where a value is; (n, 2) uint64, the same for
        rows that `unit_rows` makes the same, and else different but once in 2^128. They are no
        secret and no seal: who can write vectors can write the same one twice.
    """
    norms, digests = np.empty(len(rows)), np.empty((len(rows), 2), np.uint64)
    check(rows, norms, digests)
    return norms, digests


def unit_rows(rows: F32) -> F32:
    """Return rows, (n, d), at length 1: their floats are the nearest to the exact ones, 0 is +0."""
    units = np.empty_like(rows)
    normalise(rows, units)
    return units


def digest_rows(rows: F32) -> Digests:
    """Make a digest of each row, (n, d), as it is: (n, 2) uint64."""
    digests = np.empty((len(rows), 2), np.uint64)
    write_digests(np.ascontiguousarray(rows).view(np.uint32), digests)
    return digests


@kernel
def write_digests(words: Any, digests: Digests) -> None:
    """Write the digest of each row of words, (n, d) uint32."""
    for i in range(len(words)):
        digests[i] = digest(words[i])


@kernel
def check(rows: F32, norms: F64, digests: Digests) -> None:
    """Write each row's norm and digest."""
    exact = np.empty(rows.shape[1], np.float64)
    unit = np.empty(rows.shape[1], np.float32)
    for i in range(len(rows)):
        norms[i] = at_length_one(rows[i], exact, unit)
        digests[i] = digest(unit.view(np.uint32))


@kernel
def normalise(rows: F32, units: F32) -> None:
    """Write each row at length 1."""
    exact = np.empty(rows.shape[1], np.float64)
    for i in range(len(rows)):
        at_length_one(rows[i], exact, units[i])


@kernel
def at_length_one(row: F32, exact: F64, unit: F32) -> float:
    """Write a row at length 1 and return the length that it had; `exact` is for work."""
    exact[:] = row
    norm: float = np.sqrt(dot(exact, exact))
    divisor = norm if norm > 0 else 1.0  # a row of zeros stays what it is, and is refused later
    for c in range(len(row)):
        unit[c] = np.float32(exact[c] / divisor + 0.0)  # turns -0.0 into 0.0
    return norm


@kernel
def digest(words: Any) -> tuple[np.uint64, np.uint64]:
    """Mix the words of a row, (d,) uint32, into 128 bits."""
    one, other = _ONE, _OTHER
    for word in words:
        one = (one ^ np.uint64(word)) * _ONE
        one ^= one >> _HALF
        other = (other ^ np.uint64(word)) * _OTHER
        other ^= other >> _HALF
    return one, other
