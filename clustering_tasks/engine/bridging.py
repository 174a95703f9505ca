"""Going on with a hierarchy where the neighbour graph has no edges left."""

from collections.abc import Callable

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.errors import ResourcesError

_MOST_COMPONENTS = 4096


def bridged(linkage: Linkage, vectors: F32, weights: I32, grow: Callable[..., Linkage]) -> Linkage:
    """Compare what the graph does not link all with all, until one cluster is left.

    Args:
        linkage: a whole forest.
        vectors: (n, d) unit vectors that it was grown on.
        weights: (n,) items per node.
        grow: the linkage: of vectors, neighbours, weights and a least similarity. It must depend on
            clusters by their means and sizes alone.

    Raises:
        ResourcesError: when the graph has too many components.
    """
    component = linkage.cut(len(vectors), -np.inf)
    of_first = np.unique(component, return_index=True)[1].astype(np.int32)
    count = len(of_first)
    if count > _MOST_COMPONENTS:
        raise ResourcesError(
            f"the neighbour graph has {count} components that no edge links, and no more than "
            f"{_MOST_COMPONENTS} are compared: leave agglomerative.clusters unset, set it to "
            f"{count} or more, or set agglomerative.linkage=single"
        )
    sizes = np.bincount(component, weights).astype(np.int32)
    sums = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    np.add.at(sums, component, vectors * weights[:, None].astype(np.float32))
    others = np.tile(np.arange(count, dtype=np.int32), (count, 1))
    others[np.diag_indices(count)] = -1
    more = grow((sums / sizes[:, None]).astype(np.float32), others, sizes, -np.inf)
    # the graph's own merges come first
    lowest = linkage.similarity.min(initial=np.inf)
    return Linkage(
        np.concatenate([linkage.first, of_first[more.first]]),
        np.concatenate([linkage.second, of_first[more.second]]),
        np.concatenate([linkage.similarity, np.minimum(more.similarity, lowest)]),
    )
