"""What the dates of two items say. An undated item is neutral: nothing is known about its pairs."""

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32
from clustering_tasks.engine.window import days_apart
from clustering_tasks.evidence.pairs import NodeFacts, Pairs


def decay(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Make similarity s to s exp(-days apart / decay), pair by pair (TM-1).

    On pairs: shrinking vectors by their age would move old items to the origin and invent clusters
    there. A negative similarity stays: decay is no reason to be alike.
    """
    if weights.decay_days is None:
        return np.zeros_like(pairs.similarity)
    apart = np.nan_to_num(days_apart(facts.span, pairs.rows, pairs.columns))
    lost = 1 - np.exp(-apart / weights.decay_days)
    lowered: F32 = (-np.maximum(pairs.similarity, 0) * lost).astype(np.float32)
    return lowered


def window(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Rule out edges between items further apart in time than the window: -inf (TM-2)."""
    if weights.window_days is None:
        return np.zeros_like(pairs.similarity)
    apart = days_apart(facts.span, pairs.rows, pairs.columns)
    # NaN compares false
    return np.where(apart > weights.window_days, -np.inf, 0).astype(np.float32)
