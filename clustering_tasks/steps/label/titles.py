"""The label: words that a reader would use, taken from the cluster itself."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from clustering_tasks.stage3.text import clean, cut, unpointed
from clustering_tasks.stage3.words import beyond_latin, has_runs, pieces_of, runs_of

_LONGEST = 100
CENTRAL = 10  # titles considered: the most central say what the cluster is about
# A mention that names nobody by itself.
_PRONOUN = re.compile(
    r"i|me|my|we|us|our|you|your|he|him|his|she|hers?|its?|they|them|theirs?|whom?|whose|which|"
    r"that|this|these|those|t?here|one|(?:him|her|it)self|themselves",
    re.IGNORECASE,
)


def headline(titles: Sequence[str | None], weights: Mapping[str, float]) -> str | None:
    """Choose, of the members' titles, the one that says most of what is typical of the cluster.

    Args:
        titles: most central member first.
        weights: of the cluster's terms, from `Keywords`.

    Returns:
        the title, shortened at a word's end to 100 characters; None where there is no title.
    """
    candidates = list(dict.fromkeys(t for t in titles[:CENTRAL] if t))
    if not candidates:
        return None
    # max keeps the first of equals, the more central
    return shorten(max(candidates, key=lambda title: _typical(title, weights)))


def canonical_name(mentions: Counter[str]) -> str | None:
    """Choose an entity's name: its most frequent mention that is no pronoun, longer ones first."""
    named = {m: n for m, n in mentions.items() if not _PRONOUN.fullmatch(m)} or dict(mentions)
    if not named:
        return None
    return max(sorted(named), key=lambda mention: (named[mention], len(mention)))


def shorten(text: str) -> str:
    """Put a text on one line of at most 100 characters, cut between words."""
    line = " ".join(text.split())
    if line.endswith(".") and not line.endswith("..."):
        line = line.rstrip(". ")  # a label is no sentence
    if len(line) <= _LONGEST:
        return line
    shown = cut(line, _LONGEST)[:-1]
    return (shown.rpartition(" ")[0] or shown).rstrip(" ,;:-\u2013\u2014") + "…"


def name_of_id(source_id: str, otherwise: str) -> str:
    """Name an item without any text by its id, as far as a person can read it.

    Args:
        source_id: of the item; the item rule of ids lets through what nobody sees.
        otherwise: where nothing of the id is seen.
    """
    return shorten(clean(source_id)) or otherwise


def _typical(title: str, weights: Mapping[str, float]) -> float:
    """Sum of the weights of a title's words; its length damps it, so that a list does not win."""
    pieces = pieces_of(title)
    words = map(unpointed, pieces) if beyond_latin(title) else weights.keys() & pieces
    said, length = sum(weights.get(word, 0.0) for word in words), float(len(pieces))
    if has_runs(title):  # a word without blanks beside it has two letters or more
        said += sum(weight for term, weight in weights.items() if has_runs(term) and term in title)
        length += len("".join(runs_of(title))) / 2
    return said / math.sqrt(length + 4)
