"""What remains of each cluster when some items are missing (Hennig 2007)."""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F64, I32
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.run import RunSettings

# Nodes of a level up to which clustering it a second time costs less than a second.
LARGEST = 5_000
_LEFT_OUT = 0.1


def stability(
    block: Block, found: FlatClustering, settings: RunSettings, method: Method, nodes: int
) -> F64:
    """Measure the stability of a block's clusters: (c,), NaN where it is not known.

    Args:
        block: see `Block`.
        found: its flat clustering.
        settings: with which it was found; a cut or a count that was chosen then is kept.
        method: with which it was found.
        nodes: of the whole level, which is not measured above `LARGEST`.
    """
    if nodes > LARGEST:
        return np.full(int(found.labels.max(initial=-1)) + 1, np.nan)
    traits = ALGORITHMS[method.algorithm]
    group = getattr(settings, traits.name)
    kept = group
    if not found.facts.get("joined"):  # the same cut alone would not find what was joined
        kept = group.model_copy(update={name: found.facts.get(name) for name in traits.keeps})
    settings = settings.model_copy(update={traits.name: kept})
    algorithm = traits.load()
    min_size = getattr(group, "min_cluster_size", 2)
    return remaining(block, found.labels, lambda part: algorithm(part, settings, method), min_size)


def remaining(
    block: Block, labels: I32, algorithm: Callable[[Block], FlatClustering], min_size: int
) -> F64:
    """Cluster a block again without a tenth of its nodes, on what is left of its graph.

    Args:
        block: see `Block`.
        labels: (n,) clusters that were found in it, from 0, negative for noise.
        algorithm: that found them; called with the smaller block.
        min_size: items that it takes to be a cluster.

    Returns:
        (c,) the highest Jaccard similarity of each cluster's remaining items to a cluster found
        now. NaN for clusters with fewer than `min_size` items left: nothing could find them.
    """
    kept = np.sort(np.random.default_rng(0).permutation(len(labels))[_left_out(labels) :])
    weight = block.weight[kept]
    before, after = labels[kept], algorithm(block.part(kept)).labels
    count = int(labels.max(initial=-1)) + 1
    left = _sizes(before, weight, count)
    found = _sizes(after, weight, int(after.max(initial=-1)) + 1)
    best = np.zeros(count)
    both = (before >= 0) & (after >= 0)
    shape = (count, len(found))
    common = sparse.csr_array((weight[both], (before[both], after[both])), shape=shape).tocoo()
    share = common.data / (left[common.row] + found[common.col] - common.data)
    np.maximum.at(best, common.row, share)
    return np.where(left >= min_size, best, np.nan)


def _left_out(labels: I32) -> int:
    return int(len(labels) * _LEFT_OUT)


def _sizes(labels: I32, weight: I32, count: int) -> F64:
    clustered = labels >= 0
    return np.bincount(labels[clustered], weight[clustered], minlength=count).astype(np.float64)
