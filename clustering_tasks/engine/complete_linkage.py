"""Complete linkage on all pairs of a connected component of the neighbour graph.

By chains of nearest neighbours (Murtagh 1983), n^2 in time and memory. No merge at a similarity of
t or more joins nodes of different components of the graph of all edges of at least t, so the
components can be taken one by one.
"""

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F32, F64, I32, Mask
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.exact import cosines
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.engine.shuffle import shuffled
from clustering_tasks.engine.window import blank
from clustering_tasks.errors import ResourcesError

_ROWS = 1024
# Above the largest difference between the similarity of an edge and that of the same pair here.
_SLACK = np.float32(1e-5)
# Below every cosine: of pairs that must not meet.
_NEVER = np.float32(-2)


def complete_linkage(
    vectors: F32,
    ids: I32,
    similarity: F32,
    min_similarity: float,
    max_nodes: int,
    span: F64 | None = None,
    window_days: float | None = None,
) -> Linkage:
    """Grow the complete-linkage tree of unit vectors.

    Args:
        vectors: (n, d) unit vectors.
        ids: (n, k) neighbours, -1 for none.
        similarity: (n, k) cosines of these vectors along the edges.
        min_similarity: merges below it are left out; with -1 or less all pairs may merge,
            whether edges connect them or not.
        max_nodes: of one component.
        span: (n, 2) first and last time in days, NaN for undated.
        window_days: nodes further apart never get into one cluster.

    Raises:
        ResourcesError: when a component is larger.
    """
    if min_similarity <= -1:
        component = np.zeros(len(vectors), dtype=np.int32)
    else:
        component = _components(ids, similarity >= np.float32(min_similarity) - _SLACK)
    sizes = np.bincount(component)
    if sizes.max(initial=0) > max_nodes:
        raise ResourcesError(
            f"{sizes.max()} different vectors hang together at a similarity of "
            f"{min_similarity:.2f}; linkage=complete compares all pairs of them and takes "
            f"{max_nodes} at most. Set agglomerative.linkage to average, ward or single, which "
            f"follow the neighbour graph, or raise agglomerative.cut_similarity or "
            f"agglomerative.max_component (4 bytes a pair)"
        )
    nothing = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    trees = [nothing]
    for rows in np.split(np.argsort(component, kind="stable"), np.cumsum(sizes)[:-1]):
        if len(rows) > 1:
            rows = rows[shuffled(vectors[rows])]  # so that ties do not depend on the rows
            pairs = _pairs(vectors[rows])
            if span is not None and window_days is not None:
                _forbid(pairs, span[rows], window_days)
            trees.append(_tree(pairs, rows.astype(np.int32), min_similarity))
    first, second, merged = (np.concatenate(arrays) for arrays in zip(*trees, strict=True))
    order = np.argsort(-merged, kind="stable")
    return Linkage(first[order], second[order], merged[order])


def _components(ids: I32, linked: Mask) -> I32:
    rows, at = np.nonzero(linked & (ids >= 0))
    ones = np.ones(len(rows), dtype=bool)
    graph = sparse.csr_array((ones, (rows, ids[rows, at])), (len(ids), len(ids)))
    component: I32 = sparse.csgraph.connected_components(graph, directed=False)[1]
    return component


def _pairs(vectors: F32) -> F32:
    similarity = np.empty((len(vectors), len(vectors)), dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        block = slice(start, start + _ROWS)
        similarity[block] = cosines(vectors[block], vectors)
    return similarity


def _forbid(similarity: F32, span: F64, window_days: float) -> None:
    blank(similarity, np.arange(len(span), dtype=np.int32), 0, span, window_days)
    similarity[np.isnan(similarity)] = _NEVER


def _tree(similarity: F32, rows: I32, min_similarity: float) -> tuple[I32, I32, F32]:
    first, second = np.empty((2, len(rows) - 1), np.int32)
    merged = np.empty(len(rows) - 1, np.float32)
    chain_pairs(similarity, first, second, merged)
    done = (merged >= np.float32(min_similarity)) & (merged > _NEVER)
    return rows[first[done]], rows[second[done]], merged[done]


@kernel
def chain_pairs(similarity: F32, first: I32, second: I32, merged: F32) -> None:
    """Merge reciprocal nearest neighbours until one cluster is left; overwrites `similarity`.

    `linkage.chain` walks lists of links and may come back to its own path. This one scans rows of a
    matrix, and no merge brings two clusters nearer.

    A cluster is known by its first node. Of equals the predecessor in the chain is the nearest,
    then the lowest number.
    """
    n = len(similarity)
    alive = np.ones(n, np.bool_)
    path = np.empty(n + 1, np.int32)
    count, start, depth = 0, 0, 0
    while count < n - 1:
        if depth == 0:
            while not alive[start]:
                start += 1
            path[0], depth = start, 1
        a = path[depth - 1]
        b = path[depth - 2] if depth > 1 else -1
        before, best = b, similarity[a, b] if b >= 0 else np.float32(-np.inf)
        for c in range(n):
            if alive[c] and c != a and similarity[a, c] > best:
                b, best = c, similarity[a, c]
        if b != before:
            path[depth] = b
            depth += 1
            continue
        depth -= 2
        a, b = min(a, b), max(a, b)
        first[count], second[count], merged[count] = a, b, best
        count += 1
        alive[b] = False
        for c in range(n):
            similarity[a, c] = similarity[c, a] = min(similarity[a, c], similarity[b, c])
