"""Which texts have a phrase of the list: as whole words in a row, whatever their case."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I64
from clustering_tasks.settings.tag_list import ListedTag
from clustering_tasks.stage3.text import matching
from clustering_tasks.stage3.words import has_runs, words_of

# Its small letter is two characters, and the expression below does not match it.
_DOTTED = "\u0130"
_TIES = re.compile("['\u2019-]")
_PUNCTUATION = frozenset(".^$*+?{}[]\\|()")


class Phrases:
    """The phrases of a list, by their first word."""

    def __init__(self, listed: Sequence[ListedTag]) -> None:
        """Cut the phrases into words; of a script without blanks they are looked for as they are.

        Args:
            listed: tags; those without phrases are found in no text.
        """
        self._of_word = defaultdict[str, list[tuple[list[str], int]]](list)
        self._runs = list[tuple[str, int]]()
        for tag, each in enumerate(listed):
            for phrase in each.phrases:
                self._add(phrase, tag)

    def _add(self, phrase: str, tag: int) -> None:
        if has_runs(phrase):
            self._runs.append((matching(phrase), tag))
        elif words := _words(phrase):
            self._of_word[words[0]].append((words, tag))

    def in_text(self, text: str) -> set[int]:
        """Return the numbers of the tags that have a phrase in a clean text."""
        words = _words(text)
        found = {
            tag
            for at, word in enumerate(words)
            for phrase, tag in self._of_word.get(word, ())
            if words[at : at + len(phrase)] == phrase
        }
        compared = matching(text) if self._runs else ""
        return found | {tag for run, tag in self._runs if run in compared}

    def in_texts(self, texts: pa.Array) -> tuple[I64, I64]:
        """Find the phrases in many texts.

        Args:
            texts: (n,) clean ones.

        Returns:
            (m,) rows and numbers of tags, row by row.
        """
        rows = self._candidates(texts)
        found = [sorted(self.in_text(text)) for text in texts.take(pa.array(rows)).to_pylist()]
        tags = np.fromiter((tag for each in found for tag in each), dtype=np.int64)
        return np.repeat(rows, [len(each) for each in found]), tags

    def _candidates(self, texts: pa.Array) -> I64:
        """Return the rows whose text has a first word of a phrase: of a million texts in seconds.

        Cutting each text into words takes ten times as long.
        """
        starts = sorted({*self._of_word, *(run for run, _ in self._runs)})
        if not starts:
            return np.empty(0, np.int64)
        pattern = "|".join(map(_escaped, starts))
        some = pc.or_(
            pc.match_substring_regex(texts, pattern, ignore_case=True),
            pc.match_substring(texts, _DOTTED),
        )
        return np.flatnonzero(some.fill_null(fill_value=False).to_numpy(zero_copy_only=False))


def _words(text: str) -> list[str]:
    """Cut a clean text into words, also where an ending or an article is tied to one."""
    return [part for word in words_of(text) for part in _TIES.split(word)]


def _escaped(text: str) -> str:
    """Escape for RE2, which refuses some of what `re.escape` writes."""
    return "".join(f"\\{letter}" if letter in _PUNCTUATION else letter for letter in text)
