"""Items of different kinds: Stage 2's guesses are noisy, so they weigh against a pair, no more."""

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.evidence.pairs import NodeFacts, Pairs


def other_domain(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Lower the similarity of different known domains by the penalty (MD-1)."""
    return differing(pairs, facts.domain, weights.domain_penalty)


def other_event_type(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Lower the similarity of different known event types by the penalty (MD-1)."""
    return differing(pairs, facts.event_type, weights.event_type_penalty)


def differing(pairs: Pairs, code: I32, penalty: float) -> F32:
    """(m,) minus the penalty where both codes are known and differ, else 0."""
    one, other = code[pairs.rows], code[pairs.columns]
    return np.where((one >= 0) & (other >= 0) & (one != other), -penalty, 0).astype(np.float32)
