"""Whether words are a clause: with a verb, and nothing left open."""

import re
from functools import lru_cache

from clustering_tasks.language.english import (
    BE,
    ENDS_OPEN,
    FINITE,
    LINKS,
    OPENS_NOUN,
    PARTICIPLES,
    RELATIVE,
)

WORD = re.compile(r"[^\W_]+(?:['\u2019.-][^\W_]+)*")
_DANGLING = re.compile(
    r"(?:,\s+(?:an?|the|one|two|just|only|hours|days|minutes)\b[^,]*"
    r"|(?:,|\b(?:and|by|or|is|are|was|were|of|for))\s+\w+ing|\bthe \w+ time"
    r"|\bto (?:learn|hear|find|know|see|say|believe|think|tell|show|suggest|ensure|decide|ask)"
    r"|\b(?:announced|told|reported|confirmed|added|claimed|warned|insisted|vowed|pledged|tried"
    r"|refused|where|it)"
    r"|\ban? [A-Z]\w+|\b\d+|\b(?:weeks|days|hours|months|years|minutes|shortly|soon|just|moments)"
    r"|\bcast doubt)$"
)
# A verb of saying, and whom to or when, but not what: "told parliament", "said on Monday".
_UNSAID = re.compile(
    r"\b(?:(?:told|tells)(?: (?!that\b|to\b|of\b|about\b|how\b|what\b|why\b)[^\s,\"\u201c]+)*"
    r"|(?:said|says|showed|suggested|argued|claimed|insisted|explained|warned|confirmed|announced"
    r"|wrote|writes|stated|alleged)"
    r"(?: (?:to|on|in|at|by|before|late|early|last|today|tonight|yesterday)\b"
    r"(?: (?!that\b)[^\s,\"\u201c]+)*)?)$"
)
_QUOTES = {"\u201c": "\u201d", "\u00ab": "\u00bb", "(": ")", "[": "]"}
_OPEN_QUOTE = re.compile(r"['\u2018](?<![^\s]['\u2018])(?=[^\W\d])[^'\u2019]*$")
_SAID_BEHIND = re.compile(r", [^,]{2,60} said$")
_FEWEST = 3  # words of a clause


@lru_cache(1 << 12)
def is_whole(text: str) -> bool:
    """Whether quotes and brackets are closed, and the last word can be one."""
    if not text or text[-1] in "\u2026,:;-\u2013\u2014(" or text.endswith("..."):
        return False
    if any(text.count(opening) != text.count(closing) for opening, closing in _QUOTES.items()):
        return False
    if text.count('"') % 2 or _OPEN_QUOTE.search(text):
        return False
    if _SAID_BEHIND.search(text):
        return True
    last = WORD.findall(text[-24:])
    return not last or (last[-1] not in ENDS_OPEN and last[-1].lower() not in BE)


def has_verb(text: str) -> bool:
    """Whether a text seems to have a finite verb and what comes before it."""
    words = WORD.findall(text)
    is_headline = sum(word[0].isupper() for word in words) * 2 > len(words)
    low = [word.lower() if is_headline or word[0].islower() else "" for word in words]
    opens_noun = words[:1] and words[0].lower() in OPENS_NOUN
    open_clauses = 0  # "a climber who survived" has no verb yet
    for at in range(1, len(words)):
        word = low[at]
        found = word in FINITE
        if not found and (word in PARTICIPLES or (word.endswith("ed") and len(word) > 4)):
            following = words[at + 1].lower() if at + 1 < len(words) else ""
            found = not opens_noun or bool(following and following not in LINKS)
        if found and not open_clauses:
            return True
        open_clauses += (word in RELATIVE) - found
    return False


def is_clause(text: str) -> bool:
    """Whether a beginning of a sentence can stand for it: it has all that its verb needs."""
    if not is_whole(text) or not has_verb(text) or _DANGLING.search(text) or _leaves_unsaid(text):
        return False
    _, that, told = text.rpartition(" that ")
    if that and not has_verb(f"it {told}"):
        return False
    before, last = (["", *WORD.findall(text)])[-2:]
    # "the party threatened", but "the man was arrested"
    return not last.endswith("ed") or last in FINITE or before.lower() in BE


def _leaves_unsaid(text: str) -> bool:
    """Whether a verb of saying has lost what was said, and it does not stand before."""
    saying = _UNSAID.search(text)
    return saying is not None and not has_verb(text[: saying.start()].rpartition(",")[0])


def is_verb(words: str) -> bool:
    """Whether a word or phrase seems to be a verb's form."""
    first = words.partition(" ")[0].lower()
    return (
        first in FINITE
        or first in PARTICIPLES
        or (len(first) > 4 and first.endswith(("ed", "ing")))
    )


def holds(text: str, word: str) -> bool:
    """Whether a text has a word or phrase as such, in any case."""
    low, sought = text.lower(), word.lower()
    at = low.find(sought)
    while at >= 0:
        end = at + len(sought)
        if not (low[at - 1 : at].isalnum() or low[end : end + 1].isalnum()):
            return True
        at = low.find(sought, at + 1)
    return False
