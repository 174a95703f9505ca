"""What the words of two items say: what names them, and the sentence that they stand in."""

import numpy as np
import pandas as pd

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.compile import kernel
from clustering_tasks.evidence.pairs import Mentions, NodeFacts, Pairs
from clustering_tasks.stage3.text import matching

_LONGEST = 4  # letters of a sequence
_LETTERS = 0x110000  # of Unicode
_BLANK = ord(" ")
_NUMBER = (1 << 32) - 1  # of a sequence; above it the number of the text


def read_mentions(mentions: list[str | None]) -> Mentions:
    """Cut the mentions of n nodes into sequences; None and blanks have none."""
    forms = {mention: matching(mention) if mention else "" for mention in set(mentions)}
    compared = [forms[mention] for mention in mentions]
    text, texts = pd.factorize(np.array(compared, dtype=object))
    bounds, letters = _sequences(texts.tolist())
    return Mentions(bounds, letters, text.astype(np.int32))


def _sequences(texts: list[str]) -> tuple[I32, I32]:
    """Number the different sequences of letters of each text; a word's ends count as blanks.

    The sets are those of scikit-learn's `char_wb`, whose import alone takes longer.

    Returns:
        `bounds` and `letters` of `Mentions`.
    """
    padded = [" ".join(["", *text.split(), ""]) for text in texts]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.int32)
    of = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in padded])
    sequence, whole, known = letters.astype(np.int64), np.ones(len(letters), dtype=bool), 0
    found = [np.empty(0, dtype=np.int64)]
    for more in range(1, _LONGEST):
        last, inner = letters[more:], letters[more - 1 : -1]
        whole = whole[:-1] & (of[:-more] == of[more:]) & ((inner != _BLANK) | (more == 1))
        sequence, different = pd.factorize(sequence[:-1] * _LETTERS + last)
        found.append(((of[:-more].astype(np.int64) << 32) + sequence + known)[whole])
        known += len(different)
    # np.unique hashes such numbers to a few places: five times as long
    both = np.sort(pd.unique(np.concatenate(found)))
    bounds = np.searchsorted(both, np.arange(len(texts) + 1) << 32)
    return bounds.astype(np.int32), (both & _NUMBER).astype(np.int32)


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

    Set c holds `elements[bounds[c] : bounds[c + 1]]`, numbers from 0. Pairs with an empty set are
    left as they are. The elements of one set are marked and those of the other looked up: a quarter
    of the time of going through both in order, for nobody can foresee which of two is the lesser.
    """
    of = np.full(elements.max() + 1 if len(elements) else 0, -1, dtype=np.int32)
    marked = -1
    for e in range(len(first)):
        one, other = first[e], second[e]
        size = bounds[one + 1] - bounds[one]
        smaller = min(size, bounds[other + 1] - bounds[other])
        if smaller == 0:
            continue
        if one != marked:
            of[elements[bounds[one] : bounds[one + 1]]] = one
            marked = one
        common = 0
        for element in elements[bounds[other] : bounds[other + 1]]:
            common += int(of[element] == one)
        shares[e] = common / smaller
