"""The minimum spanning tree of mutual reachability, over a neighbour graph and beyond it.

Edges are ordered by (mutual reachability, distance, smaller node, larger node). 5-15 % of the edges
of real news tie in the first; ordering them by distance makes the tree, and so the clusters,
independent of the order of the rows.
"""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.engine.rows import Vectors

# Largest error of a distance from a float32 product of unit vectors: sqrt(768 * 2^-24 * 2) < 0.01.
_ROUGH = 0.01
_BRIDGE_ROWS = 512
_BRIDGE_COLUMNS = 8192
_PROMISING = 4


@dataclass(frozen=True)
class Edges:
    """Edges of a spanning tree, in the order in which they join.

    Attributes:
        first, second: (n - 1,) int32 nodes, first < second.
        reachability: (n - 1,) float32 mutual reachability distance.
        distance: (n - 1,) float32 Euclidean distance.
    """

    first: I32
    second: I32
    reachability: F32
    distance: F32


def core_distances(ids: I32, distances: F32, weights: I32, min_samples: int) -> F32:
    """Distance from each node to its `min_samples`-th neighbour, itself not counted.

    Args:
        ids: (n, k) neighbours, nearest first, -1 for none.
        distances: (n, k).
        weights: (n,) how many identical items a node stands for; its own copies are neighbours at
            distance zero.
        min_samples: rank of the neighbour.

    Returns:
        (n,) float32; where there are fewer neighbours, the distance to the last.
    """
    if ids.shape[1] == 0:
        return np.zeros(len(ids), dtype=np.float32)
    copies = np.where(ids >= 0, weights[ids], 0)
    reached = (weights - 1)[:, None] + np.cumsum(copies, axis=1) >= min_samples
    last = np.maximum((ids >= 0).sum(axis=1) - 1, 0)
    rank = np.where(reached.any(axis=1), reached.argmax(axis=1), last)
    core = distances[np.arange(len(ids)), rank]
    alone = (weights - 1 >= min_samples) | (ids[:, 0] < 0)
    return np.where(alone, np.float32(0), core).astype(np.float32)


def spanning_tree(vectors: Vectors, ids: I32, distances: F32, core: F32) -> Edges:
    """Grow the minimum spanning tree of the mutual reachability graph.

    Over the neighbour graph by Boruvka's rounds; where that graph falls into several components,
    they are bridged by their true shortest connections, never by an infinite edge.

    Args:
        vectors: (n, d) unit vectors; read only where there are components to be bridged.
        ids: (n, k) neighbours, nearest first, -1 for none.
        distances: (n, k) their Euclidean distances.
        core: (n,) core distances.
    """
    n = len(core)
    # a component holds all neighbours of its nodes, so that whatever lies outside is farther
    farthest = np.where(ids >= 0, distances, 0).max(axis=1, initial=0)
    least = np.maximum(core, farthest)
    component = np.arange(n, dtype=np.int32)
    first, second = np.empty(max(n - 1, 0), np.int32), np.empty(max(n - 1, 0), np.int32)
    distance = np.empty(max(n - 1, 0), np.float32)
    found = grow(ids, distances, core, component, first, second, distance)
    while found < n - 1:
        found = _bridge(vectors, core, least, component, first, second, distance, found)
    reachability = np.maximum(np.maximum(core[first], core[second]), distance)
    order = np.lexsort((second, first, distance, reachability))
    return Edges(first[order], second[order], reachability[order], distance[order])


@kernel
def improve(
    best_w: F32, best_d: F32, best: I32, root: int, w: float, d: float, a: int, b: int
) -> None:
    """Remember edge (a, b), a < b, if it comes before the best edge of component `root`."""
    if best_w[root] < w:
        return
    if best_w[root] == w:
        if best_d[root] < d:
            return
        if best_d[root] == d and (best[root, 0] < a or (best[root, 0] == a and best[root, 1] < b)):
            return
    best_w[root], best_d[root] = w, d
    best[root, 0], best[root, 1] = a, b


@kernel
def scan(
    i: int,
    ids: I32,
    distances: F32,
    core: F32,
    parent: I32,
    best_w: F32,
    best_d: F32,
    best: I32,
) -> bool:
    """Offer a node's edges to the components at both ends; tell whether any leaves its own."""
    root_i = find(parent, i)
    outside = False
    for j in range(ids.shape[1]):
        other = ids[i, j]
        if other < 0:
            break
        root_j = find(parent, other)
        if root_i != root_j:
            outside = True
            d = distances[i, j]
            w = max(core[i], core[other], d)
            a, b = min(i, other), max(i, other)
            improve(best_w, best_d, best, root_i, w, d, a, b)
            improve(best_w, best_d, best, root_j, w, d, a, b)
    return outside


