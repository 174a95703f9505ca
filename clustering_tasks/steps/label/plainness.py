"""How well a text stands alone as a label, whatever it is about."""

import re
from functools import lru_cache

from clustering_tasks.language.english import (
    AUTHORITIES,
    DATES,
    FIRST_PERSON,
    OPENS_VAGUE,
    TOLD,
)
from clustering_tasks.steps.label.attributions import CLAIMING
from clustering_tasks.steps.label.verbs import WORD, is_whole

_FEW = 3  # words
# Behind a comma or before "that", where a claim to land or a believer is no such thing.
_CLAIMED = re.compile(rf"\b(?:{CLAIMING}) that\b|, [^,]+ (?:{CLAIMING})$")
_SAID_BY_A_PRONOUN = re.compile(r", (?:he|she|they|it|we|I) \w+$")


@lru_cache(1 << 12)
def plainness(text: str) -> float:
    """Say how well a text stands alone as a label, from 0 to 1."""
    words = WORD.findall(text)
    low = [word.lower() for word in words]
    if DATES.issuperset(word for word in low if not word[0].isdigit()):
        return 0.05
    first = low[0]
    digits = sum(map(str.isdigit, text))
    small = text[0].islower() and words[0].islower()
    factors = (
        (0.2, not is_whole(text)),
        (0.45, first in OPENS_VAGUE),
        (0.45, _SAID_BY_A_PRONOUN.search(text) is not None),
        (0.7, text.isascii() and small),
        (0.5, text.isascii() and len(words) < _FEW),
        (0.6, not FIRST_PERSON.isdisjoint(low)),
        (0.8, not TOLD.isdisjoint(low)),
        (0.6, TOLD.isdisjoint(low) and _CLAIMED.search(text) is not None),
        (0.3, first in TOLD),
        (0.85, first in AUTHORITIES),
        (0.7, text.endswith(("?", "!"))),
        (0.3, " ' " in text or ' " ' in text),
        (0.6, "|" in text),
        (0.7, text.isupper()),
        (0.3, digits * 3 > len(text)),
    )
    score = 1.0
    for factor, applies in factors:
        score *= factor if applies else 1.0
    return score
