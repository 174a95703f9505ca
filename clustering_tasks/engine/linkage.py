"""Average linkage over a neighbour graph.

The mean similarity of two clusters of unit vectors is exactly the product of their sums over their
sizes, so the tree grows without any matrix of pairs: clusters are compared where the graph links
them, by their sums. By chains of nearest neighbours (Murtagh 1983), n log n in practice.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.engine.spanning_tree import find

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Linkage:
    """Merges of a hierarchy, most similar first.

    Attributes:
        first, second: (m,) int32 a node of each of the two clusters that merge.
        similarity: (m,) float32 their mean similarity, never above that of an earlier merge.
    """

    first: Ints
    second: Ints
    similarity: Floats

    def cut(self, nodes: int, similarity: float) -> Ints:
        """Labels when all merges of at least `similarity` are done: (nodes,) int32 from 0."""
        done = int(np.searchsorted(-self.similarity, -np.float32(similarity), side="right"))
        ones = np.ones(done, dtype=bool)
        graph = sparse.csr_array((ones, (self.first[:done], self.second[:done])), (nodes, nodes))
        labels: Ints = sparse.csgraph.connected_components(graph, directed=False)[1]
        return labels


def symmetric(ids: Ints) -> tuple[Ints, Ints]:
    """Link both ways: row bounds (n + 1,) and columns of the graph's symmetric form."""
    rows = np.repeat(np.arange(len(ids), dtype=np.int32), (ids >= 0).sum(axis=1))
    shape = (len(ids), len(ids))
    graph = sparse.csr_array((np.ones(len(rows), np.int8), (rows, ids[ids >= 0])), shape)
    both = (graph + graph.T).tocsr()
    both.sort_indices()
    return both.indptr.astype(np.int32), both.indices.astype(np.int32)


def average_linkage(vectors: Floats, ids: Ints, weights: Ints, least: float) -> Linkage:
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
        bounds,
        columns,
        least,
        first,
        second,
        similarity,
    )
    order = np.argsort(-similarity[:count], kind="stable")
    return Linkage(first[:count][order], second[:count][order], similarity[:count][order])


@kernel
def most_similar(
    a: int,
    before: int,
    sums: Floats,
    sizes: Floats,
    parent: Ints,
    following: Ints,
    bounds: Ints,
    columns: Ints,
    seen: Ints,
    tick: int,
) -> tuple[int, float]:
    """Find the cluster most similar to cluster `a` among those that its nodes are linked to.

    `before`, its predecessor in the chain, wins a tie: otherwise a chain could run in a circle.
    """
    best, best_similarity = -1, -2.0
    node = a
    while node >= 0:
        for at in range(bounds[node], bounds[node + 1]):
            other = find(parent, columns[at])
            if other == a or seen[other] == tick:
                continue
            seen[other] = tick
            similarity = dot(sums[a], sums[other]) / (sizes[a] * sizes[other])
            tie = similarity == best_similarity
            if similarity > best_similarity or (
                tie and best != before and (other == before or other < best)
            ):
                best, best_similarity = other, similarity
        node = following[node]
    return best, best_similarity


@kernel
def chain(
    sums: Floats,
    sizes: Floats,
    bounds: Ints,
    columns: Ints,
    least: float,
    first: Ints,
    second: Ints,
    similarity: Floats,
) -> int:
    """Merge reciprocal nearest neighbours until none are left; return the number of merges."""
    n = len(sizes)
    parent = np.arange(n).astype(np.int32)
    following = np.full(n, -1, np.int32)  # next node of the same cluster
    last = np.arange(n).astype(np.int32)
    height = np.full(n, np.float32(2))
    seen = np.full(n, -1, np.int32)
    path = np.empty(n + 1, np.int32)
    count, tick = 0, 0
    for start in range(n):
        if parent[start] != start:
            continue
        path[0], depth = start, 1
        while depth > 0:
            a = path[depth - 1]
            before = path[depth - 2] if depth > 1 else -1
            tick += 1
            b, s = most_similar(
                a, before, sums, sizes, parent, following, bounds, columns, seen, tick
            )
            if b < 0 or s < least:
                depth -= 1
            elif b != before:
                path[depth] = b
                depth += 1
            else:
                depth -= 2
                # the lower node stays the root: the first of the node list that is walked
                a, b = min(a, b), max(a, b)
                parent[b] = a
                following[last[a]] = b
                last[a] = last[b]
                sums[a] += sums[b]
                sizes[a] += sizes[b]
                height[a] = min(s, height[a], height[b])
                first[count], second[count], similarity[count] = a, b, height[a]
                count += 1
                if depth == 0 and a == start:
                    path[0], depth = start, 1
    return count
