"""What the words of two items say: what names them, and the sentence that they stand in."""

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import CountVectorizer

from clustering_tasks.choice import Weights
from clustering_tasks.engine.compile import kernel
from clustering_tasks.evidence.pairs import NodeFacts, Pairs

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


def likeness_of_mentions(pairs: Pairs, facts: NodeFacts, weights: Weights) -> Floats:
    """Mix the likeness of the mentions into the cosine: weight * (likeness - cosine)."""
    likeness = mention_likeness(facts.mentions, pairs.rows, pairs.columns)
    known = np.isfinite(likeness)
    mixed = np.float32(weights.mention_weight) * (likeness - pairs.cosine)
    return np.where(known, mixed, np.float32(0))


def same_sentence(pairs: Pairs, facts: NodeFacts, weights: Weights) -> Floats:
    """Lower the similarity of two mentions in one sentence by the penalty.

    Their vectors are alike for their context; a sentence seldom names the same thing twice.
    """
    one, other = facts.sentence[pairs.rows], facts.sentence[pairs.columns]
    return np.where((one >= 0) & (one == other), -weights.sentence_penalty, 0).astype(np.float32)


def mention_likeness(mentions: list[str | None], rows: Ints, columns: Ints) -> Floats:
    """Share of the shorter mention's letter sequences (2 to 4) that the other has too.

    A surname is like the full name, which a cosine of the sequences would not see.

    Args:
        mentions: (n) the words that name each node.
        rows: (m,) the one node of each pair.
        columns: (m,) the other.

    Returns:
        (m,) float32 from 0 to 1, NaN where a mention is missing.
    """
    likeness = np.full(len(rows), np.nan, dtype=np.float32)
    texts, code = np.unique([mention or "" for mention in mentions], return_inverse=True)
    if not any(text.strip() for text in texts):
        return likeness
    letters = CountVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), binary=True, dtype=np.int32
    ).fit_transform(texts)
    letters.sort_indices()
    bounds, letter = letters.indptr.astype(np.int32), letters.indices.astype(np.int32)
    shares_of_shorter(bounds, letter, code.astype(np.int32), rows, columns, likeness)
    return likeness


@kernel
def shares_of_shorter(
    bounds: Ints, letter: Ints, code: Ints, rows: Ints, columns: Ints, likeness: Floats
) -> None:
    """Write for each pair the share of the smaller set's elements that are in the other.

    Set c holds `letter[bounds[c] : bounds[c + 1]]`, ascending; a node's set is `code[node]`. Pairs
    with an empty set are left as they are.
    """
    for e in range(len(rows)):
        one, other = code[rows[e]], code[columns[e]]
        i, j = bounds[one], bounds[other]
        shorter = min(bounds[one + 1] - i, bounds[other + 1] - j)
        if shorter == 0:
            continue
        common = 0
        while i < bounds[one + 1] and j < bounds[other + 1]:
            if letter[i] == letter[j]:
                common += 1
                i += 1
                j += 1
            elif letter[i] < letter[j]:
                i += 1
            else:
                j += 1
        likeness[e] = common / shorter
