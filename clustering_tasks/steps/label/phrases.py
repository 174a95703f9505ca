"""Keywords as texts write them: a name whole, with the small words between two words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from clustering_tasks.language.english import (
    ABBREVIATIONS,
    ADDRESSES,
    JOINS_CLAUSES,
    OPENS_NOUN,
    TIMES,
    TOLD,
)
from clustering_tasks.language.entity_names import names_in
from clustering_tasks.stage3.words import has_runs, parts_of
from clustering_tasks.steps.label.stop_words import english_words
from clustering_tasks.steps.label.verbs import WORD, is_verb

_BETWEEN, _SMALL_WORD = 2, 3  # words between the two of a pair, and their letters
_LONGEST_NAME = 5  # words
_PAIR = 2
_CLOSING = frozenset(",;:.!?)\u201d\u2026")
_NOUNS = 3  # behind each other, the last of which must not be one
_POSSESSIVE = re.compile(r"['\u2019]s$")


@dataclass(frozen=True)
class _Text:
    """The words of a text.

    Attributes:
        own: as they are written.
        low: in small letters.
        closed: places of words with a sign behind them.
        spans: of each word in a name where this begins and ends.
    """

    own: list[str]
    low: list[str]
    closed: set[int]
    spans: dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Written:
    """How a cluster's texts write its keywords.

    Attributes:
        names: in these texts, the most frequent first, and the words of each.
        texts: those that show it.
    """

    names: dict[str, list[str]]
    texts: list[_Text]

    @classmethod
    def of(cls, texts: list[str]) -> "Written":
        """Read clean texts."""
        names = {name: parts_of(name.lower(), WORD) for name in names_of(texts)}
        return cls(names, [_read(text, names) for text in texts])

    def phrase(self, term: str) -> str:
        """Return a term as a phrase that can stand alone; empty where it is none."""
        first, _, second = term.partition(" ")
        if not second:
            return self._single(first)
        return _usual([form for text in self.texts if (form := _pair(text, first, second))])

    def name_in(self, term: str) -> str:
        """Return the name that has a word of a term that is no phrase."""
        first, _, second = term.partition(" ")
        return self._name_with(second) or self._name_with(first) if second else ""

    def _single(self, word: str) -> str:
        if name := self._name_with(word):
            return name
        if has_runs(word):
            return word
        if word in ADDRESSES or any(_is_part(text, word) for text in self.texts):
            return ""
        found = [form for text in self.texts if (form := _word(text, word))]
        return _POSSESSIVE.sub("", _usual(found) or word)

    def _name_with(self, word: str) -> str:
        """Return the most frequent name that has a word."""
        named = (n for n, parts in self.names.items() if word in parts)
        return next((n for n in named if len(self.names[n]) <= _LONGEST_NAME), "")


def _read(text: str, names: dict[str, list[str]]) -> _Text:
    own, closed = list[str](), set[int]()
    for part in text.split():
        own += parts_of(part, WORD)
        if part[-1] in _CLOSING and part[:-1].lower() not in ABBREVIATIONS:
            closed.add(len(own) - 1)
    low = list(map(str.lower, own))
    return _Text(own, low, closed, _spans(own, low, names))


def _spans(
    own: list[str], low: list[str], names: dict[str, list[str]]
) -> dict[int, tuple[int, int]]:
    """Return of each word in a name where the longest begins and ends."""
    found: dict[int, tuple[int, int]] = {}
    for parts in sorted(filter(None, names.values()), key=len):
        for at in (at for at, word in enumerate(low) if word == parts[0]):
            end = at + len(parts)
            if low[at:end] == parts and own[at][:1].isupper():
                found.update(dict.fromkeys(range(at, end), (at, end)))
    return found


def _word(text: _Text, word: str) -> str:
    """Return a word as a text has it, or the joined word that it begins: "votes-at-16"."""
    if word in text.low:
        return text.own[text.low.index(word)]
    joined = f"{word}-"
    return next((own for own in text.own if own.lower().startswith(joined)), "")


def _pair(text: _Text, first: str, second: str) -> str:
    """Return a pair of words, with what is between them, as a text has it first."""
    if first not in text.low:
        return ""
    at = text.low.index(first)
    end = _end(text.low, at, second)
    if not end:
        return ""
    if not _is_phrase(text, at, end):
        return ""
    start, stop = _whole(text, at, end)
    return " ".join(text.own[start : _end_of_noun(text, stop) if end - at > _PAIR else stop])


def _whole(text: _Text, at: int, end: int) -> tuple[int, int]:
    """Return where a phrase begins and ends that cuts no name at its edges."""
    start, stop = text.spans.get(at, (at, end))[0], text.spans.get(end - 1, (at, end))[1]
    if text.spans:  # else it is a headline, whose words all have a capital
        last = min(len(text.own), start + _LONGEST_NAME)
        while stop < last and stop - 1 not in text.closed and _both_capital(text.own, stop):
            stop += 1
    return start, stop


def _both_capital(words: list[str], at: int) -> bool:
    return words[at - 1][:1].isupper() and words[at][:1].isupper()


def _end_of_noun(text: _Text, end: int) -> int:
    """Return where nouns behind a noun end: "costs of the Hemovar trial"."""
    stop = end
    while stop < len(text.own) and stop - 1 not in text.closed:
        word = text.own[stop]
        if not word.islower() or word in english_words() or is_verb(word):
            break
        stop += 1
    return stop if stop - end < _NOUNS else end


def _is_phrase(text: _Text, at: int, end: int) -> bool:
    """Whether two words, and those between, seem to be a noun phrase."""
    low = text.low
    if low[at] in TIMES or low[end - 1] in TIMES or not JOINS_CLAUSES.isdisjoint(low[at:end]):
        return False
    if _is_part(text, low[at]) or not text.closed.isdisjoint(range(at, end - 1)):
        return False
    between = low[at + 1 : end - 1]
    if "and" in between and len(between) > 1:  # "the north and the south" is none to be cut
        return False
    # before a preposition a verb, or what belongs to the name before it; behind a name a verb
    opens = between and at not in text.spans and (is_verb(low[at]) or at - 1 in text.spans)
    closes = end - 1 not in text.spans and (
        is_verb(low[end - 1]) if at in text.spans else _closes_clause(low[end - 1])
    )
    return not (opens or closes)


def _closes_clause(word: str) -> bool:
    """Whether a word behind a noun is a verb and nothing else: "passengers reported"."""
    return word in TOLD or (is_verb(word) and word.endswith("ed"))


def _is_part(text: _Text, word: str) -> bool:
    """Whether a word is the second half of another one: "per cent"."""
    return ("per", word) in zip(text.low, text.low[1:], strict=False)


def _end(low: list[str], at: int, second: str) -> int:
    """Find where a pair of words ends that begins at a word; 0 where more is between them.

    With "the" right behind the first word, the second begins a phrase of its own.
    """
    if not OPENS_NOUN.isdisjoint(low[at + 1 : at + 2]):
        return 0
    for end in range(at + 1, min(at + 2 + _BETWEEN, len(low))):
        if low[end] == second:
            return end + 1
        if len(low[end]) > _SMALL_WORD:
            break
    return 0


def _usual(forms: list[str]) -> str:
    """Return the most frequent form.

    Of equals it is the one with fewer capitals: a headline has them on every word.
    """
    counts = counted(forms)
    return min(counts, key=lambda f: (-counts[f], sum(map(str.isupper, f)), f), default="")


def names_of(texts: Iterable[str]) -> list[str]:
    """Return the names in texts, the most frequent first; headlines in capitals have none."""
    counts = counted(name for text in texts for name in dict.fromkeys(names_in(text)))
    return sorted(counts, key=lambda name: (-counts[name] * (1 + (" " in name)), name))


def counted(said: Iterable[str]) -> dict[str, int]:
    """Count what is said."""
    counts: dict[str, int] = {}  # a `Counter` of so few takes three times as long
    for each in said:
        counts[each] = counts.get(each, 0) + 1
    return counts
