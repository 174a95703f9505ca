"""What the documents of two items say: whether they can tell of the same thing at all."""

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.evidence.pairs import NodeFacts, Pairs
from clustering_tasks.graph.features import DocumentVectors


def other_story(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Lower the similarity by factor * max(0, floor - cosine of the documents' stories)."""
    gap = story_gap(pairs, facts.stories, weights.story_similarity_floor)
    if facts.trust is not None:
        gap = facts.trust.posterior_gap(gap, pairs, facts.stories.of_node)
    return np.asarray(np.float32(-weights.story_penalty_factor) * np.nan_to_num(gap, nan=0))


def story_gap(pairs: Pairs, stories: DocumentVectors, floor: float) -> F32:
    """What the similarity of two stories lacks of the floor: (m,), NaN where one is not known."""
    return np.asarray(np.maximum(0, np.float32(floor) - document_similarity(stories, pairs)))


def likeness_of_documents(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Lower the similarity by weight * cosine of the documents, 0 where one is not known.

    Mentions in like documents have like vectors for that alone: what their documents explain says
    less about the mentions themselves.
    """
    likeness = np.nan_to_num(document_similarity(facts.documents, pairs), nan=0)
    return np.asarray(np.float32(-weights.document_weight) * likeness)


def document_similarity(documents: DocumentVectors, pairs: Pairs) -> F32:
    """Cosine of the documents of two nodes: (m,), NaN where one is not known."""
    similarity = np.full(len(pairs.rows), np.nan, dtype=np.float32)
    one, other = documents.of_node[pairs.rows], documents.of_node[pairs.columns]
    products(documents.vectors, one, other, similarity)
    return similarity


@kernel
def products(vectors: F32, one: I32, other: I32, similarity: F32) -> None:
    """Write the products of pairs of rows; pairs with a negative row are left as they are."""
    for e in range(len(one)):
        if one[e] >= 0 and other[e] >= 0:
            similarity[e] = dot(vectors[one[e]], vectors[other[e]])
