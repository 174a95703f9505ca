"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count, pairwise

import numpy as np

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.stage3.text import has_points, unpointed
from clustering_tasks.stage3.words import beyond_latin, overlaps, terms_of_runs, words_of
from clustering_tasks.steps.label.stop_words import ENGLISH, stop_words_of

# "stari dvor" says more than "dvor" alone, which is in the same texts and so weighs as much
_PAIR_GAIN = 1.2
_WORD = 1 << 32
_END = -1  # of a text
_COUNTED = 1 << 20  # words at a time
_NOTHING = (*[np.empty(0, np.int64)] * 3, np.empty(0, np.int32))  # as `_count` returns


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF).

    A million items have ten million terms, most of them once, so a term is a number: of its words,
    counted from 1 by the alphabet, `first * 2**32 + second`, or `+ 0`. Terms are in its order, too:
    a blank comes before whatever a word is made of.
    """

    def __init__(self, clusters: Iterable[Iterable[str | None]], usual: str = ENGLISH) -> None:
        """Count terms of one and two words.

        Args:
            clusters: the texts of each cluster's members.
            usual: language of a text that does not show its own, from `usual_language`.
        """
        vocabulary: dict[str, int] = defaultdict(count().__next__)
        self._shown: dict[str, str] = {}  # of a word its form with vowel points, where one has it
        rows = (_numbers(texts, vocabulary, usual, self._shown) for texts in clusters)
        together = list(_together(rows))
        self._words = sorted(vocabulary)
        rank = np.empty(len(vocabulary) + 1, dtype=np.int64)
        rank[[vocabulary[word] for word in self._words]] = np.arange(len(vocabulary))
        rank[_END] = _END
        counted = [_count(rank[numbers], ends) for numbers, ends in together]
        words, sizes, self._terms, self._said = (
            np.concatenate(each) for each in zip(_NOTHING, *counted, strict=True)
        )
        self._bounds = np.append(0, np.cumsum(sizes))
        self._weights = _weights(self._terms, self._said, words, sizes)

    def top(self, cluster: int, count: int) -> list[str]:
        """Return a cluster's heaviest terms; no word that a longer term kept says already."""
        terms, weights = self._row(cluster)
        looked_at = 8 * count
        while True:
            heavy = _heaviest(weights, looked_at)
            order = np.argsort(-weights[heavy], kind="stable")  # of equals by the alphabet
            kept = self._apart(terms[heavy][order].tolist(), count)
            if len(kept) == count or looked_at >= len(weights):
                return [" ".join(self._shown.get(word, word) for word in term) for term in kept]
            looked_at *= 8

    def words_of(self, cluster: int) -> list[str]:
        """Return the single words of a cluster, without vowel points, by the alphabet."""
        terms, _ = self._row(cluster)
        single = terms[terms % _WORD == 0]
        return [self._words[number] for number in (single // _WORD - 1).tolist()]

    def weights_of(self, cluster: int) -> dict[str, float]:
        """Return the weight of each single word of a cluster, without vowel points."""
        terms, weights = self._row(cluster)
        single = terms % _WORD == 0
        return dict(zip(self.words_of(cluster), weights[single].tolist(), strict=True))

    def rewards(self, sizes: I64) -> Iterator[F32]:
        """Yield for each cluster what its `words_of` add to a query's score; see `rewards`.

        Args:
            sizes: (c,) members of each cluster.
        """
        # numba, which the step's start does without
        from clustering_tasks.engine.label_retrieval import rewards

        single = self._terms % _WORD == 0
        ends = np.append(0, np.cumsum(single))
        words = self._terms[single] // _WORD - 1
        return rewards(ends[self._bounds], words, self._said[single], self._weights[single], sizes)

    def _row(self, cluster: int) -> tuple[I64, F32]:
        here = slice(*self._bounds[cluster : cluster + 2])
        return self._terms[here], self._weights[here]

    def _apart(self, terms: Iterable[int], count: int) -> list[list[str]]:
        """Return the words of the first terms, up to `count`, that share none with one before."""
        kept = list[list[str]]()
        said = set[int | str]()
        for term in terms:
            first, second = divmod(term, _WORD)
            numbers = [first - 1, second - 1] if second else [first - 1]
            if not said.isdisjoint(numbers):
                continue
            words = [self._words[number] for number in numbers]
            pieces = set[str]() if all(map(str.isascii, words)) else overlaps(" ".join(words))
            if said.isdisjoint(pieces):
                kept.append(words)
                said.update(numbers, pieces)
                if len(kept) == count:
                    break
        return kept


def _numbers(
    texts: Iterable[str | None], vocabulary: dict[str, int], usual: str, shown: dict[str, str]
) -> list[int]:
    """Number the words of a cluster's texts, each text with `_END` behind; new words are entered.

    Words that differ in vowel points alone are one; `shown` gets the form with the points.
    """
    numbers = []
    known = [text for text in texts if text]
    split = [words_of(text, usual) for text in known]
    plain = not beyond_latin("".join(known))
    if not plain:
        split = [_without_points(*each, shown) for each in zip(known, split, strict=True)]
    for words, stop_words in zip(split, stop_words_of(split, usual), strict=True):
        numbers += [vocabulary[word] for word in words if word not in stop_words]
        numbers.append(_END)  # no pair spans two texts
    if not plain:
        for terms_of_text in terms_of_runs(known):
            for term in terms_of_text:
                numbers += [vocabulary[term], _END]
    return numbers


def _without_points(text: str, words: list[str], shown: dict[str, str]) -> list[str]:
    if not has_points(text):
        return words
    bare = list(map(unpointed, words))
    for word, form in zip(bare, words, strict=True):
        shown.setdefault(word, form)
    return bare


def _together(rows: Iterable[list[int]]) -> Iterator[tuple[I32, I64]]:
    """Put the numbers of clusters together, of so many as have `_COUNTED` words or the first more.

    Yields:
        the numbers, and where those of each cluster end.
    """
    some, ends = list[int](), list[int]()
    for row in rows:
        some += row
        ends.append(len(some))
        if len(some) >= _COUNTED:
            yield np.array(some, dtype=np.int32), np.array(ends)
            some, ends = [], []
    yield np.array(some, dtype=np.int32), np.array(ends, dtype=np.int64)


def _count(row: I64, ends: I64) -> tuple[I64, I64, I64, I32]:
    """Count the terms of some clusters, given their words as `_together` does.

    Returns:
        how many terms each cluster has, and how many different ones; these, ascending in each
        cluster, and how often it says them.
    """
    both = np.zeros((len(row), 2), dtype=np.int64)
    both[:, 0] = (row + 1) * _WORD
    paired = (row[:-1] != _END) & (row[1:] != _END)
    both[:-1, 1][paired] = (both[:-1, 0] + row[1:] + 1)[paired]
    there = both != 0
    terms = both[there]
    bounds = np.append(0, np.append(0, there.sum(axis=1).cumsum())[ends])
    for start, end in pairwise(bounds.tolist()):
        terms[start:end].sort()
    new = np.ones(len(terms) + 1, dtype=bool)
    new[1:-1] = terms[1:] != terms[:-1]
    new[bounds] = True  # the last as an end
    first = np.flatnonzero(new)
    different = np.diff(np.searchsorted(first, bounds))
    return np.diff(bounds), different, terms[first[:-1]], np.diff(first).astype(np.int32)


def _weights(terms: I64, said: I32, words: I64, sizes: I64) -> F32:
    """Frequency in the cluster times log(1 + mean words of a cluster / frequency in the level)."""
    known, which = np.unique(terms, return_inverse=True)
    rarity = np.log1p(words.sum() / max(len(words), 1) / np.bincount(which, said))
    rarity[known % _WORD != 0] *= _PAIR_GAIN
    share = said / np.repeat(words, sizes)
    weights: F32 = (share * rarity[which]).astype(np.float32)
    return weights


def _heaviest(weights: F32, count: int) -> Mask:
    """Choose `count` of the weights, the largest, and all that equal the least of them."""
    if count >= len(weights):
        return np.ones(len(weights), dtype=bool)
    return np.asarray(weights >= np.partition(weights, -count)[-count])
