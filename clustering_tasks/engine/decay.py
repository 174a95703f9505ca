"""Decay in time: two clusters are less similar by exp(-days between them / decay days)."""

from typing import NamedTuple

import numpy as np

from clustering_tasks.arrays import F64, I32
from clustering_tasks.engine.compile import kernel

_HALVINGS = 8
_FARTHEST = 60.0  # decay times; float32 has nothing between this and none


class Decay(NamedTuple):
    """When clusters are, and how fast similarity decays between them.

    Attributes:
        spans: (n, 2) first and last time of each node in days, NaN for undated ones.
        rate: 1 / (days after which similarity has fallen to 1/e); 0: time does not count.
    """

    spans: F64
    rate: float

    def of_groups(self, labels: I32, weights: I32) -> "GroupedDecay":
        """When groups of nodes are.

        Args:
            labels: (n,) from 0.
            weights: (n,) items per node.
        """
        if not self.rate:
            return GroupedDecay(self.spans, self.spans, self.spans, 0.0)
        count = int(labels.max(initial=-1)) + 1
        hulls = np.full((count, 2), np.nan)
        np.fmin.at(hulls[:, 0], labels, self.spans[:, 0])
        np.fmax.at(hulls[:, 1], labels, self.spans[:, 1])
        dated = np.flatnonzero(np.isfinite(self.spans[:, 0]))
        middles = self.spans[dated].mean(axis=1) * weights[dated]
        items = np.bincount(labels[dated], weights[dated], minlength=count)
        means = np.full(count, np.nan)
        np.divide(
            np.bincount(labels[dated], middles, minlength=count), items, out=means, where=items > 0
        )
        spans = np.where(np.isnan(self.spans), hulls[labels], self.spans)
        return GroupedDecay(spans, hulls, np.repeat(means[:, None], 2, axis=1), self.rate)


class GroupedDecay(NamedTuple):
    """Decay between nodes and groups of them.

    Attributes:
        spans: (n, 2) first and last time of each node in days. An undated one is when its group is:
            otherwise all that its story has at other times would be as near as its own group.
        hulls: (c, 2) the same of each group, NaN for undated ones.
        means: (c, 2) mean time of each group, twice.
        rate: see `Decay`.
    """

    spans: F64
    hulls: F64
    means: F64
    rate: float


TIMELESS = Decay(np.empty((0, 2)), 0.0)


def decay_of(spans: F64 | None, days: float | None) -> Decay:
    """The decay among nodes; none where fewer than two are dated.

    Args:
        spans: (n, 2) first and last time in days, NaN for undated; None: nothing is known.
        days: after which similarity has fallen to 1/e; None: time does not count.
    """
    if spans is None or days is None or np.isfinite(spans[:, 0]).sum() < 2:
        return TIMELESS
    return Decay(np.ascontiguousarray(spans), 1 / days)


@kernel
def exp_minus(x: float) -> float:
    """exp(-x) for x >= 0, with the same bits on every processor, which no library's exp has.

    A Taylor polynomial of x / 256, eight times squared: right to 1e-7.
    """
    y = min(x, _FARTHEST) / (1 << _HALVINGS)
    value = 1 - y * (1 - y / 2 * (1 - y / 3 * (1 - y / 4 * (1 - y / 5 * (1 - y / 6)))))
    for _ in range(_HALVINGS):
        value *= value
    return value


@kernel
def decayed(similarity: np.float32, one: F64, other: F64, rate: float) -> np.float32:
    """Similarity of what was at two times; a negative one stays, as does that of undated ones.

    Args:
        similarity: regardless of time.
        one, other: (2,) first and last time in days, NaN for undated.
        rate: of the decay.
    """
    days = max(other[0] - one[1], one[0] - other[1])
    if similarity > 0 and days > 0:  # NaN compares false
        return np.float32(similarity * exp_minus(days * rate))
    return similarity
