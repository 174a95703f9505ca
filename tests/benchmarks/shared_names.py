"""Names that two items share, by their rarity in the level: evidence that is not in use.

A name is a number, or a word that the level writes inside texts more often with a capital than
without; titles in title case do not count. What was found is in docs/ALGORITHMS.md.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from clustering_tasks.arrays import F64, I32, I64

_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*|\d[\d.,]*")
_TEXTS = {
    "documents": ("title",),
    "storylines": ("storyline_summary", "primary_entities"),
    "events": ("event_description", "primary_entities"),
    "entities": ("context",),
}
_TITLE_CASE = 0.6  # of the words have a capital


@dataclass(frozen=True)
class SharedNames:
    """Names of n nodes.

    Attributes:
        weights: (n, v) rows of length 1, by inverse document frequency; empty without a name.
    """

    weights: sparse.csr_array

    def part(self, rows: slice) -> "SharedNames":
        """Names of some nodes."""
        return SharedNames(self.weights[rows])

    def likeness(self, one: I64, other: I32) -> F64:
        """Cosine of the names of pairs: (m,), NaN where one has none."""
        known = np.diff(self.weights.indptr) > 0
        product = np.asarray(self.weights[one].multiply(self.weights[other]).sum(axis=1)).ravel()
        return np.where(known[one] & known[other], product, np.nan)


def shared_names(entries: Sequence[dict[str, Any]], level: str) -> SharedNames:
    """Read the names of the entries of a level's metadata."""
    first, *more = _TEXTS[level]
    texts = [_WORD.findall(entry["metadata"].get(first) or "") for entry in entries]
    lists = [
        [str(e) for key in more for e in entry["metadata"].get(key) or []] for entry in entries
    ]
    capitals, small = _case(texts)
    words = [text + _WORD.findall(" ".join(each)) for text, each in zip(texts, lists, strict=True)]
    return SharedNames(
        _weighted([{w.lower() for w in each if _is_name(w, capitals, small)} for each in words])
    )


def _case(texts: Sequence[list[str]]) -> tuple[Counter[str], Counter[str]]:
    """Count each word's forms with a capital and without, but for the first of a text."""
    capitals, small = Counter[str](), Counter[str]()
    for text in texts:
        with_capital = [word[0].isupper() for word in text]
        if sum(with_capital) <= _TITLE_CASE * len(text):
            for word, capital in zip(text[1:], with_capital[1:], strict=True):
                (capitals if capital else small)[word.lower()] += 1
    return capitals, small


def _is_name(word: str, capitals: Counter[str], small: Counter[str]) -> bool:
    return word[0].isdigit() or capitals[word.lower()] > small[word.lower()]


def _weighted(names: Sequence[set[str]]) -> sparse.csr_array:
    documents = Counter(name for each in names for name in each)
    column = {name: at for at, name in enumerate(sorted(documents))}
    rarity = {name: np.log((len(names) + 1) / count) for name, count in documents.items()}
    rows = [row for row, each in enumerate(names) for _ in each]
    entries = [name for each in names for name in sorted(each)]
    matrix = sparse.csr_array(
        ([rarity[name] for name in entries], (rows, [column[name] for name in entries])),
        shape=(len(names), max(len(column), 1)),
    )
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return (sparse.diags_array(1 / np.where(length > 0, length, 1)) @ matrix).tocsr()
