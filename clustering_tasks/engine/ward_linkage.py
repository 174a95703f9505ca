"""Ward's linkage (1963) over a neighbour graph.

What a merge adds to the squared error follows from the two clusters' sums and sizes, so the tree
grows without any matrix of pairs: clusters are compared where the graph links them. On real
collections, with 32 neighbours, the cut that is chosen gives scipy's clusters (adjusted Rand index
.99 and more) and scores the same against gold.
"""

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.linkage import Linkage, contract, symmetric, unite
from clustering_tasks.engine.products import dot


def ward_linkage(vectors: F32, ids: I32, weights: I32, least: float) -> Linkage:
    """Grow the tree along the edges of a graph.

    A merge's similarity is 1 - h^2 / 2 of Ward's distance h, as scipy has it: the root of twice
    what the merge adds to the squared error. It may be far below -1.

    Args:
        vectors: (n, d) vectors.
        ids: (n, k) neighbours, -1 for none.
        weights: (n,) items per node.
        least: merges below this similarity are left out.
    """
    n = len(vectors)
    bounds, columns = symmetric(ids)
    first, second = np.empty((2, max(n - 1, 0)), np.int32)
    added = np.empty(max(n - 1, 0), np.float32)
    count = chain_by_error(
        vectors * weights[:, None].astype(np.float32),
        weights.astype(np.float32),
        bounds[:-1].copy(),
        bounds[1:].copy(),
        columns,
        np.float32(1 - least),
        first,
        second,
        added,
    )
    order = np.argsort(added[:count], kind="stable")
    similarity = 1 - added[:count][order]
    return Linkage(first[:count][order], second[:count][order], similarity)


@kernel
def added_error(a: int, b: int, sums: F32, sizes: F32, squares: F32) -> np.float32:
    """Squared error that the merge of two clusters adds; never negative."""
    apart = (
        squares[a] / (sizes[a] * sizes[a])
        + squares[b] / (sizes[b] * sizes[b])
        - 2 * dot(sums[a], sums[b]) / (sizes[a] * sizes[b])
    )
    return np.float32(max(apart, 0) * (sizes[a] * sizes[b] / (sizes[a] + sizes[b])))


@kernel
def least_error(
    a: int,
    before: int,
    sums: F32,
    sizes: F32,
    squares: F32,
    following: I32,
    starts: I32,
    stops: I32,
    columns: I32,
) -> tuple[int, np.float32]:
    """Find the linked cluster whose merge with cluster `a` adds the least error.

    `before`, the predecessor in the chain, wins a tie, then the lowest number.
    """
    best, least = -1, np.float32(np.inf)
    node = a
    while node >= 0:
        for at in range(starts[node], stops[node]):
            other = columns[at]
            error = added_error(a, other, sums, sizes, squares)
            tie = error == least and best != before
            if error < least or (tie and (other == before or other < best)):
                best, least = other, error
        node = following[node]
    return best, least


@kernel
def chain_by_error(
    sums: F32,
    sizes: F32,
    starts: I32,
    stops: I32,
    columns: I32,
    most: np.float32,
    first: I32,
    second: I32,
    added: F32,
) -> int:
    """Merge reciprocal nearest neighbours until none are left; return the number of merges.

    Clusters are compared only where they are linked, so a merge may bring two clusters of the
    chain nearer than they were. A chain that comes back to one of its clusters goes on from there.
    """
    n = len(sizes)
    parent = np.arange(n).astype(np.int32)
    following = np.full(n, -1, np.int32)  # next segment of the same cluster
    squares = np.empty(n, np.float32)
    for node in range(n):
        squares[node] = dot(sums[node], sums[node])
    bound = np.full(len(columns), np.float32(np.inf))  # nothing is known beforehand of an error
    height = np.zeros(n, np.float32)
    seen = np.full(n, -1, np.int32)
    path = np.empty(n + 1, np.int32)
    on_path = np.full(n, -1, np.int32)
    count, tick, start, depth = 0, 0, 0, 0
    while start < n:
        if depth == 0:
            if parent[start] != start:
                start += 1
                continue
            path[0], on_path[start], depth = start, 0, 1
        a = path[depth - 1]
        before = path[depth - 2] if depth > 1 else -1
        tick += 1
        contract(a, parent, following, starts, stops, columns, bound, seen, tick)
        b, error = least_error(a, before, sums, sizes, squares, following, starts, stops, columns)
        if b >= 0 and error <= most and on_path[b] < 0:
            path[depth], on_path[b] = b, depth
            depth += 1
            continue
        ended = b < 0 or error > most
        keep = depth - 1 if ended else (depth - 2 if b == before else on_path[b] + 1)
        for place in range(keep, depth):
            on_path[path[place]] = -1
        depth = keep
        if ended and depth == 0:
            start += 1
        if ended or b != before:
            continue
        if b < a:
            a, b = b, a
        unite(a, b, sums, sizes, parent, following)
        squares[a] = dot(sums[a], sums[a])
        height[a] = max(error, height[a], height[b])
        first[count], second[count], added[count] = a, b, height[a]
        count += 1
    return count
