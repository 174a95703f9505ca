"""Average linkage over a neighbour graph.

The mean similarity of two clusters of unit vectors is exactly the product of their sums over their
sizes, so the tree grows without any matrix of pairs: clusters are compared where the graph links
them, by their sums. By chains of nearest neighbours (Murtagh 1983), n log n in practice.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.engine.products import dot


@dataclass(frozen=True)
class Linkage:
    """Merges of a hierarchy, most similar first.

    Attributes:
        first, second: (m,) int32 a node of each of the two clusters that merge.
        similarity: (m,) float32 their mean similarity, never above that of an earlier merge.
    """

    first: I32
    second: I32
    similarity: F32

    def merges(self, similarity: float) -> int:
        """Count the merges of at least `similarity`."""
        return int(np.searchsorted(-self.similarity, -np.float32(similarity), side="right"))

    def cut(self, nodes: int, similarity: float) -> I32:
        """Labels when all merges of at least `similarity` are done: (nodes,) int32 from 0."""
        done = self.merges(similarity)
        ones = np.ones(done, dtype=bool)
        graph = sparse.csr_array((ones, (self.first[:done], self.second[:done])), (nodes, nodes))
        labels: I32 = sparse.csgraph.connected_components(graph, directed=False)[1]
        return labels


def symmetric(ids: I32) -> tuple[I32, I32]:
    """Link both ways: row bounds (n + 1,) and columns of the graph's symmetric form."""
    rows = np.repeat(np.arange(len(ids), dtype=np.int32), (ids >= 0).sum(axis=1))
    shape = (len(ids), len(ids))
    graph = sparse.csr_array((np.ones(len(rows), np.int8), (rows, ids[ids >= 0])), shape)
    both = (graph + graph.T).tocsr()
    both.sort_indices()
    return both.indptr.astype(np.int32), both.indices.astype(np.int32)


def average_linkage(vectors: F32, ids: I32, weights: I32, least: float) -> Linkage:
    """Grow the average-linkage tree of unit vectors along the edges of a graph.

    Args:
        vectors: (n, d) unit vectors.
        ids: (n, k) neighbours, -1 for none.
        weights: (n,) items per node.
        least: merges below this similarity are left out.
    """
    n = len(vectors)
    bounds, columns = symmetric(ids)
    sums = vectors * weights[:, None].astype(np.float32)
    first, second = np.empty(max(n - 1, 0), np.int32), np.empty(max(n - 1, 0), np.int32)
    similarity = np.empty(max(n - 1, 0), np.float32)
    count = chain(
        sums,
        weights.astype(np.float32),
        bounds[:-1].copy(),
        bounds[1:].copy(),
        columns,
        np.full(len(columns), np.inf, np.float32),
        least,
        first,
        second,
        similarity,
    )
    order = np.argsort(-similarity[:count], kind="stable")
    return Linkage(first[:count][order], second[:count][order], similarity[:count][order])


# A cluster's links lie in the segments of its nodes, [starts[node], stops[node]), chained by
# `following`. A link is the other cluster and a bound of the similarity: by how much a mean can
# have risen since it was computed is known from the sizes of what was added. Large clusters have
# thousands of links, of which a few may be the best one. With the bounds, 10,000 items take .30 s
# instead of .56 s, and 50,000 up to a similarity of .6 take 2.6 s instead of 4.8 s.
_SLACK = np.float32(1e-5)  # of float32 sums of bounds


@kernel
def contract(
    a: int,
    parent: I32,
    following: I32,
    starts: I32,
    stops: I32,
    columns: I32,
    bound: F32,
    seen: I32,
    tick: int,
) -> None:
    """Leave one link per neighbouring cluster of cluster `a`, at the front of its segments."""
    to, place = a, starts[a]
    node = a
    while node >= 0:
        start, stop = starts[node], stops[node]
        for at in range(start, stop):
            other = find(parent, columns[at])
            if other == a or seen[other] == tick:
                continue
            seen[other] = tick
            known = bound[at] if other == columns[at] else np.float32(np.inf)
            while place == stops[to]:
                to = following[to]
                place = starts[to]
            columns[place], bound[place] = other, known
            place += 1
        node = following[node]
    stops[to] = place
    following[to] = -1


