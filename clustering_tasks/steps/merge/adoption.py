"""What a continued run takes over from its level clustered anew: what is around the new items.

Clusters before and groups now that share items, directly or through others, are one neighbourhood.
Where it has no new item, all stays as it was. Where it has one, the groups take the clusters'
place, as long as few enough old items move in all; those neighbourhoods first in which fewest do.
Items that leave their cluster and clusters that become part of another are bounded alike, because
otherwise clusters would be joined that cannot be divided again.
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
        most_moved: old items that may leave their cluster, or noise; and as many may follow
            theirs into one that goes on as another.
    """
    shared = _shared(cluster, group, ~loose, weight)
    goes_on = _matches(shared)
    area = _areas(cluster, group, shared)
    count = int(area.max(initial=-1)) + 1
    touched = np.bincount(area[loose & (area >= 0)], minlength=count) > 0
    leaves, follows = _moves(cluster, group, goes_on, shared, ~loose)
    fits = _fitting(
        [_items(area[each], weight[each], count) for each in (leaves, follows)],
        np.flatnonzero(touched),
        most_moved,
    )
    taken = np.append(fits, False)[area]  # the last stands for noise, then and now
    labels = placed(Leftover(np.arange(len(cluster)), loose, cluster), group, weight, first)
    there = taken & (group >= 0)
    new = max(first, int(labels.max(initial=-1)) + 1) + np.cumsum(goes_on < 0) - 1
    labels[taken] = NOISE
    labels[there] = np.where(goes_on < 0, new, goes_on)[group[there]]
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


def _matches(shared: sparse.coo_array) -> I64:
    """Return the cluster that goes on as each group: (g,), NOISE for none.

    Those that share most items come first, each cluster and each group once.
    """
    clusters, groups = shared.shape
    match = np.full(groups, NOISE, dtype=np.int64)
    free = np.ones(clusters, dtype=bool)
    for at in np.lexsort((shared.col, shared.row, -shared.data)).tolist():
        cluster, group = shared.row[at], shared.col[at]
        if free[cluster] and match[group] < 0:
            match[group], free[cluster] = cluster, False
    return match


def _moves(
    cluster: I32, group: I32, goes_on: I64, shared: sparse.coo_array, old: Mask
) -> tuple[Mask, Mask]:
    """Return which old nodes leave most of their cluster, or noise, and which follow it into one
    that goes on as another: (n,) each."""
    largest = np.full(shared.shape[0] + 1, NOISE, dtype=np.int64)  # the last stands for noise
    order = np.lexsort((-shared.col, shared.data))  # the largest part of each comes last
    largest[shared.row[order]] = shared.col[order]
    leaves = old & (largest[cluster] != group)
    follows = old & ~leaves & (np.append(goes_on, NOISE)[group] != cluster)
    return leaves, follows


def _items(area: I64, weight: I32, areas: int) -> I64:
    return np.bincount(area, weight, minlength=areas).astype(np.int64)


def _fitting(moved: list[I64], touched: I64, most: int) -> Mask:
    """Take in neighbourhoods, those first in which fewest move, while no count passes the most."""
    counts = np.stack(moved, axis=1)
    fits, left = np.zeros(len(counts), dtype=bool), np.full(counts.shape[1], most)
    for at in touched[np.argsort(counts[touched].sum(axis=1), kind="stable")].tolist():
        if (counts[at] <= left).all():
            fits[at] = True
            left -= counts[at]
    return fits
