"""Label retrieval: how well words find a cluster's members among those of its rivals.

The measure is BM25's (Robertson 1994): of a word its rarity in the level, times how often members
say it, of which the second time counts less. A candidate's own member hardly counts. Rivals are
the clusters that share a cluster's heaviest words: a label is never mistaken for another cluster's
that has none of its words.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.compile import kernel

RIVALS = 10
_HEADS = 8  # heaviest words of a cluster, by which rivals are found
_POSTINGS = 256  # clusters looked at for a word: those in which it weighs most
_OWN = 0.7  # of a candidate's own member that is left out: of two, one may say what both mean
_SATURATION = 1.2  # BM25's k1


def rewards(
    bounds: I64, words: I64, said: I32, weights: F32, sizes: I64, cuts: Sequence[int]
) -> Iterator[F32]:
    """Yield what each word of some clusters adds to a query's score, for its cluster and rivals.

    Args:
        bounds: (c + 1,) where the words of each cluster begin.
        words: their numbers, ascending in each cluster.
        said: how often the cluster says them.
        weights: of each in its cluster.
        sizes: (c,) members.
        cuts: (b + 1,) clusters with which blocks begin, and c.

    Yields:
        of each block (words, 2 + `RIVALS`): how typical of the cluster it is; the cluster's own,
        without one member that says all of them; its rivals'.
    """
    total = int(words.max(initial=-1)) + 1
    spoken = np.bincount(words, said, minlength=total)
    items = float(sizes.sum())
    rarity = np.log1p(np.maximum(items - spoken, 0) / (spoken + 0.5) + 0.01)
    of_size = np.repeat(sizes, np.diff(bounds))
    own = _saturated((said - _OWN) / (of_size - _OWN))
    whole = _saturated(said / of_size)
    rivals = _rivals(bounds, words, weights, total)
    del weights, said, of_size, spoken  # of ten million words
    for first, last in pairwise(cuts):
        start, stop = bounds[first], bounds[last]
        block = np.zeros((stop - start, 2 + RIVALS), dtype=np.float32)
        block[:, 0] = own[start:stop] * own[start:stop]
        block[:, 1] = own[start:stop]
        compare(bounds, words, whole, rivals, first, last, block)
        block *= rarity[words[start:stop], None].astype(np.float32)
        yield block


def _saturated(often: np.ndarray) -> F32:
    return np.asarray(often * (1 + _SATURATION) / (often + _SATURATION), dtype=np.float32)


def _rivals(bounds: I64, words: I64, weights: F32, total: int) -> I32:
    """Find the clusters that share most of a cluster's heaviest words: (c, RIVALS), -1 for none."""
    clusters = len(bounds) - 1
    best = np.full((clusters, _HEADS), -1, dtype=np.int64)
    heaviest(bounds, weights, best)
    there = best >= 0
    heads, of = best[there], np.repeat(np.arange(clusters), there.sum(axis=1))
    by_word = np.lexsort((of, -weights[heads], words[heads]))
    rivals = np.full((clusters, RIVALS), -1, dtype=np.int32)
    share(
        np.append(0, np.cumsum(there.sum(axis=1))),
        words[heads],
        weights[heads],
        np.searchsorted(words[heads][by_word], np.arange(total + 1)),
        of[by_word],
        weights[heads][by_word],
        rivals,
    )
    return rivals


@kernel
def heaviest(bounds: I64, weights: F32, best: I64) -> None:
    """Write the rows of each cluster's heaviest words, of equals the first: (c, heads)."""
    for cluster in range(len(best)):
        heads, count = best[cluster], 0
        for row in range(bounds[cluster], bounds[cluster + 1]):
            at = count
            while at > 0 and weights[row] > weights[heads[at - 1]]:
                if at < len(heads):
                    heads[at] = heads[at - 1]
                at -= 1
            if at < len(heads):
                heads[at] = row
                count = min(count + 1, len(heads))


@kernel
def share(
    bounds: I64, words: I64, weights: F32, postings: I64, of: I64, heavy: F32, rivals: I32
) -> None:
    """Write the rivals of each cluster, given the clusters of each word, the heaviest first."""
    scores = np.zeros(len(rivals), dtype=np.float64)
    touched = np.empty(_HEADS * _POSTINGS, dtype=np.int64)
    best = np.empty(rivals.shape[1], dtype=np.float64)
    for cluster in range(len(rivals)):
        count = 0
        for at in range(bounds[cluster], bounds[cluster + 1]):
            first = postings[words[at]]
            last = min(postings[words[at] + 1], first + _POSTINGS)
            for p in range(first, last):
                other = of[p]
                if other == cluster:
                    continue
                if scores[other] == 0:
                    touched[count] = other
                    count += 1
                scores[other] += np.float64(weights[at]) * heavy[p]
        best[:] = 0
        for t in range(count):
            enter(scores[touched[t]], touched[t], best, rivals[cluster])
            scores[touched[t]] = 0


@kernel
def enter(score: float, other: int, best: np.ndarray, rivals: I32) -> None:
    """Enter a cluster among the best, which are in order; of equals the lower number first."""
    at = len(best)
    while at > 0 and (
        score > best[at - 1] or (score == best[at - 1] and score > 0 and other < rivals[at - 1])
    ):
        if at < len(best):
            best[at], rivals[at] = best[at - 1], rivals[at - 1]
        at -= 1
    if at < len(best):
        best[at], rivals[at] = score, other


@kernel
def compare(
    bounds: I64, words: I64, whole: F32, rivals: I32, first: int, last: int, block: F32
) -> None:
    """Write how much rivals say each word of the clusters from `first` up to `last`."""
    start = bounds[first]
    for cluster in range(first, last):
        for j in range(rivals.shape[1]):
            rival = rivals[cluster, j]
            if rival < 0:
                break
            at, end = bounds[rival], bounds[rival + 1]
            for row in range(bounds[cluster], bounds[cluster + 1]):
                while at < end and words[at] < words[row]:
                    at += 1
                if at < end and words[at] == words[row]:
                    block[row - start, 2 + j] = whole[at]


@kernel
def heaviest_apart(bounds: I64, terms: I64, word: int, weights: F32, kept: I64) -> None:
    """Write the rows of each cluster's heaviest terms of which no two share a word: (c, count).

    Args:
        bounds: (c + 1,) where the terms of each cluster begin.
        terms: of their words' numbers, which begin with 1: `first * word + second`, second 0 for
            none.
        word: more than the numbers.
        weights: of the terms; of equals the first counts.
        kept: -1 everywhere.
    """
    for cluster in range(len(kept)):
        for place in range(kept.shape[1]):
            best, weight = -1, np.float32(-1)
            for row in range(bounds[cluster], bounds[cluster + 1]):
                if weights[row] > weight and is_apart(terms, word, row, kept[cluster, :place]):
                    best, weight = row, weights[row]
            if best < 0:
                break
            kept[cluster, place] = best


@kernel
def is_apart(terms: I64, word: int, row: int, kept: I64) -> bool:
    """Whether a term has none of the words of some others."""
    first, second = terms[row] // word, terms[row] % word
    for other in kept:
        pair = terms[other] // word, terms[other] % word
        if first in pair or (second != 0 and second in pair):
            return False
    return True
