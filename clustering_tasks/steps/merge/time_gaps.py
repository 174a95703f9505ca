"""Long gaps in time inside clusters (TM-3): such a cluster is split there, or trusted less."""

from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.time_gaps import find_gaps, split_at_gaps
from clustering_tasks.settings.groups.graph import TemporalSettings


@dataclass(frozen=True)
class Checked:
    """Clusters without a long gap, or with a lower probability for it.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps in their numbers; negative ones as before,
            and -1 for nodes that a split leaves alone.
        probabilities: (n,) float32.
        gaps: clusters that had a gap longer than allowed; None where none is set.
    """

    labels: I32
    probabilities: F32
    gaps: int | None


def check_gaps(
    labels: I32,
    probabilities: F32,
    span: F64,
    ids: I32,
    weight: I32,
    settings: TemporalSettings,
) -> Checked:
    """Apply `max_gap_days` and `on_gap`; where the first is unset nothing changes.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        probabilities: (n,) of membership.
        span: (n, 2) first and last time of each node in days, NaN for undated.
        ids: (n, k) neighbours, nearest first, -1 for none; undated nodes follow them.
        weight: (n,) items per node.
        settings: of the run.
    """
    if (longest := settings.max_gap_days) is None:
        return Checked(labels, probabilities, None)
    found = find_gaps(labels, span, longest)
    broken = found.widest > longest
    if settings.on_gap == "penalise":
        kept = np.append(np.where(broken, longest / np.maximum(found.widest, longest), 1), 1)
        lowered = probabilities * kept[np.maximum(labels, -1)]
        return Checked(labels, lowered.astype(np.float32), int(broken.sum()))
    split = split_at_gaps(labels, found, ids, weight, longest)
    lost = (labels >= 0) & (split < 0)
    return Checked(split, np.where(lost, np.float32(0), probabilities), int(broken.sum()))
