"""Gaps in time inside clusters (TM-3).

A gap is a stretch of time between a cluster's first and last date that none of its items covers.
"""

from typing import NamedTuple

import numpy as np

from clustering_tasks.arrays import F64, I32, Mask
from clustering_tasks.engine.compile import kernel


class Gaps(NamedTuple):
    """The long gaps of some clusters.

    Attributes:
        piece: (n,) int32 pieces between long gaps, numbered from 0 over all clusters; -1 for nodes
            that are undated or in no cluster.
        widest: (c,) days of each cluster's widest gap.
    """

    piece: I32
    widest: F64


def find_gaps(labels: I32, span: F64, longest: float) -> Gaps:
    """Cut clusters into pieces where none of their items covers more than `longest` days.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        span: (n, 2) first and last time of each node in days, NaN for undated.
        longest: gap in days that is no cut yet.
    """
    order = np.lexsort((span[:, 1], span[:, 0], labels))
    order = order[(labels[order] >= 0) & np.isfinite(span[order, 0])].astype(np.int32)
    piece = np.full(len(labels), -1, dtype=np.int32)
    widest = np.zeros(int(labels.max(initial=-1)) + 1)
    cut_at_gaps(order, labels, span, longest, piece, widest)
    return Gaps(piece, widest)


def split_at_gaps(labels: I32, gaps: Gaps, ids: I32, weight: I32, longest: float) -> I32:
    """Make each piece of a cluster with a long gap a cluster.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        gaps: of these clusters, from `find_gaps`.
        ids: (n, k) neighbours, nearest first, -1 for none; undated nodes follow them.
        weight: (n,) items per node.
        longest: as for `find_gaps`.

    Returns:
        (n,) int32 clusters from 0 without gaps in their numbers; negative ones as before, and -1
        for pieces of one item.
    """
    affected = np.append(gaps.widest > longest, False)[np.maximum(labels, -1)]
    piece = gaps.piece.copy()
    follow(labels, ids, piece, affected)
    _join_largest(labels, piece, affected, weight)
    return _numbered(labels, piece, affected, weight)


@kernel
def cut_at_gaps(
    order: I32, labels: I32, span: F64, longest: float, piece: I32, widest: F64
) -> None:
    """Number the pieces between gaps, from 0 over all clusters, and write each one's widest gap.

    `order` lists the dated nodes of all clusters by cluster and first time.
    """
    now, reach, before = -1, -np.inf, -1
    for node in order:
        gap = span[node, 0] - reach
        if labels[node] != before:
            now += 1
            before, reach = labels[node], span[node, 1]
        elif gap > 0:
            widest[before] = max(widest[before], gap)
            now += gap > longest
        piece[node] = now
        reach = max(reach, span[node, 1])


@kernel
def follow(labels: I32, ids: I32, piece: I32, affected: Mask) -> None:
    """Put undated nodes of clusters that are split into the piece of the nearest dated member."""
    found = piece.copy()
    for node in range(len(labels)):
        if not affected[node] or piece[node] >= 0:
            continue
        for other in ids[node]:
            if other >= 0 and labels[other] == labels[node] and piece[other] >= 0:
                found[node] = piece[other]
                break
    piece[:] = found


def _join_largest(labels: I32, piece: I32, affected: Mask, weight: I32) -> None:
    """Put what is left into its cluster's largest piece, the earliest of equals."""
    left = np.flatnonzero(affected & (piece < 0))
    if not len(left):
        return
    placed = np.flatnonzero(affected & (piece >= 0))
    sizes = np.bincount(piece[placed], weight[placed])
    first = placed[np.lexsort((piece[placed], -sizes[piece[placed]], labels[placed]))]
    clusters, at = np.unique(labels[first], return_index=True)
    piece[left] = piece[first[at]][np.searchsorted(clusters, labels[left])]


def _numbered(labels: I32, piece: I32, affected: Mask, weight: I32) -> I32:
    """Number clusters and pieces anew, in their order; a piece of one item becomes noise."""
    key = np.stack([labels, np.where(affected, piece, -1)])[:, labels >= 0]
    number = np.unique(key, axis=1, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(number, weight[labels >= 0])
    kept = np.where(sizes > 1, np.cumsum(sizes > 1) - 1, -1)
    result = labels.copy()
    result[labels >= 0] = kept[number]
    return result
