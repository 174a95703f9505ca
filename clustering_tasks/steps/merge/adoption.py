"""What a continued run takes over from its level clustered anew: what is around the new items.

Clusters before and groups now that share items, directly or through others, are one neighbourhood.
Where it has no new item, all stays as it was. Where it has one, the groups take the clusters'
place, as long as few enough old items move in all; those neighbourhoods first in which fewest do.
In the others the old memberships stay, and a new item goes where most of its group is.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.leftover import Leftover, placed


@dataclass(frozen=True)
class Adopted:
    """A clustering before, with what was taken over from the one now.

    Attributes:
        labels: (n,) int32 clusters; one that goes on has its number, new ones those after. NOISE
            for none.
        taken: (n,) nodes of the neighbourhoods whose groups have taken the clusters' place.
    """

    labels: I32
    taken: Mask


def adopt(
    cluster: I32, group: I32, loose: Mask, weight: I32, first: int, most_moved: int
) -> Adopted:
    """Take over what is around the new nodes.

    Args:
        cluster: (n,) of the nodes before, from 0 below `first`, NOISE for none.
        group: (n,) of the nodes now, from 0, NOISE for none.
        loose: (n,) nodes that are new, in no cluster before.
        weight: (n,) items per node.
        first: number of the first new cluster.
        most_moved: old items that may leave their cluster, or noise.
    """
    shared = _shared(cluster, group, ~loose, weight)
    area = _areas(cluster, group, shared)
    count = int(area.max(initial=-1)) + 1
    touched = np.bincount(area[loose & (area >= 0)], minlength=count) > 0
    moved = _moved(cluster, group, area, ~loose, weight, count)
    order = np.argsort(np.where(touched, moved, np.inf), kind="stable")
    fits = np.zeros(count, dtype=bool)
    fits[order] = np.cumsum(np.where(touched, moved, 0)[order]) <= most_moved
    taken = np.append(fits & touched, False)[area]  # the last stands for noise, then and now
    labels = placed(Leftover(np.arange(len(cluster)), loose, cluster), group, weight, first)
    there = taken & (group >= 0)
    own = _numbers(shared, int(labels.max(initial=first - 1)) + 1)
    labels[taken] = NOISE
    labels[there] = own[group[there]]
    return Adopted(labels, taken)


def _shared(cluster: I32, group: I32, old: Mask, weight: I32) -> sparse.coo_array:
    """Count the old items that each cluster shares with each group: (c, g)."""
    both = old & (cluster >= 0) & (group >= 0)
    shape = int(cluster.max(initial=-1)) + 1, int(group.max(initial=-1)) + 1
    pairs = cluster[both], group[both]
    return sparse.csr_array((weight[both], pairs), shape=shape).tocoo()


def _areas(cluster: I32, group: I32, shared: sparse.coo_array) -> I64:
    """Return the neighbourhood of each node, numbered by first nodes: (n,), -1 for none."""
    clusters, groups = shared.shape
    ends = shared.row, shared.col + clusters
    linked = sparse.coo_array((np.ones(len(ends[0])), ends), shape=(clusters + groups,) * 2)
    of_set = np.append(connected_components(linked, directed=False)[1], -1)
    area = of_set[np.where(cluster >= 0, cluster, np.where(group >= 0, group + clusters, -1))]
    there = area >= 0
    known, first, at = np.unique(area[there], return_index=True, return_inverse=True)
    result = np.full(len(area), -1, dtype=np.int64)
    result[there] = np.argsort(np.argsort(first))[at] if len(known) else at
    return result


def _moved(cluster: I32, group: I32, area: I64, old: Mask, weight: I32, areas: int) -> I64:
    """Count the old items of each neighbourhood that would leave their cluster, or noise.

    A cluster goes on as the group that has most of its items; the others leave it.
    """
    held = old & (area >= 0)
    # noise before is no cluster: each item of it in a group has moved
    stays = np.zeros(len(cluster), dtype=bool)
    both = np.flatnonzero(held & (cluster >= 0) & (group >= 0))
    best = _largest_parts(cluster[both], group[both], weight[both])
    stays[both] = best[cluster[both]] == group[both]
    moves = held & ~stays & ((cluster >= 0) | (group >= 0))
    return np.bincount(area[moves], weight[moves], minlength=areas).astype(np.int64)


def _largest_parts(cluster: I32, group: I32, weight: I32) -> I64:
    """Return the group with most items of each cluster; of equals the lower number."""
    shape = int(cluster.max(initial=-1)) + 1, int(group.max(initial=-1)) + 1
    parts = sparse.csr_array((weight, (cluster, group)), shape=shape).tocoo()
    best = np.full(shape[0], NOISE, dtype=np.int64)
    order = np.lexsort((-parts.col, parts.data))  # the largest comes last
    best[parts.row[order]] = parts.col[order]
    return best


def _numbers(shared: sparse.coo_array, first: int) -> I32:
    """Give groups the numbers of the clusters that they share most with, each once; others new.

    Args:
        shared: (c, g) items.
        first: number of the first new cluster.
    """
    clusters, groups = shared.shape
    number = np.full(groups, NOISE, dtype=np.int32)
    free = np.ones(clusters, dtype=bool)
    for at in np.lexsort((shared.col, shared.row, -shared.data)).tolist():
        cluster, group = shared.row[at], shared.col[at]
        if free[cluster] and number[group] < 0:
            number[group], free[cluster] = cluster, False
    new = np.flatnonzero(number < 0)
    number[new] = first + np.arange(len(new), dtype=np.int32)
    return number
