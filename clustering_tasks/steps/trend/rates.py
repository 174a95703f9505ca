"""Whether items come faster than before: the ratio of two Poisson rates, with its interval.

Given their sum, the count of one of two periods is binomial. The interval is the mid-p form of the
exact one (Lancaster 1961; Rothman, Greenland and Lash, Modern Epidemiology, chapter 14), which
covers the ratio about as often as it promises, where the exact form of small counts does too often.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from clustering_tasks.arrays import F64, I64

_HALVINGS = 60  # of an interval of length 1: the bound is found to a double's last digits


@dataclass(frozen=True)
class Ratios:
    """Rates of a period divided by those of an earlier one.

    Attributes:
        ratio: (k,) NaN where both counts are 0, infinite where the earlier one is.
        low: (k,) lower bound, 0 where the count is 0.
        high: (k,) upper bound, infinite where the earlier count is 0.
    """

    ratio: F64
    low: F64
    high: F64


def rate_ratios(
    count: I64, days: float, earlier: I64, earlier_days: F64, confidence: float
) -> Ratios:
    """Compare rates.

    Args:
        count: (k,) items of the period.
        days: its length.
        earlier: (k,) items of the earlier period.
        earlier_days: (k,) its lengths, more than 0.
        confidence: of the interval, for example 0.95.
    """
    total, tail = count + earlier, (1 - confidence) / 2
    low = np.where(count > 0, _bound(count, total, tail), 0.0)
    high = np.where(earlier > 0, 1 - _bound(earlier, total, tail), 1.0)
    scale = earlier_days / days
    with np.errstate(divide="ignore", invalid="ignore"):
        return Ratios(*(scale * share / (1 - share) for share in (count / total, low, high)))


def _bound(count: I64, total: I64, tail: float) -> F64:
    """Find the least share at which as many of `total`, or more, are no rarer than `tail`, (k,)."""
    low, high = np.zeros(len(count)), np.ones(len(count))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        rarer = _at_least(count, total, middle) < tail
        low, high = np.where(rarer, middle, low), np.where(rarer, high, middle)
    return (low + high) / 2


def _at_least(count: I64, total: I64, share: F64) -> F64:
    """Return the mid-p probability of `count` or more of `total`: `count` itself counts half."""
    return np.asarray((_tail(count, total, share) + _tail(count + 1, total, share)) / 2)


def _tail(count: I64, total: I64, share: F64) -> F64:
    first, second = np.maximum(count, 1), np.maximum(total - count + 1, 1)
    tail = betainc(first, second, share)
    return np.where(count <= 0, 1.0, np.where(count > total, 0.0, tail))
