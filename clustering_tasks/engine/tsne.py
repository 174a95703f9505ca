"""t-SNE (van der Maaten, Hinton 2008), its repulsion on a grid (Linderman et al. 2019).

Written here and not scikit-learn's, whose sums over all points change with the number of threads.
On 20,000 points, on one thread beside the same load, its 500 rounds took over 200 s and these 700
took 57 s. In a picture of neighbours a changed last bit is another picture, so everything is summed
in a written order, and what exponentials and a decomposition give is rounded.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.exact import coarse
from clustering_tasks.engine.neighbours import Neighbours, exact_neighbours
from clustering_tasks.engine.threads import thread_count

PERPLEXITY = 15
NEIGHBOURS = 3 * PERPLEXITY
_EARLY_ROUNDS, _ROUNDS = 200, 500
_EXAGGERATION = 12.0
_CELL = 1 / 3  # of the grid: cubic interpolation of the kernels is then right to 2 %
_MOST_CELLS = 256  # along a side; a picture wider than that gets a coarser grid
_START_WIDTH = 1e-4
_PAIRS = 1500  # points of which all pairs cost less than the grid


def tsne(vectors: F32) -> F64:
    """Lay unit vectors out in the plane, similar ones beside each other: (n, 2).

    Args:
        vectors: (n, d), in any order; another order is another picture of the same neighbours.
    """
    start = _principal_plane(vectors)
    if len(vectors) < 4:
        return start
    near = exact_neighbours(vectors, 0, len(vectors), min(NEIGHBOURS, len(vectors) - 1))
    return _descend(start, _affinities(near))


def _principal_plane(vectors: F32) -> F64:
    """Project onto the two principal axes, as wide as t-SNE starts: (n, 2)."""
    if not len(vectors):
        return np.zeros((0, 2))
    rows = coarse(vectors).astype(np.float64)  # whole numbers: sums of their products are exact
    mean = rows.sum(axis=0) / len(rows)
    scatter = rows.T @ rows - len(rows) * np.outer(mean, mean)
    # Of 768 dimensions .09 s; beside other work two threads wait for each other for .86 s of both.
    with threadpool_limits(1, user_api="blas"):
        _, axes = np.linalg.eigh(scatter)
    plane = (rows - mean) @ axes[:, -1:-3:-1]
    plane *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])[-1:-3:-1]
    width = np.sqrt((plane[:, 0] ** 2).mean())
    return np.round(plane / width, 5) * _START_WIDTH if width > 1e-6 else np.zeros_like(plane)


def _affinities(near: Neighbours) -> csr_array:
    """How much each pair of neighbours attracts each other: symmetric, of sum 1."""
    n, k = near.ids.shape
    p = np.zeros((n, k))
    perplexities(near.distances.astype(np.float64) ** 2, np.log(min(PERPLEXITY, k / 3 + 1)), p)
    p = p.astype(np.float32).astype(np.float64)  # exponentials differ in their last bits
    found = near.ids >= 0
    first = np.repeat(np.arange(n), k)[found.ravel()]
    one = csr_array((p[found], (first, near.ids[found])), shape=(n, n))
    both = (one + one.T).tocsr()
    both.sort_indices()
    both.data /= 2 * n
    return both


@kernel
def perplexities(squares: F64, entropy: float, p: F64) -> None:
    """Write the probabilities of each row's neighbours, whose entropy is the one given.

    Args:
        squares: (n, k) squared distances, infinite for none.
        entropy: in nats.
        p: (n, k) is written; rows sum to 1.
    """
    for i in range(len(squares)):
        low, high, beta = 0.0, np.inf, 1.0
        for _ in range(60):
            total, mean = 0.0, 0.0
            for j in range(squares.shape[1]):
                excess = squares[i, j] - squares[i, 0]  # of the nearest one
                p[i, j] = np.exp(-beta * excess) if excess < np.inf else 0.0
                total += p[i, j]
                mean += p[i, j] * excess if p[i, j] > 0 else 0.0
            if np.log(total) + beta * mean / total > entropy:
                low = beta
                beta = beta * 2 if high == np.inf else (beta + high) / 2
            else:
                high = beta
                beta = (beta + low) / 2
        for j in range(squares.shape[1]):
            p[i, j] /= total


@dataclass
class Grid:
    """The kernels' transforms for grids of one size; kept while the picture grows within it."""

    side: int = 0
    cell: float = 0.0
    transforms: F64 = field(default_factory=lambda: np.empty(0))
    around: F64 = field(default_factory=lambda: np.empty(0))

    def fit(self, width: float) -> None:
        """Take a grid on which a picture of that width has room."""
        cell = max(_CELL, width / (_MOST_CELLS - 4))
        side = -(-(int(width / cell) + 4) // 32) * 32
        if (side, cell) == (self.side, self.cell):
            return
        self.side, self.cell = side, cell
        number = np.arange(2 * side)
        steps = np.minimum(number, 2 * side - number) * cell
        near = 1 / (1 + steps[:, None] ** 2 + steps**2)
        self.transforms = _forward(np.stack([near, near**2]), 2 * side).real
        self.around = near[:4, :4].copy()


def _descend(y: F64, attraction: csr_array) -> F64:
    """Move points until attraction and repulsion are in balance."""
    rate = max(len(y) / _EXAGGERATION / 4, 50.0)
    y, step, gains, grid = y.copy(), np.zeros_like(y), np.ones_like(y), Grid()
    pull = np.empty_like(y)
    indptr, indices = attraction.indptr.astype(np.int64), attraction.indices.astype(np.int32)
    for number in range(_EARLY_ROUNDS + _ROUNDS):
        early = number < _EARLY_ROUNDS
        attract(indptr, indices, attraction.data, y, pull)
        gradient = 4 * ((_EXAGGERATION if early else 1.0) * pull - _repulsion(y, grid))
        gains = np.where(gradient * step < 0, gains + 0.2, np.maximum(gains * 0.8, 0.01))
        step = (0.5 if early else 0.8) * step - rate * gains * gradient
        y += step
        y -= y.sum(axis=0) / len(y)
    return y


def _repulsion(y: F64, grid: Grid) -> F64:
    """How all others push each point: (n, 2)."""
    push = np.empty((len(y), 2))
    total = push_pairs(y, push) if len(y) <= _PAIRS else push_on_grid(grid, y, push)
    return push / max(total, 1e-12)


def push_on_grid(grid: Grid, y: F64, push: F64) -> float:
    """Do as `push_pairs`, by the grid."""
    low = y.min(axis=0)
    grid.fit(float((y.max(axis=0) - low).max()))
    charges = np.zeros((3, grid.side, grid.side), dtype=np.float32)
    spread(y, low, grid.cell, charges)
    sent = _forward(charges, 2 * grid.side)
    sums = np.stack([sent[0] * grid.transforms[0], *(sent * grid.transforms[1])])
    felt = scipy.fft.irfft2(sums, s=(2 * grid.side, 2 * grid.side), workers=thread_count())
    return gather(y, low, grid.cell, felt, grid.around, push)


def _forward(values: npt.NDArray[np.floating], side: int) -> npt.NDArray[np.complex128]:
    return np.asarray(
        scipy.fft.rfft2(values.astype(np.float32), s=(side, side), workers=thread_count())
    )


@kernel
def attract(indptr: I64, indices: I32, data: F64, y: F64, pull: F64) -> None:
    """Write how a point's neighbours pull at it: (n, 2)."""
    for i in range(len(y)):
        x0, x1, s0, s1 = y[i, 0], y[i, 1], 0.0, 0.0
        for at in range(indptr[i], indptr[i + 1]):
            d0, d1 = x0 - y[indices[at], 0], x1 - y[indices[at], 1]
            weight = data[at] / (1 + d0 * d0 + d1 * d1)
            s0 += weight * d0
            s1 += weight * d1
        pull[i, 0], pull[i, 1] = s0, s1


@kernel
def push_pairs(y: F64, push: F64) -> float:
    """Write how all others push each point: (n, 2); return the sum of all pairs' similarities."""
    push[:] = 0
    total = 0.0
    for i in range(len(y)):
        x0, x1, s0, s1 = y[i, 0], y[i, 1], 0.0, 0.0
        for j in range(i):
            d0, d1 = x0 - y[j, 0], x1 - y[j, 1]
            near = 1 / (1 + d0 * d0 + d1 * d1)
            total += 2 * near
            s0 += near * near * d0
            s1 += near * near * d1
            push[j, 0] -= near * near * d0
            push[j, 1] -= near * near * d1
        push[i, 0] += s0
        push[i, 1] += s1
    return total


@kernel
def weigh(t: float, weights: F64) -> None:
    """Write the four weights of cubic interpolation at `t` between the second and third node."""
    weights[0] = -t * (t - 1) * (t - 2) / 6
    weights[1] = (t + 1) * (t - 1) * (t - 2) / 2
    weights[2] = -(t + 1) * t * (t - 2) / 2
    weights[3] = (t + 1) * t * (t - 1) / 6


@kernel
def spread(y: F64, low: F64, cell: float, charges: F32) -> None:
    """Add each point to the grid around it: 1, and its two coordinates: (3, g, g)."""
    w0, w1 = np.empty(4), np.empty(4)
    for i in range(len(y)):
        u0, u1 = (y[i, 0] - low[0]) / cell, (y[i, 1] - low[1]) / cell
        b0, b1 = int(u0), int(u1)
        weigh(u0 - b0, w0)
        weigh(u1 - b1, w1)
        for a in range(4):
            for b in range(4):
                w = w0[a] * w1[b]
                charges[0, b0 + a, b1 + b] += w
                charges[1, b0 + a, b1 + b] += w * y[i, 0]
                charges[2, b0 + a, b1 + b] += w * y[i, 1]


@kernel
def felt_of_itself(w0: F64, w1: F64, around: F64) -> float:
    """What a point has added to the sum that is read at its own place: 1, but for the grid."""
    total = 0.0
    for a in range(4):
        for b in range(4):
            for c in range(4):
                for d in range(4):
                    total += w0[a] * w0[b] * w1[c] * w1[d] * around[abs(a - b), abs(c - d)]
    return total


@kernel
def gather(y: F64, low: F64, cell: float, felt: F64, around: F64, push: F64) -> float:
    """Read the grid at each point: write (n, 2) pushes, return the sum of all similarities.

    Args:
        felt: (4, g, g) sums of 1 / (1 + d^2), and with its square, of 1 and both coordinates.
        around: (4, 4) 1 / (1 + d^2) of a node and those beside it.
    """
    w0, w1 = np.empty(4), np.empty(4)
    total = 0.0
    for i in range(len(y)):
        u0, u1 = (y[i, 0] - low[0]) / cell, (y[i, 1] - low[1]) / cell
        b0, b1 = int(u0), int(u1)
        weigh(u0 - b0, w0)
        weigh(u1 - b1, w1)
        near = one = two = three = 0.0
        for a in range(4):
            for b in range(4):
                w = w0[a] * w1[b]
                near += w * felt[0, b0 + a, b1 + b]
                one += w * felt[1, b0 + a, b1 + b]
                two += w * felt[2, b0 + a, b1 + b]
                three += w * felt[3, b0 + a, b1 + b]
        total += near - felt_of_itself(w0, w1, around)
        push[i, 0] = y[i, 0] * one - two
        push[i, 1] = y[i, 1] * one - three
    return total
