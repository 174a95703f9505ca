"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import count

import numpy as np

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.stage3.text import has_points, unpointed
from clustering_tasks.stage3.words import overlaps, terms_of_runs, words_of
from clustering_tasks.steps.label.stop_words import ENGLISH, stop_words_of

# "stari dvor" says more than "dvor" alone, which is in the same texts and so weighs as much
_PAIR_GAIN = 1.2
_FIRST_PAIR = 1 << 32
_END = -1  # of a text


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF).

    A million items have ten million terms, most of them once, so a term is a number: that of its
    word, or for a pair `(first + 1) * 2**32 + second`.
    """

    def __init__(self, clusters: Iterable[Iterable[str | None]], usual: str = ENGLISH) -> None:
        """Count terms of one and two words.

        Args:
            clusters: the texts of each cluster's members.
            usual: language of a text that does not show its own, from `usual_language`.
        """
        vocabulary: dict[str, int] = defaultdict(count().__next__)
        self._shown: dict[str, str] = {}  # of a word its form with vowel points, where one has it
        counted = [_count(texts, vocabulary, usual, self._shown) for texts in clusters]
        self._words = list(vocabulary)
        sizes = [len(terms) for terms, _ in counted]
        self._bounds = np.append(0, np.cumsum(sizes, dtype=np.int64))
        self._terms = np.concatenate([np.empty(0, np.int64), *(terms for terms, _ in counted)])
        self._weights = _weights(self._terms, [counts for _, counts in counted])

    def top(self, cluster: int, count: int) -> list[str]:
        """Return a cluster's heaviest terms; no word that a longer term kept says already."""
        terms, weights = self._row(cluster)
        looked_at = 8 * count
        while True:
            heavy = _heaviest(weights, looked_at)
            kept = _apart(map(self._text, terms[heavy].tolist()), weights[heavy], count)
            if len(kept) == count or looked_at >= len(weights):
                return [" ".join(self._shown.get(w, w) for w in term.split()) for term in kept]
            looked_at *= 8

    def weights_of(self, cluster: int) -> dict[str, float]:
        """Return the weight of each single word of a cluster, without vowel points."""
        terms, weights = self._row(cluster)
        single = slice(np.searchsorted(terms, _FIRST_PAIR))
        words = map(self._words.__getitem__, terms[single].tolist())
        return dict(zip(words, weights[single].tolist(), strict=True))

    def _row(self, cluster: int) -> tuple[I64, F32]:
        here = slice(*self._bounds[cluster : cluster + 2])
        return self._terms[here], self._weights[here]

    def _text(self, term: int) -> str:
        before, last = divmod(term, _FIRST_PAIR)
        return f"{self._words[before - 1]} {self._words[last]}" if before else self._words[last]


def _count(
    texts: Iterable[str | None], vocabulary: dict[str, int], usual: str, shown: dict[str, str]
) -> tuple[I64, I32]:
    """Return a cluster's terms, ascending, and how often it says each; new words are numbered.

    Words that differ in vowel points alone are one; `shown` gets the form with the points.
    """
    numbers = [_END]
    known = [text for text in texts if text]
    split = [words_of(text, usual) for text in known]
    for at, text in enumerate(known):
        if has_points(text):
            forms, split[at] = split[at], list(map(unpointed, split[at]))
            for word, form in zip(split[at], forms, strict=True):
                shown.setdefault(word, form)
    for words, stop_words in zip(split, stop_words_of(split, usual), strict=True):
        numbers += [vocabulary[word] for word in words if word not in stop_words]
        numbers.append(_END)  # no pair spans two texts
    for terms_of_text in terms_of_runs(known):
        for term in terms_of_text:
            numbers += [vocabulary[term], _END]
    row = np.array(numbers, dtype=np.int64)
    paired = (row[:-1] != _END) & (row[1:] != _END)
    of_two = (row[:-1][paired] + 1) * _FIRST_PAIR + row[1:][paired]
    terms = np.concatenate([row[row != _END], of_two])
    terms, counts = np.unique(terms, return_counts=True)
    return terms, counts.astype(np.int32)


def _weights(terms: I64, counts: list[I32]) -> F32:
    """Frequency in the cluster times log(1 + mean words of a cluster / frequency in the level)."""
    said = np.concatenate([np.empty(0, np.int32), *counts])
    words = np.array([each.sum() for each in counts], dtype=np.int64)
    known, which = np.unique(terms, return_inverse=True)
    rarity = np.log1p(words.sum() / max(len(words), 1) / np.bincount(which, said))
    rarity[known >= _FIRST_PAIR] *= _PAIR_GAIN
    share = said / np.repeat(words, [len(each) for each in counts])
    weights: F32 = (share * rarity[which]).astype(np.float32)
    return weights


def _heaviest(weights: F32, count: int) -> Mask:
    """Choose `count` of the weights, the largest, and all that equal the least of them."""
    if count >= len(weights):
        return np.ones(len(weights), dtype=bool)
    return np.asarray(weights >= np.partition(weights, -count)[-count])


def _apart(terms: Iterable[str], weights: F32, count: int) -> list[str]:
    """Return up to `count` terms, heaviest first, that share no word with a heavier one."""
    kept: list[str] = []
    said: set[str] = set()
    for _, term in sorted(zip((-weights).tolist(), terms, strict=True)):
        words = overlaps(term)
        if not words & said:
            kept.append(term)
            said |= words
        if len(kept) == count:
            break
    return kept
