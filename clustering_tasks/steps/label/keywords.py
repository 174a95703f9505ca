"""Keywords by class-based TF-IDF: what a cluster says more often than the level does."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
import pyarrow as pa

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.stage3.words import has_runs, overlaps
from clustering_tasks.steps.label.latin_texts import END
from clustering_tasks.steps.label.numbering import Numbered, number_texts
from clustering_tasks.steps.label.stop_words import ENGLISH
from clustering_tasks.steps.label.word_groups import WordGroup, tells_of

# "stari dvor" says more than "dvor" alone, which is in the same texts and so weighs as much
_PAIR_GAIN = 1.2
_WORD = 1 << 32
_AT_ONCE = 1 << 20  # terms that are weighed
_NOTHING = (*[np.empty(0, np.int64)] * 3, np.empty(0, np.int32))  # as `_count` returns


@dataclass(frozen=True)
class _Single:
    """The terms that are a word.

    Attributes:
        bounds: (c + 1,) where those of each cluster begin.
        rows: of each among the terms.
        words: its number, from 0.
    """

    bounds: I64
    rows: I64
    words: I64


class Keywords:
    """Weights of the terms of each cluster (Grootendorst 2022, class-based TF-IDF).

    A million items have ten million terms, most of them once, so a term is a number: of its words,
    counted from 1 by the alphabet, `first * 2**32 + second`, or `+ 0`. Terms are in its order, too:
    a blank comes before whatever a word is made of.
    """

    def __init__(self, parts: Iterable[Numbered]) -> None:
        """Count terms of one and two words.

        Args:
            parts: the words of the first clusters, of those behind them, and so on.
        """
        vocabulary: dict[str, int] = defaultdict(count().__next__)
        self._shown: dict[str, str] = {}  # of a word its form with vowel points, where one has it
        known = [_in_common(part, vocabulary, self._shown) for part in parts]
        self._words = sorted(vocabulary)
        rank = np.empty(len(vocabulary) + 1, dtype=np.int64)
        rank[[vocabulary[word] for word in self._words]] = np.arange(len(vocabulary))
        rank[END] = END
        known.reverse()
        counted = [_NOTHING]
        while known:
            numbers, ends = known.pop()
            counted.append(_count(rank[numbers], ends))
        columns = list(map(list, zip(*counted, strict=True)))
        del counted
        words, sizes, self._terms, self._said = map(_joined, columns)
        self._bounds = np.append(0, np.cumsum(sizes))
        self._weights = _weights(self._terms, self._said, words, sizes)
        single = self._terms % _WORD == 0
        self._single = _Single(
            np.append(0, np.cumsum(single))[self._bounds],
            np.flatnonzero(single),
            self._terms[single] // _WORD - 1,
        )

    @classmethod
    def of_texts(cls, clusters: Iterable[Iterable[str | None]], usual: str = ENGLISH) -> "Keywords":
        """Count the terms of each cluster's texts; see `number_texts`."""
        known = [[*texts] for texts in clusters]
        bounds = np.append(0, np.cumsum([len(texts) for texts in known], dtype=np.int64))
        texts = pa.array([text for texts in known for text in texts], pa.string())
        return cls([number_texts(texts, bounds, usual)])

    def top(self, cluster: int, count: int) -> list[str]:
        """Return a cluster's heaviest terms; no word that a longer term kept says already."""
        terms = self._terms[self._heaviest_apart(cluster, count)].tolist()
        words = [[self._words[number] for number in _numbers_of(term)] for term in terms]
        return [" ".join(self._shown.get(word, word) for word in each) for each in words]

    def weights_of(self, cluster: int) -> dict[str, float]:
        """Return the weight of each single word of a cluster, without vowel points."""
        here = slice(*self._single.bounds[cluster : cluster + 2])
        words = [self._words[number] for number in self._single.words[here].tolist()]
        return dict(zip(words, self._weights[self._single.rows[here]].tolist(), strict=True))

    def groups(self, sizes: I64, cuts: Sequence[int], count: int) -> Iterator[WordGroup]:
        """Yield the words and the heaviest terms of some clusters at a time.

        Args:
            sizes: (c,) members of each cluster.
            cuts: (b + 1,) clusters with which groups begin, and c.
            count: most terms of a cluster.
        """
        # numba, which the step's start does without
        from clustering_tasks.engine.label_retrieval import rewards

        single = self._single
        kept = self._kept(count)
        terms = np.zeros(kept.shape, dtype=np.int64)
        terms[kept >= 0] = self._terms[kept[kept >= 0]]
        said, weights = self._said[single.rows], self._weights[single.rows]
        blocks = rewards(single.bounds, single.words, said, weights, sizes, cuts)
        # not by this object, so that its terms need not stay
        texts = self._words, self._shown
        return _groups(cuts, blocks, terms, single.bounds, single.words, *texts)

    def _kept(self, count: int) -> I64:
        """Return the rows of each cluster's heaviest terms: (c, count), -1 for none."""
        from clustering_tasks.engine.label_retrieval import heaviest_apart

        kept = np.full((len(self._bounds) - 1, count), -1)
        heaviest_apart(self._bounds, self._terms, _WORD, self._weights, kept)
        for cluster in self._with_runs().tolist():
            rows = self._heaviest_apart(cluster, count)
            kept[cluster] = np.pad(rows, (0, count - len(rows)), constant_values=-1)
        return kept

    def _with_runs(self) -> I64:
        """Return the clusters with a word without blanks: such words have pieces in common."""
        runs = np.array([has_runs(word) for word in self._words], dtype=bool)
        found = np.append(0, np.cumsum(runs[self._single.words]))[self._single.bounds]
        return np.flatnonzero(np.diff(found))

    def _heaviest_apart(self, cluster: int, count: int) -> I64:
        """Return the rows of a cluster's heaviest terms, apart from each other."""
        first, last = self._bounds[cluster : cluster + 2]
        weights = self._weights[first:last]
        looked_at = 8 * count
        while True:
            heavy = np.flatnonzero(_heaviest(weights, looked_at))
            rows = first + heavy[np.argsort(-weights[heavy], kind="stable")]  # then the alphabet
            kept = self._apart(rows, count)
            if len(kept) == count or looked_at >= len(weights):
                return kept
            looked_at *= 8

    def _apart(self, rows: I64, count: int) -> I64:
        """Return the first rows, up to `count`, whose terms share no word with one before."""
        kept = list[int]()
        said = set[int | str]()
        for row, term in zip(rows.tolist(), self._terms[rows].tolist(), strict=True):
            numbers = _numbers_of(term)
            if not said.isdisjoint(numbers):
                continue
            words = [self._words[number] for number in numbers]
            pieces = set[str]() if all(map(str.isascii, words)) else overlaps(" ".join(words))
            if said.isdisjoint(pieces):
                kept.append(row)
                said.update(numbers, pieces)
                if len(kept) == count:
                    break
        return np.array(kept, dtype=np.int64)