@kernel
def most_similar(
    a: int,
    before: int,
    sums: F32,
    sizes: F32,
    following: I32,
    starts: I32,
    stops: I32,
    columns: I32,
    bound: F32,
    grown: F32,
    seen_grown: F32,
) -> tuple[int, np.float32]:
    """Find the cluster most similar to cluster `a` among those that it is linked to.

    `before`, its predecessor in the chain, wins a tie: otherwise a chain could run in a circle.
    Links that have no bound yet are computed first, then those whose bound reaches the best.
    """
    best, best_similarity = -1, np.float32(-2.0)
    for unknown in (True, False):
        node = a
        while node >= 0:
            for at in range(starts[node], stops[node]):
                other = columns[at]
                risen = grown[a] + seen_grown[other]
                if (bound[at] == np.inf) != unknown and other != before:
                    continue
                if not unknown and bound[at] + risen < best_similarity - _SLACK:
                    continue
                similarity = dot(sums[a], sums[other]) / (sizes[a] * sizes[other])
                bound[at] = similarity - risen
                tie = similarity == best_similarity
                if similarity > best_similarity or (
                    tie and best != before and (other == before or other < best)
                ):
                    best, best_similarity = other, similarity
            node = following[node]
    return best, best_similarity


@kernel
def absorb(
    a: int,
    b: int,
    sums: F32,
    sizes: F32,
    parent: I32,
    following: I32,
    starts: I32,
    stops: I32,
    bound: F32,
    grown: F32,
    seen_grown: F32,
) -> None:
    """Make cluster `b` part of cluster `a`.

    The links of the smaller one say nothing about both; those of the larger keep their bounds.
    """
    small, large = (a, b) if sizes[a] < sizes[b] else (b, a)
    node = small
    while node >= 0:
        bound[starts[node] : stops[node]] = np.inf
        node = following[node]
    total = sizes[a] + sizes[b]
    grown[a] = grown[large] + 2 * sizes[small] / total
    seen_grown[a] += 2 * sizes[b] / total
    unite(a, b, sums, sizes, parent, following)


@kernel
def unite(a: int, b: int, sums: F32, sizes: F32, parent: I32, following: I32) -> None:
    """Append the segments of cluster `b` to those of cluster `a`, and add up what they hold."""
    end = a
    while following[end] >= 0:
        end = following[end]
    following[end] = b
    parent[b] = a
    sums[a] += sums[b]
    sizes[a] += sizes[b]


@kernel
def chain(
    sums: F32,
    sizes: F32,
    starts: I32,
    stops: I32,
    columns: I32,
    bound: F32,
    least: float,
    first: I32,
    second: I32,
    similarity: F32,
) -> int:
    """Merge reciprocal nearest neighbours until none are left; return the number of merges.

    A merge may bring two clusters of the chain nearer than they were: clusters are compared where
    the graph links them, and one of the two that merged was linked to neither. A chain that comes
    back to one of its clusters goes on from there.
    """
    n = len(sizes)
    parent = np.arange(n).astype(np.int32)
    following = np.full(n, -1, np.int32)  # next segment of the same cluster
    grown = np.zeros(n, np.float32)  # most that a mean similarity has risen since, seen from inside
    seen_grown = np.zeros(n, np.float32)  # and from outside
    height = np.full(n, np.float32(2))
    seen = np.full(n, -1, np.int32)
    path = np.empty(n + 1, np.int32)
    on_path = np.full(n, -1, np.int32)
    count, tick = 0, 0
    for start in range(n):
        if parent[start] != start:
            continue
        path[0], depth = start, 1
        on_path[start] = 0
        while depth > 0:
            a = path[depth - 1]
            before = path[depth - 2] if depth > 1 else -1
            tick += 1
            contract(a, parent, following, starts, stops, columns, bound, seen, tick)
            b, s = most_similar(
                a, before, sums, sizes, following, starts, stops, columns, bound, grown, seen_grown
            )
            keep = depth
            if b < 0 or s < least:
                keep = depth - 1
            elif b == before:
                keep = depth - 2
            elif on_path[b] >= 0:
                keep = on_path[b] + 1
            else:
                path[depth], on_path[b] = b, depth
                depth += 1
                continue
            for place in range(keep, depth):
                on_path[path[place]] = -1
            depth = keep
            if b >= 0 and s >= least and b == before:
                # the lower node stays the root: the first of the segments that are walked
                a, b = min(a, b), max(a, b)
                absorb(
                    a, b, sums, sizes, parent, following, starts, stops, bound, grown, seen_grown
                )
                height[a] = min(s, height[a], height[b])
                first[count], second[count], similarity[count] = a, b, height[a]
                count += 1
                if depth == 0 and a == start:
                    path[0], on_path[a], depth = start, 0, 1
    return count
