"""Other labels of a cluster, to be compared with the product's."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from clustering_tasks.stage3.words import pieces_of
from clustering_tasks.steps.label.titles import shorten

_CENTRAL = 10
_PRONOUN = re.compile(
    r"i|me|my|we|us|our|you|your|he|him|his|she|hers?|its?|they|them|theirs?|whom?|whose|which|"
    r"that|this|these|those|t?here|one|(?:him|her|it)self|themselves",
    re.IGNORECASE,
)


def typical_title(titles: Sequence[str | None], weights: Mapping[str, float]) -> str:
    """Return the central title with most of the cluster's c-TF-IDF, cut at 100 characters.

    Labels were made so until key phrases came.

    Args:
        titles: most central member first.
        weights: c-TF-IDF of the cluster's words.
    """
    candidates = list(dict.fromkeys(title for title in titles[:_CENTRAL] if title))
    return shorten(max(candidates, key=lambda t: _typical(t, weights), default=""))


def frequent_mention(mentions: Sequence[str | None]) -> str:
    """Return the most frequent mention that is no pronoun: entities were named so."""
    counts = Counter(filter(None, mentions))
    named = {m: n for m, n in counts.items() if not _PRONOUN.fullmatch(m)} or dict(counts)
    return shorten(max(sorted(named), key=lambda m: (named[m], len(m)), default=""))


def _typical(title: str, weights: Mapping[str, float]) -> float:
    pieces = pieces_of(title)
    return sum(weights.get(word, 0.0) for word in pieces) / math.sqrt(len(pieces) + 4)
