"""Rows in 7 bits, and what of a product of unit vectors they leave uncertain.

A row's components become whole numbers up to 63, by its largest one. What compares rows is the
cosine of two rows of whole numbers: it is right to 8e-4 on real vectors of 768 components (standard
deviation), the more so the more similar they are, and copies have exactly 1.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.integer_tiles import COLUMNS, GROUP, STEP
from clustering_tasks.engine.products import squared_distance

LARGEST = 63
_PLUS_128, _MINUS_64 = np.uint32(0x80808080), np.uint32(0x40404040)
_OFFSET = 64  # added to columns, whose bytes have no sign
# Rounding errors of many components add up like those of independent dice: one sum in four million
# is more than five standard deviations too high, and only what lies so close to a limit counts.
_DEVIATIONS = 5.0
_FLOAT_ERROR = 1e-6
# Added and subtracted, it rounds a small float32 to a whole number; a processor of old has no
# instruction for it.
_ROUND = np.float32(3 * 2**22)
_MAGNITUDE = np.int32(0x7FFFFFFF)
_TINY = np.float32(1e-30)


class Uncertainty(NamedTuple):
    """How far off codes may be.

    Attributes:
        unit: what one is worth in a code at length 1, its weight: a float, or (m,) float32.
        error: distance of the unit vector from its code at length 1, likewise.
    """

    unit: Any
    error: Any


class Codes(NamedTuple):
    """Rows as queries of a tile.

    Attributes:
        numbers: (n, padded d) int8 components, -63 to 63.
        starts: (n,) int32 -64 times their sum.
        weights: (n,) float32 1 over their length, 0 for a row of zeros.
        errors: (n,) float32 distance of the unit vector from its code at length 1.
    """

    numbers: npt.NDArray[np.int8]
    starts: I32
    weights: F32
    errors: F32


class Panels(NamedTuple):
    """Rows as columns of tiles, 32 beside each other.

    Attributes:
        numbers: (p, padded d * 32) uint8, of each four components those of all columns.
        weights: (p * 32,) float32 1 over the columns' lengths, 0 for what fills the last panel.
        columns: how many there are.
        unit: largest weight of a column.
        error: largest error of a column's code.
    """

    numbers: npt.NDArray[np.uint8]
    weights: F32
    columns: int
    unit: float
    error: float


def padded(dimension: int) -> int:
    """Components of a coded row of some dimension."""
    return max(-(-dimension // STEP), 1) * STEP


def codes_for(n: int, dimension: int) -> Codes:
    """Make room for the codes of n rows."""
    return Codes(
        np.empty((n, padded(dimension)), np.int8),
        np.empty(n, np.int32),
        np.empty(n, np.float32),
        np.empty(n, np.float32),
    )


def panels_of(vectors: F32) -> Panels:
    """Code rows, (n, d), as columns."""
    n, d = vectors.shape
    count = -(-n // COLUMNS)
    numbers = aligned(count, padded(d) * COLUMNS)
    weights = np.zeros(count * COLUMNS, np.float32)
    errors = np.zeros(n, np.float32)
    write_panels(np.ascontiguousarray(vectors), numbers, weights, errors)
    return Panels(numbers, weights, n, float(weights.max(initial=0)), float(errors.max(initial=0)))


def aligned(rows: int, width: int) -> npt.NDArray[np.uint8]:
    """Make an array at an address where a vector register's load does not cross a cache line."""
    memory = np.empty(rows * width + COLUMNS * 2, np.uint8)
    first = -memory.ctypes.data % (COLUMNS * 2)
    return memory[first : first + rows * width].reshape(rows, width)


def bound(limits: F32, queries: Uncertainty, others: Uncertainty) -> F64:
    """Bound the true cosines of rows whose coded ones are no higher than a limit.

    A vector is its code's direction and, at a right angle, its error. What the error adds to a
    product is a sum of roundings, each at most half a unit of the code, over what is left of the
    other code beside the first; and a product of two errors.

    Args:
        limits: (m,) cosines of codes.
        queries: (m,) each.
        others: the largest of all other rows.
    """
    limit = np.clip(limits.astype(np.float64), -1, 1)
    squares = np.square(queries.error, dtype=np.float64) + others.error**2
    variance = (np.square(queries.unit, dtype=np.float64) + others.unit**2) / 12
    # the second holds for any roundings
    error = np.minimum(_DEVIATIONS * np.sqrt(variance), np.sqrt(2 * squares))
    first = error * np.sqrt(1 - limit**2)
    return np.asarray(limit + first + (1 - limit) * squares / 2 + _FLOAT_ERROR)


@kernel
def code(
    row: F32, numbers: npt.NDArray[np.int8], decoded: F32
) -> tuple[np.int32, np.float32, np.float32]:
    """Write a row's code; return the sum of its numbers, 1 over its length, and its error."""
    bits, most = row.view(np.int32), np.int32(0)
    for c in range(len(row)):
        most = max(
            most, np.int32(bits[c] & _MAGNITUDE)
        )  # integers: compilers do not reorder floats
    largest = np.int32(most).view(np.float32)
    scale = np.float32(LARGEST) / largest if largest > _TINY else np.float32(0)
    total, square = np.int32(0), np.int32(0)
    for c in range(len(row)):
        number = np.int32(row[c] * scale + _ROUND - _ROUND)
        numbers[c] = number
        total += number
        square += number * number
    numbers[len(row) :] = 0
    weight = np.float32(1 / np.sqrt(np.float64(square))) if square else np.float32(0)
    for c in range(len(row)):
        decoded[c] = np.float32(numbers[c]) * weight
    return total, weight, np.sqrt(squared_distance(row, decoded))


@kernel
def write_codes(vectors: F32, first: int, codes: Codes) -> None:
    """Write the codes of rows, (m, d), as queries from number `first` on."""
    decoded = np.empty(vectors.shape[1], np.float32)
    for i in range(len(vectors)):
        at = first + i
        total, weight, error = code(vectors[i], codes.numbers[at], decoded)
        codes.starts[at] = -_OFFSET * total
        codes.weights[at], codes.errors[at] = weight, error


@kernel
def write_panels(vectors: F32, numbers: npt.NDArray[np.uint8], weights: F32, errors: F32) -> None:
    """Write the codes of columns; see `Panels`."""
    width = numbers.shape[1] // COLUMNS
    decoded = np.empty(vectors.shape[1], np.float32)
    rows = np.zeros((COLUMNS, width), np.int8)
    fours_of_rows = rows.view(np.uint32)
    for panel in range(len(numbers)):
        first = panel * COLUMNS
        there = min(COLUMNS, len(vectors) - first)
        for column in range(there):
            _, weight, error = code(vectors[first + column], rows[column], decoded)
            weights[first + column], errors[first + column] = weight, error
        rows[there:] = 0
        fours = numbers[panel].view(np.uint32).reshape((width // GROUP, COLUMNS))
        for group in range(width // GROUP):
            for column in range(COLUMNS):
                # four bytes at once: 128 is added without a carry, and 64 is taken off again
                fours[group, column] = (fours_of_rows[column, group] ^ _PLUS_128) - _MINUS_64
