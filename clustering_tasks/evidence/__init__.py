"""Evidence on edges: what besides two items' vectors says that they belong together, or do not.

Each piece is a function of pairs of nodes to what it adds to their similarity; `EVIDENCE` lists
them by the weight that switches them. A new one is a function, a line here, a field of
`clustering_tasks.algorithms.method.Weights` and a setting.
"""

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.threads import tile_threads
from clustering_tasks.evidence.dates import decay, window
from clustering_tasks.evidence.kinds import other_domain, other_event_type
from clustering_tasks.evidence.pairs import NodeFacts, Pairs, Piece
from clustering_tasks.evidence.stories import likeness_of_documents, other_story
from clustering_tasks.evidence.words import likeness_of_mentions, same_sentence

_ROWS = 32_768  # of a thread at a time: what is known of their pairs takes 0.1 GB

# In this order: what decays is the sum of all before, and nothing comes after the window.
EVIDENCE: dict[str, Piece] = {
    "mention_weight": likeness_of_mentions,
    "document_weight": likeness_of_documents,
    "story_similarity_floor": other_story,
    "sentence_penalty": same_sentence,
    "domain_penalty": other_domain,
    "event_type_penalty": other_event_type,
    "decay_days": decay,
    "window_days": window,
}


def with_evidence(ids: I32, distances: F32, facts: NodeFacts, weights: Weights) -> tuple[I32, F32]:
    """Let all evidence speak in the distances of the edges, sqrt(2 - 2 similarity).

    Args:
        ids: (n, k) neighbours, -1 for none.
        distances: (n, k) Euclidean distances of unit vectors.
        facts: of the n nodes.
        weights: of the pieces.

    Returns:
        ids and distances of the same shape, nearest first again, without the edges that evidence
        rules out; untouched where no piece has a weight.
    """
    if not weights.any():
        return ids, distances
    with tile_threads() as pool:
        starts = range(0, max(len(ids), 1), _ROWS)
        parts = list(
            pool.map(lambda start: _with_evidence(ids, distances, facts, weights, start), starts)
        )
    return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])


def _with_evidence(
    ids: I32, distances: F32, facts: NodeFacts, weights: Weights, start: int
) -> tuple[I32, F32]:
    ids, distances = ids[start : start + _ROWS], distances[start : start + _ROWS]
    rows, at = np.nonzero(ids >= 0)
    added = np.zeros(ids.shape, dtype=np.float32)
    pairs = (rows + start).astype(np.int32), ids[rows, at], distances[rows, at]
    added[rows, at] = adjustment(*pairs, facts, weights)
    # by what is added: from the similarity itself, small distances would lose their last digits
    squares = np.maximum(np.square(distances) - 2 * added, 0)
    distances = np.where(added == 0, distances, np.sqrt(squares))
    order = np.lexsort((ids, distances))
    distances = np.take_along_axis(distances, order, axis=1)
    ids = np.where(np.isfinite(distances), np.take_along_axis(ids, order, axis=1), np.int32(-1))
    return ids, distances


def adjustment(rows: I32, columns: I32, distances: F32, facts: NodeFacts, weights: Weights) -> F32:
    """Add up what all pieces with a weight say of some pairs: (m,) float32, -inf for no edge.

    Args:
        rows: (m,) the one node of each pair.
        columns: (m,) the other.
        distances: (m,) Euclidean distances of their unit vectors.
        facts: of the nodes.
        weights: of the pieces.
    """
    cosine = (1 - np.square(distances) / 2).astype(np.float32)
    added = np.zeros_like(cosine)
    for name, piece in EVIDENCE.items():
        if getattr(weights, name):
            added += piece(Pairs(rows, columns, cosine, cosine + added), facts, weights)
    return added
