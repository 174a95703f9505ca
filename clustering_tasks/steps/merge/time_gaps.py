"""Coherence in time (TM-3): a cluster whose items leave a long gap is split there, or trusted less.

A gap is a stretch of time between a cluster's first and last date that none of its items covers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering_tasks.engine.compile import kernel
from clustering_tasks.settings.run import TemporalSettings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Spans = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Coherent:
    """Clusters without a long gap, or with what was taken off for it.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps in their numbers; negative ones as before,
            and -1 for what is left alone by a split.
        probabilities: (n,) float32.
        gaps: clusters that had a gap longer than allowed; None where none is set.
    """

    labels: Ints
    probabilities: Floats
    gaps: int | None


def coherent(
    labels: Ints,
    probabilities: Floats,
    span: Spans,
    ids: Ints,
    weight: Ints,
    settings: TemporalSettings,
) -> Coherent:
    """Apply `max_gap_days`; where it is unset nothing changes.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        probabilities: (n,) of membership.
        span: (n, 2) first and last time of each node in days, NaN for undated.
        ids: (n, k) neighbours, nearest first, -1 for none; undated nodes follow them.
        weight: (n,) items per node.
        settings: of the run.
    """
    if (longest := settings.max_gap_days) is None:
        return Coherent(labels, probabilities, None)
    order = np.lexsort((span[:, 1], span[:, 0], labels))
    order = order[(labels[order] >= 0) & np.isfinite(span[order, 0])].astype(np.int32)
    piece = np.full(len(labels), -1, dtype=np.int32)
    widest = np.zeros(int(labels.max(initial=-1)) + 1)
    cut_at_gaps(order, labels, span, longest, piece, widest)
    broken = widest > longest
    gaps = int(broken.sum())
    if settings.on_gap == "penalise":
        kept = np.append(np.where(broken, longest / np.maximum(widest, longest), 1), 1)
        lowered = probabilities * kept[np.maximum(labels, -1)]
        return Coherent(labels, lowered.astype(np.float32), gaps)
    affected = np.append(broken, False)[np.maximum(labels, -1)]
    follow(labels, ids, piece, affected)
    _join_largest(labels, piece, affected, weight)
    return _split(labels, probabilities, piece, affected, weight, gaps)


@kernel
def cut_at_gaps(
    order: Ints, labels: Ints, span: Spans, longest: float, piece: Ints, widest: Spans
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
def follow(labels: Ints, ids: Ints, piece: Ints, affected: npt.NDArray[np.bool_]) -> None:
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


def _join_largest(labels: Ints, piece: Ints, affected: npt.NDArray[np.bool_], weight: Ints) -> None:
    """Put what is left into its cluster's largest piece, the earliest of equals."""
    left = np.flatnonzero(affected & (piece < 0))
    if not len(left):
        return
    placed = np.flatnonzero(affected & (piece >= 0))
    sizes = np.bincount(piece[placed], weight[placed])
    first = placed[np.lexsort((piece[placed], -sizes[piece[placed]], labels[placed]))]
    clusters, at = np.unique(labels[first], return_index=True)
    piece[left] = piece[first[at]][np.searchsorted(clusters, labels[left])]


def _split(
    labels: Ints,
    probabilities: Floats,
    piece: Ints,
    affected: npt.NDArray[np.bool_],
    weight: Ints,
    gaps: int,
) -> Coherent:
    """Number clusters and pieces anew, in their order; a piece of one item becomes noise."""
    key = np.stack([labels, np.where(affected, piece, -1)])[:, labels >= 0]
    number = np.unique(key, axis=1, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(number, weight[labels >= 0])
    kept = np.where(sizes > 1, np.cumsum(sizes > 1) - 1, -1)
    result = labels.copy()
    result[labels >= 0] = kept[number]
    lost = (labels >= 0) & (result < 0)
    return Coherent(result, np.where(lost, np.float32(0), probabilities), gaps)
