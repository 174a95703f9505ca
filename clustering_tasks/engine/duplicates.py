"""Near-duplicates: copies of an item with small changes, as agencies' texts are reprinted."""

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F32, I32

# Cosine. On titles of real news it separates reprints (trailing outlet, "update 1")
# from other texts about the same event.
LEAST = 0.98
_FARTHEST = float(np.sqrt(2 - 2 * LEAST))


def near_duplicates(ids: I32, distances: F32) -> I32:
    """Number the groups of near-duplicates: (m,) int32; a node without any has its own number.

    Args:
        ids: (m, k) neighbours, -1 for none.
        distances: (m, k) Euclidean distances.
    """
    rows, columns = np.nonzero((distances <= _FARTHEST) & (ids >= 0))
    shape = (len(ids), len(ids))
    graph = sparse.csr_array((np.ones(len(rows), bool), (rows, ids[rows, columns])), shape=shape)
    groups: I32 = sparse.csgraph.connected_components(graph, directed=False)[1]
    return groups
