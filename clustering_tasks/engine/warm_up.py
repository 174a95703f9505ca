"""Compiling every kernel before the first task needs it."""

import time

import numpy as np

from clustering_tasks.engine.condensed_tree import condense, select
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.spanning_tree import core_distances, spanning_tree


def warm_up() -> float:
    """Run the engine on a few vectors, which compiles its kernels into the cache.

    Returns:
        seconds that it took.
    """
    started = time.perf_counter()
    vectors = np.eye(12, dtype=np.float32)
    weight = np.ones(12, dtype=np.int32)
    found = exact_neighbours(vectors, 0, 12, 4)
    core = core_distances(found.ids, found.distances, weight, 2)
    select(condense(spanning_tree(vectors, found.ids, found.distances, core), weight, 3))
    return time.perf_counter() - started
