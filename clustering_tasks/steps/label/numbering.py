"""The words of a level's texts as numbers, some clusters at a time, in whatever process."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import compress, count, pairwise

import numpy as np
import pyarrow as pa

from clustering_tasks.arrays import I32, I64
from clustering_tasks.stage3.text import has_points, unpointed
from clustering_tasks.stage3.words import beyond_latin, terms_of_runs, words_of
from clustering_tasks.steps.label.latin_texts import END, number_latin
from clustering_tasks.steps.label.members import Group
from clustering_tasks.steps.label.stop_words import stop_words_of


@dataclass(frozen=True)
class Numbered:
    """The words of some clusters.

    Attributes:
        words: each once.
        numbers: of the words, from 0, one text behind the other, each with `END` behind.
        ends: (g,) where in `numbers` those of each cluster end.
        shown: of a word its form with vowel points, where one has it.
    """

    words: list[str]
    numbers: I32
    ends: I64
    shown: dict[str, str]


def number_group(usual: str, group: Group) -> Numbered:
    """Number the words of the column `text`; `usual` as for `number_texts`."""
    return number_texts(group.table["text"].combine_chunks(), group.bounds, usual)


def number_texts(texts: pa.Array, bounds: I64, usual: str) -> Numbered:
    """Number the words of texts, but for stop words.

    Words that differ in vowel points alone are one.

    Args:
        texts: (n,) of the clusters' members, one cluster's behind the other's; null for none.
        bounds: (c + 1,) where those of each cluster begin.
        usual: language of a text that does not show its own, from `usual_language`.
    """
    vocabulary: dict[str, int] = defaultdict(count().__next__)
    shown: dict[str, str] = {}
    latin = number_latin(texts, bounds, vocabulary, usual)
    numbered = [latin.words[start:stop] for start, stop in pairwise(latin.bounds.tolist())]
    for cluster in np.flatnonzero(~latin.found).tolist():
        known = filter(None, texts[bounds[cluster] : bounds[cluster + 1]].to_pylist())
        numbered[cluster] = _numbers([*known], vocabulary, usual, shown)
    numbers = np.concatenate([np.empty(0, np.int32), *numbered])
    ends = np.cumsum([len(each) for each in numbered], dtype=np.int64)
    return Numbered(*_used(vocabulary, numbers), ends, shown)


def _used(vocabulary: dict[str, int], numbers: I32) -> tuple[list[str], I32]:
    """Return the words that are used, and their numbers among these."""
    used = np.zeros(len(vocabulary) + 1, dtype=bool)
    used[numbers] = True  # `END` the last
    used[END] = False
    places = np.append(np.cumsum(used[:-1], dtype=np.int32) - 1, np.int32(END))
    return [*compress(vocabulary, used.tolist())], places[numbers]


def _numbers(
    known: list[str], vocabulary: dict[str, int], usual: str, shown: dict[str, str]
) -> I32:
    """Number the words of a cluster's texts, each text with `END` behind; new words are entered.

    Words that differ in vowel points alone are one; `shown` gets the form with the points.
    """
    numbers = list[int]()
    split = [words_of(text, usual) for text in known]
    plain = not beyond_latin("".join(known))
    if not plain:
        split = [_without_points(*each, shown) for each in zip(known, split, strict=True)]
    for words, stop_words in zip(split, stop_words_of(split, usual), strict=True):
        numbers += [vocabulary[word] for word in words if word not in stop_words]
        numbers.append(END)  # no pair spans two texts
    if not plain:
        for terms_of_text in terms_of_runs(known):
            for term in terms_of_text:
                numbers += [vocabulary[term], END]
    return np.array(numbers, dtype=np.int32)


def _without_points(text: str, words: list[str], shown: dict[str, str]) -> list[str]:
    if not has_points(text):
        return words
    bare = list(map(unpointed, words))
    for word, form in zip(bare, words, strict=True):
        shown.setdefault(word, form)
    return bare
