"""The words of a level's texts as numbers, some clusters at a time, in whatever process."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

import numpy as np

from clustering_tasks.arrays import I32, I64
from clustering_tasks.stage3.text import has_points, unpointed
from clustering_tasks.stage3.words import beyond_latin, terms_of_runs, words_of
from clustering_tasks.steps.label.members import Group
from clustering_tasks.steps.label.stop_words import stop_words_of

END = -1  # of a text


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
    return number_texts((members["text"] for members in group.clusters()), usual)


def number_texts(clusters: Iterable[Iterable[str | None]], usual: str) -> Numbered:
    """Number the words of texts, but for stop words.

    Words that differ in vowel points alone are one.

    Args:
        clusters: the texts of each cluster's members.
        usual: language of a text that does not show its own, from `usual_language`.
    """
    vocabulary: dict[str, int] = defaultdict(count().__next__)
    shown: dict[str, str] = {}
    numbers, ends = list[int](), list[int]()
    for texts in clusters:
        numbers += _numbers(texts, vocabulary, usual, shown)
        ends.append(len(numbers))
    return Numbered(list(vocabulary), np.array(numbers, np.int32), np.array(ends, np.int64), shown)


def _numbers(
    texts: Iterable[str | None], vocabulary: dict[str, int], usual: str, shown: dict[str, str]
) -> list[int]:
    """Number the words of a cluster's texts, each text with `END` behind; new words are entered.

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
        numbers.append(END)  # no pair spans two texts
    if not plain:
        for terms_of_text in terms_of_runs(known):
            for term in terms_of_text:
                numbers += [vocabulary[term], END]
    return numbers


def _without_points(text: str, words: list[str], shown: dict[str, str]) -> list[str]:
    if not has_points(text):
        return words
    bare = list(map(unpointed, words))
    for word, form in zip(bare, words, strict=True):
        shown.setdefault(word, form)
    return bare
