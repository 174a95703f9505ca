"""Label propagation on a weighted graph (Raghavan, Albert, Kumara 2007), deterministic."""

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel

_ROUNDS = 50  # real collections settle in 5 to 12


def propagate(ids: I32, similarity: F32, weights: I32, min_similarity: float, k: int) -> I32:
    """Group nodes by the label that most of their edges' weight bears.

    Args:
        ids: (n, j) neighbours, -1 for none.
        similarity: (n, j) of the edges; those not above `min_similarity` are left out.
        weights: (n,) items per node.
        min_similarity: see above.
        k: most similar neighbours kept of each node.

    Returns:
        (n,) int32 labels, arbitrary numbers; nodes without an edge have their own.
    """
    return spread(strongest(ids, similarity, min_similarity, k), weights)


def spread(graph: sparse.csr_array, weights: I32) -> I32:
    """Group nodes by the labels around them, as `propagate` does; all edges count."""
    labels = np.arange(graph.shape[0], dtype=np.int32)
    settle(
        graph.indptr.astype(np.int32),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float32),
        weights,
        labels,
        _ROUNDS,
    )
    return labels


def above(graph: sparse.csr_array, min_similarity: float) -> sparse.csr_array:
    """Leave out edges of at most `min_similarity`; as if `strongest` had been given it."""
    keep = graph.data > min_similarity
    bounds = np.append(0, np.cumsum(keep))[graph.indptr]
    return sparse.csr_array((graph.data[keep], graph.indices[keep], bounds), shape=graph.shape)


def strongest(ids: I32, similarity: F32, min_similarity: float, k: int) -> sparse.csr_array:
    """Keep each node's k strongest edges above `min_similarity`, in both directions: (n, n)."""
    n = len(ids)
    order = np.lexsort((ids, -similarity))[:, :k]
    columns = np.take_along_axis(ids, order, axis=1)
    values = np.take_along_axis(similarity, order, axis=1)
    keep = (columns >= 0) & (values > min_similarity)
    rows = np.repeat(np.arange(n), keep.sum(axis=1))
    graph = sparse.csr_array((values[keep], (rows, columns[keep])), shape=(n, n))
    return graph.maximum(graph.T).tocsr()


@kernel
def settle(bounds: I32, columns: I32, values: F32, weights: I32, labels: I32, rounds: int) -> None:
    """Give each node in turn the heaviest label around it, until none changes.

    A node's own label wins a tie, then the lowest. Its copies vote for its own.
    """
    n = len(labels)
    votes = np.zeros(n, np.float32)
    for _ in range(rounds):
        changed = False
        for i in range(n):
            votes[labels[i]] += weights[i] - 1
            for at in range(bounds[i], bounds[i + 1]):
                votes[labels[columns[at]]] += values[at] * weights[columns[at]]
            best = labels[i]
            for at in range(bounds[i], bounds[i + 1]):
                label = labels[columns[at]]
                if votes[label] > votes[best] or (
                    votes[label] == votes[best] and best != labels[i] and label < best
                ):
                    best = label
            votes[labels[i]] = 0
            for at in range(bounds[i], bounds[i + 1]):
                votes[labels[columns[at]]] = 0
            changed = changed or best != labels[i]
            labels[i] = best
        if not changed:
            break
