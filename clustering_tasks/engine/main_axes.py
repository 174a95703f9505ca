"""The plane in which the points of a small group differ most, for many groups."""

import numpy as np

from clustering_tasks.arrays import F64, I64
from clustering_tasks.engine.compile import kernel

_ROUNDS = 20  # of the power method; the plane is for the eye


@kernel
def turn(points: F64, bounds: I64, flat: F64) -> None:
    """Write each group's points on the two main axes through 0.

    Args:
        points: (n, k), group after group; overwritten.
        bounds: (g + 1,) first point of each group, and n.
        flat: (n, 2) is written.
    """
    axis = np.empty(points.shape[1])
    for group in range(len(bounds) - 1):
        rows = points[bounds[group] : bounds[group + 1]]
        for number in range(2):
            find_axis(rows, axis)
            for i in range(len(rows)):
                along = 0.0
                for c in range(len(axis)):
                    along += rows[i, c] * axis[c]
                for c in range(len(axis)):
                    rows[i, c] -= along * axis[c]
                flat[bounds[group] + i, number] = along


@kernel
def find_axis(rows: F64, axis: F64) -> None:
    """Write the direction in which points, (m, k), lie furthest from 0; no direction for none."""
    farthest, most = 0, -1.0
    for i in range(len(rows)):
        square = 0.0
        for c in range(rows.shape[1]):
            square += rows[i, c] * rows[i, c]
        if square > most:
            farthest, most = i, square
    axis[:] = rows[farthest]
    image = np.empty(len(axis))
    for _ in range(_ROUNDS):
        normalise(axis)
        image[:] = 0
        for i in range(len(rows)):
            along = 0.0
            for c in range(len(axis)):
                along += rows[i, c] * axis[c]
            for c in range(len(axis)):
                image[c] += along * rows[i, c]
        axis[:] = image
    normalise(axis)


@kernel
def normalise(axis: F64) -> None:
    """Bring a vector to length 1; one of next to nothing becomes 0."""
    square = 0.0
    for c in range(len(axis)):
        square += axis[c] * axis[c]
    length = np.sqrt(square)
    for c in range(len(axis)):
        axis[c] = axis[c] / length if length > 1e-12 else 0.0