def _groups(
    cuts: Sequence[int],
    blocks: Iterable[F32],
    terms: I64,
    bounds: I64,
    words: I64,
    texts: list[str],
    shown: dict[str, str],
) -> Iterator[WordGroup]:
    for (first, last), block in zip(pairwise(cuts), blocks, strict=True):
        ends = bounds[first : last + 1]
        here = words[ends[0] : ends[-1]]
        numbers, places = np.unique(here, return_inverse=True)
        said = [texts[number] for number in numbers.tolist()]
        pointed = {word: shown[word] for word in said if word in shown}
        rows = _rows_of(terms[first:last], ends, here, len(texts) + 1)
        plain = np.array([word not in pointed for word in said], dtype=bool)[places]
        yield WordGroup(
            said,
            pointed,
            places.astype(np.int32),
            ends - ends[0],
            block,
            rows,
            tells_of(rows, block, plain),
        )


def _rows_of(terms: I64, bounds: I64, words: I64, wide: int) -> I32:
    """Return of each term the rows of its words among the group's: (g, count, 2).

    Args:
        terms: (g, count) of each cluster, 0 for none.
        bounds: (g + 1,) where the words of each cluster begin.
        words: their numbers, from 0.
        wide: more than the numbers.
    """
    of = np.repeat(np.arange(len(terms)), np.diff(bounds))
    sought = np.stack(np.divmod(terms, _WORD), axis=2) - 1
    keys = np.arange(len(terms))[:, None, None] * wide + sought
    rows = np.searchsorted(of * wide + words, keys)
    return np.where(sought >= 0, rows, -1).astype(np.int32)


def _in_common(
    part: Numbered, vocabulary: dict[str, int], shown: dict[str, str]
) -> tuple[I32, I64]:
    """Number a part's words as all parts have them; new words are entered."""
    for word, form in part.shown.items():
        shown.setdefault(word, form)
    common = np.array([*(vocabulary[word] for word in part.words), END], dtype=np.int32)
    return common[part.numbers], part.ends


def _numbers_of(term: int) -> list[int]:
    first, second = divmod(term, _WORD)
    return [first - 1, second - 1] if second else [first - 1]


def _count(row: I64, ends: I64) -> tuple[I64, I64, I64, I32]:
    """Count the terms of some clusters, given their words as `_in_common` does.

    Returns:
        how many terms each cluster has, and how many different ones; these, ascending in each
        cluster, and how often it says them.
    """
    both = np.zeros((len(row), 2), dtype=np.int64)
    both[:, 0] = (row + 1) * _WORD
    paired = (row[:-1] != END) & (row[1:] != END)
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
    known, which = _distinct(terms)
    spoken = np.zeros(len(known))
    np.add.at(spoken, which, said)
    rarity = np.log1p(words.sum() / max(len(words), 1) / spoken)
    rarity[known % _WORD != 0] *= _PAIR_GAIN
    of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    weights = np.empty(len(terms), dtype=np.float32)
    for start in range(0, len(terms), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        weights[here] = said[here] / words[of[here]] * rarity[which[here]]
    return weights


def _distinct(terms: I64) -> tuple[I64, I32]:
    """Return the different terms, and which each is: half the memory of `np.unique`."""
    order = np.argsort(terms)
    ordered = terms[order]
    new = np.ones(len(terms), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    known = ordered[new]
    del ordered
    which = np.empty(len(terms), dtype=np.int32)
    which[order] = np.cumsum(new, dtype=np.int32) - 1
    return known, which


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Put arrays one behind the other, and let each go as soon as it is there."""
    joined = np.empty(sum(map(len, arrays)), dtype=arrays[0].dtype)
    arrays.reverse()
    stop = 0
    while arrays:
        start, stop = stop, stop + len(arrays[-1])
        joined[start:stop] = arrays.pop()
    return joined


def _heaviest(weights: F32, count: int) -> Mask:
    """Choose `count` of the weights, the largest, and all that equal the least of them."""
    if count >= len(weights):
        return np.ones(len(weights), dtype=bool)
    return np.asarray(weights >= np.partition(weights, -count)[-count])