@kernel
def grow(
    ids: I32,
    distances: F32,
    core: F32,
    parent: I32,
    first: I32,
    second: I32,
    distance: F32,
) -> int:
    """Join components along the graph's edges by Boruvka's rounds; return the number of edges.

    `parent` is a union-find forest over the nodes and is updated, as are the edge arrays.
    """
    n = len(core)
    best_w, best_d = np.empty(n, np.float32), np.empty(n, np.float32)
    best = np.empty((n, 2), np.int32)
    active = np.arange(n)
    count = 0
    while len(active) > 0:
        best_w[:] = np.inf
        still = 0
        for at in range(len(active)):
            i = int(active[at])
            if scan(i, ids, distances, core, parent, best_w, best_d, best):
                active[still] = i
                still += 1
        active = active[:still]
        for root in range(n):
            if best_w[root] == np.inf:
                continue
            a, b = find(parent, best[root, 0]), find(parent, best[root, 1])
            if a != b:
                parent[max(a, b)] = min(a, b)
                first[count], second[count] = best[root, 0], best[root, 1]
                distance[count] = best_d[root]
                count += 1
    for node in range(n):
        parent[node] = find(parent, node)
    return count


def _bridge(
    vectors: Vectors,
    core: F32,
    least: F32,
    component: I32,
    first: I32,
    second: I32,
    distance: F32,
    found: int,
) -> int:
    """Join every component but the largest to its nearest other one; return the number of edges.

    The largest needs no search: by the cut property the others' shortest edges are in the tree.
    """
    best = np.full(len(core), np.inf, dtype=np.float32)
    pairs: list[tuple[float, float, int, int]] = [(np.inf, np.inf, -1, -1)] * len(core)
    searching = _searching(component, least)
    for start in range(0, len(searching), _BRIDGE_ROWS):
        rows = searching[start : start + _BRIDGE_ROWS]
        rows = rows[least[rows] <= best[component[rows]]]
        queries = vectors[rows]
        for column in range(0, len(core) if len(rows) else 0, _BRIDGE_COLUMNS):
            others = vectors[column : column + _BRIDGE_COLUMNS]
            rough = _rough_reachability(queries, others, core, component, rows, column)
            _refine(rough, queries, others, core, component, rows, column, best, pairs)
    for _, d, a, b in sorted(pair for pair in pairs if pair[2] >= 0):
        root_a, root_b = sorted((int(find(component, a)), int(find(component, b))))
        if root_a != root_b:
            component[root_b] = root_a
            first[found], second[found], distance[found] = a, b, d
            found += 1
    for node in range(len(component)):
        component[node] = find(component, node)
    return found


def _searching(component: I32, least: F32) -> I32:
    """Nodes outside the largest component, the most promising of every component first.

    They tell how near another component is, and most of the others need not be looked at then.
    """
    roots, sizes = np.unique(component, return_counts=True)
    nodes = np.flatnonzero(component != roots[sizes.argmax()])
    nodes = nodes[np.lexsort((least[nodes], component[nodes]))]
    change = np.flatnonzero(np.diff(component[nodes], prepend=-1))
    rank = np.arange(len(nodes)) - np.repeat(change, np.diff([*change, len(nodes)]))
    return nodes[np.lexsort((least[nodes], rank >= _PROMISING))].astype(np.int32)


def _rough_reachability(
    queries: F32, others: F32, core: F32, component: I32, rows: I32, column: int
) -> F32:
    """Mutual reachability, off by at most `_ROUGH`, infinite within a component."""
    block = slice(column, column + len(others))
    rough: F32 = 2 - 2 * (queries @ others.T)
    np.sqrt(np.maximum(rough, 0, out=rough), out=rough)
    np.maximum(rough, core[rows][:, None], out=rough)
    np.maximum(rough, core[block][None, :], out=rough)
    rough[component[rows][:, None] == component[block][None, :]] = np.inf
    return rough


def _refine(
    rough: F32,
    queries: F32,
    others: F32,
    core: F32,
    component: I32,
    rows: I32,
    column: int,
    best: F32,
    pairs: list[tuple[float, float, int, int]],
) -> None:
    """Compute exactly what may be a component's shortest edge."""
    bounds = np.minimum(best[component[rows]], rough.min(axis=1)) + 2 * _ROUGH
    lowest = np.full(len(core), np.inf, dtype=np.float32)
    np.minimum.at(lowest, component[rows], bounds)
    for at, j in zip(*np.nonzero(rough <= lowest[component[rows]][:, None]), strict=True):
        a, b = sorted((int(rows[at]), column + int(j)))
        d = np.sqrt(np.square(queries[at] - others[j]).sum(dtype=np.float32))
        pair = (float(max(core[a], core[b], d)), float(d), a, b)
        root = component[rows[at]]
        if pair < pairs[root]:
            pairs[root] = pair
            best[root] = pair[0]
