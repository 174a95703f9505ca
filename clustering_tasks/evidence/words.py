"""What the words of two items say: what names them, and the sentence that they stand in."""

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.evidence.pairs import Mentions, NodeFacts, Pairs
from clustering_tasks.stage3.text import matching


def read_mentions(mentions: list[str | None]) -> Mentions:
    """Cut the mentions of n nodes into sequences; None and blanks have none."""
    compared = [matching(mention) if mention else "" for mention in mentions]
    texts, text = np.unique(compared, return_inverse=True)
    if not any(each.strip() for each in texts):  # the vectoriser takes that for an error
        nothing = np.zeros(len(texts) + 1, dtype=np.int32)
        return Mentions(nothing, nothing[:0], text.astype(np.int32))
    # half a second, of no use to a level whose mentions say nothing
    from sklearn.feature_extraction.text import CountVectorizer

    counted = CountVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), binary=True, dtype=np.int32, lowercase=False
    ).fit_transform(texts)
    counted.sort_indices()
    bounds, letters = counted.indptr.astype(np.int32), counted.indices.astype(np.int32)
    return Mentions(bounds, letters, text.astype(np.int32))


def likeness_of_mentions(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Mix the likeness of the mentions into the cosine: weight * (likeness - cosine)."""
    likeness = mention_likeness(facts.mentions, pairs.rows, pairs.columns)
    known = np.isfinite(likeness)
    mixed = np.float32(weights.mention_weight) * (likeness - pairs.cosine)
    return np.where(known, mixed, np.float32(0))


def same_sentence(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    """Lower the similarity of two mentions in one sentence by the penalty.

    Their vectors are alike for their context; a sentence seldom names the same thing twice.
    """
    one, other = facts.sentence[pairs.rows], facts.sentence[pairs.columns]
    return np.where((one >= 0) & (one == other), -weights.sentence_penalty, 0).astype(np.float32)


def mention_likeness(mentions: Mentions, rows: I32, columns: I32) -> F32:
    """Share of the shorter mention's letter sequences that the other has too.

    A surname is like the full name, which a cosine of the sequences would not see.

    Args:
        mentions: of the nodes.
        rows: (m,) the one node of each pair.
        columns: (m,) the other.

    Returns:
        (m,) float32 from 0 to 1, NaN where a mention is missing.
    """
    likeness = np.full(len(rows), np.nan, dtype=np.float32)
    one, other = mentions.text[rows], mentions.text[columns]
    shares_of_smaller(mentions.bounds, mentions.letters, one, other, likeness)
    return likeness


@kernel
def shares_of_smaller(bounds: I32, elements: I32, first: I32, second: I32, shares: F32) -> None:
    """Write for each pair of sets the share of the smaller one's elements that the other has.

    Set c holds `elements[bounds[c] : bounds[c + 1]]`, ascending. Pairs with an empty set are left
    as they are.
    """
    for e in range(len(first)):
        one, other = first[e], second[e]
        i, j = bounds[one], bounds[other]
        smaller = min(bounds[one + 1] - i, bounds[other + 1] - j)
        if smaller == 0:
            continue
        common = 0
        while i < bounds[one + 1] and j < bounds[other + 1]:
            if elements[i] == elements[j]:
                common += 1
                i += 1
                j += 1
            elif elements[i] < elements[j]:
                i += 1
            else:
                j += 1
        shares[e] = common / smaller
