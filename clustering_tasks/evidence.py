"""Evidence on edges: what two items' words and documents add to the cosine of their vectors."""

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer

from clustering_tasks.choice import Choice
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import dot
from clustering_tasks.features import DocumentVectors

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_EDGES = 200_000


def with_evidence(
    ids: Ints,
    distances: Floats,
    mentions: list[str | None],
    documents: DocumentVectors,
    choice: Choice,
) -> tuple[Ints, Floats]:
    """Let all evidence speak in the distances of the edges, sqrt(2 - 2 similarity).

    Returns:
        ids and distances of the same shape (n, k), nearest first again; untouched where the choice
        names no evidence.
    """
    if not (choice.mention_weight or choice.gate_similarity):
        return ids, distances
    similarity = edge_similarity(ids, distances, mentions, documents, choice)
    order = np.lexsort((ids, -similarity))
    ids = np.take_along_axis(ids, order, axis=1)
    squares = 2 - 2 * np.take_along_axis(similarity, order, axis=1)
    return ids, np.sqrt(np.maximum(squares, 0))


def edge_similarity(
    ids: Ints,
    distances: Floats,
    mentions: list[str | None],
    documents: DocumentVectors,
    choice: Choice,
) -> Floats:
    """Similarity of linked nodes: (n, k) float32, -inf where there is no edge.

    (1 - w) cosine + w mention likeness - max(0, gate - similarity of the documents); a mention or a
    document that is not known is no evidence either way.

    Args:
        ids: (n, k) neighbours, -1 for none.
        distances: (n, k) Euclidean distances of unit vectors.
        mentions: (n) the words that name each node.
        documents: of the nodes.
        choice: w and the gate.
    """
    rows, at = np.nonzero(ids >= 0)
    columns = ids[rows, at]
    cosine = 1 - np.square(distances[rows, at]) / 2
    weight = choice.mention_weight
    likeness = mention_likeness(mentions, rows, columns) if weight else cosine
    mixed = (1 - weight) * cosine + weight * np.where(np.isnan(likeness), cosine, likeness)
    if choice.gate_similarity and len(documents.vectors):
        apart = document_similarity(documents, rows, columns)
        mixed -= np.maximum(0, choice.gate_similarity - np.where(np.isnan(apart), 1, apart))
    similarity = np.full(ids.shape, -np.inf, dtype=np.float32)
    similarity[rows, at] = mixed
    return similarity


def mention_likeness(
    mentions: list[str | None], rows: npt.NDArray[np.int64], columns: Ints
) -> Floats:
    """Cosine of two mentions' counts of letter sequences (2 to 4); NaN where one is missing."""
    likeness = np.full(len(rows), np.nan, dtype=np.float32)
    texts, code = np.unique([m or "" for m in mentions], return_inverse=True)
    if not any(text.strip() for text in texts):
        return likeness
    letters = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), use_idf=False, dtype=np.float32
    ).fit_transform(texts)
    for start in range(0, len(rows), _EDGES):
        edges = slice(start, start + _EDGES)
        one, other = letters[code[rows[edges]]], letters[code[columns[edges]]]
        likeness[edges] = np.asarray(one.multiply(other).sum(axis=1)).ravel()
    unknown = np.array([not text.strip() for text in texts])[code]
    likeness[unknown[rows] | unknown[columns]] = np.nan
    return likeness


def document_similarity(
    documents: DocumentVectors, rows: npt.NDArray[np.int64], columns: Ints
) -> Floats:
    """Cosine of the documents of two nodes; NaN where one is not known."""
    similarity = np.full(len(rows), np.nan, dtype=np.float32)
    products(documents.vectors, documents.of_node[rows], documents.of_node[columns], similarity)
    return similarity


@kernel
def products(vectors: Floats, one: Ints, other: Ints, similarity: Floats) -> None:
    """Write the products of pairs of rows; pairs with a negative row are left as they are."""
    for e in range(len(one)):
        if one[e] >= 0 and other[e] >= 0:
            similarity[e] = dot(vectors[one[e]], vectors[other[e]])
