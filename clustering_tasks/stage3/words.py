"""Words of clean texts, in any script: for keywords, headlines and stop words.

A mark belongs to its word. Chinese, Japanese and Thai are written without blanks: their runs are
cut by what recurs in the texts of a cluster (`terms_of_runs`), for want of a dictionary.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from unicodedata import category


def _marks() -> str:
    """Return the ranges of Unicode's marks for a class of a regular expression.

    Of the first plane alone, as news are written: with letters beyond it `re` compares every range
    with every letter, which takes ten times as long.
    """
    marks = [code for code in range(0x300, 0x10000) if category(chr(code))[0] == "M"]
    starts = [marks[0], *(b for a, b in pairwise(marks) if b > a + 1)]
    ends = [*(a for a, b in pairwise(marks) if b > a + 1), marks[-1]]
    return "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(starts, ends, strict=True))


_MARKS = _marks() + "\u200c\u200d"  # and the joiners of Persian and Hindi
_BEYOND_LATIN = re.compile("[\u0300-\U0010ffff]")  # one range: faster than many
_MARK = re.compile(f"[{_MARKS}]")  # few texts have one; without, words are found in half the time
_LETTER = rf"[^\W\d_][{_MARKS}]*"
# A word of letters, also with an apostrophe or hyphen inside; or an acronym with digits (G7, A320).
# One letter is no word.
_PLAIN_WORD = re.compile(r"\b(?:[^\W\d_]{2,}(?:['\u2019-][^\W\d_]+)*|[^\W\d_]+\d+)\b")
_WORD = re.compile(
    rf"(?<![\w{_MARKS}])(?:(?:{_LETTER}){{2,}}(?:['\u2019-](?:{_LETTER})+)*|(?:{_LETTER})+\d+)"
    rf"(?![\w{_MARKS}])"
)
_SIGNS = ".,:;!?()[]\"'\u2018\u2019\u201c\u201d\u2026-\u2013\u2014"
# The pieces of a title, whose length they measure: digits and single letters too.
_PLAIN_PIECE = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_PIECE = re.compile(
    rf"[^\W_][{_MARKS}]*(?:[^\W_][{_MARKS}]*)*(?:['\u2019-](?:[^\W_][{_MARKS}]*)+)*"
)

_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SOUTH_EAST = "\u0e01-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
_FAR = re.compile("[\u0e01-\U0010ffff]")  # where the runs' scripts begin: one range is fast
_OF_RUN = re.compile(f"[{_HAN}{_KATAKANA}{_SOUTH_EAST}{_HIRAGANA}]")
# Hiragana is what stands between Japanese words, and their endings.
_RUN = re.compile(rf"([{_HAN}]+)|([{_KATAKANA}]+)|([{_SOUTH_EAST}]+)|[{_HIRAGANA}]+")
# Letters of Thai and its neighbours with what is written around them; a vowel may come first.
_SYLLABLE = re.compile(
    rf"[\u0e40-\u0e44\u0ec0-\u0ec4]?[^\W\d_][{_MARKS}\u0e30\u0e32\u0e33\u0eb0\u0eb2\u0eb3]*"
)
# Letters of a term. Chinese words and names have two to four, compounds up to eight.
_SHORTEST = 2
_LONGEST_HAN = 8
_LONGEST_SYLLABLES = 12
_LONGEST_SHARED = 30  # of texts that are nearly the same

TURKIC = frozenset({"tr", "az"})
_DOTS = re.compile(r"\S*[\u0130\u0131]\S*")  # words with a capital dotted i or a dotless one
_OF_TURKISH = re.compile("[\u0130\u0131\u011e\u011f\u015e\u015f\u018f\u0259]")
_TO_LOWER = str.maketrans({"I": "\u0131", "\u0130": "i"})


def words_of(text: str, language: str = "") -> list[str]:
    """Cut a clean text into words, in lower case; runs without blanks are left out.

    Args:
        text: clean.
        language: of most texts beside it, an ISO 639-1 code; for the casing.
    """
    text = lower_case(text, language)
    if beyond_latin(text):
        text = _without_runs(text)
        if _MARK.search(text):
            return _WORD.findall(text)
    return words_in(text)


def words_in(text: str) -> list[str]:
    """Cut a text in lower case, without marks and runs, into words."""
    found = list[str]()
    for part in text.split():  # as `parts_of`, but of letters, and of two or more
        bare = part if part.isalpha() else part.strip(_SIGNS)
        if bare.isalpha():
            if len(bare) > 1:
                found.append(bare)
        else:
            found += _PLAIN_WORD.findall(part)
    return found


def pieces_of(text: str, language: str = "") -> set[str]:
    """Return the words of a title as `words_of`, with digits and single letters."""
    text = lower_case(text, language)
    if beyond_latin(text):
        text = _without_runs(text)
        if _MARK.search(text):
            return set(_PIECE.findall(text))
    return set(parts_of(text, _PLAIN_PIECE))


def parts_of(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Return what a pattern finds that takes letters and digits between blanks as one.

    Most of what stands between blanks is that, with a sign behind it at most: to look at it in
    this way takes a third of the time of `re`.
    """
    found = list[str]()
    for part in text.split():
        bare = part if part.isalnum() else part.strip(_SIGNS)
        if bare.isalnum():
            found.append(bare)
        else:
            found += pattern.findall(part)
    return found


def _without_runs(text: str) -> str:
    return _RUN.sub(" ", text) if has_runs(text) else text


def beyond_latin(text: str) -> bool:
    """Whether a text has other letters than Latin ones, or marks: without, it has no runs."""
    return not text.isascii() and _BEYOND_LATIN.search(text) is not None


def lower_case(text: str, language: str = "") -> str:
    """Return a text in lower case, by the rules of Turkish for the letter i where it is Turkish.

    A text is if it has a letter of that language, and its capitals alone or the language beside it
    say so; a name in a text of another language is a word by itself.
    """
    if text.isascii():
        turkic = language in TURKIC and text.isupper()
    else:
        turkic = (language in TURKIC or text.isupper()) and bool(_OF_TURKISH.search(text))
        if not turkic and ("\u0130" in text or "\u0131" in text):
            text = _DOTS.sub(lambda word: word[0].translate(_TO_LOWER), text)
    return (text.translate(_TO_LOWER) if turkic else text).lower()


def has_runs(text: str) -> bool:
    """Whether a text has letters of a script without blanks."""
    if text.isascii() or _FAR.search(text) is None:
        return False
    return _OF_RUN.search(text) is not None


def runs_of(text: str) -> list[str]:
    """Return the runs of a text in a script without blanks."""
    return [found[0] for found in _RUN.finditer(text)]


def terms_of_runs(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield for each of a cluster's texts the terms of its runs without blanks.

    Terms are runs of Katakana; of other runs what recurs in two different texts of the cluster and
    in no longer form as often; else a short run; else the letters of a long one, two by two.
    """
    runs = [_runs(text) for text in texts]
    recurring = _recurring({tuple(units) for text in runs for units in text if units})
    for text in runs:
        yield [term for units in text for term in _terms(units, recurring)]


def overlaps(term: str) -> set[str]:
    """Return what a term shares with one that says the same in part: its words or their pieces."""
    if term.isascii():
        return set(term.split())
    return {p for word in term.split() for p in (_pieces(word) if has_runs(word) else [word])}


def _pieces(run: str) -> list[str]:
    size = 2 if _is_east_asian((run,)) else 5  # a syllable has two letters or three
    return [run[at : at + size] for at in range(max(len(run) - size, 0) + 1)]


Units = tuple[str, ...]


def _runs(text: str) -> list[Units]:
    """Cut out the runs of a text, each as its letters; Katakana as one."""
    if not has_runs(text):
        return []
    found = [match.groups() for match in _RUN.finditer(text)]
    return [
        tuple(han) if han else (katakana,) if katakana else tuple(_SYLLABLE.findall(other))
        for han, katakana, other in found
        if han or katakana or other
    ]


def _recurring(runs: Iterable[Units]) -> set[Units]:
    """Return the sequences of letters in two or more runs that no longer sequence has as often."""
    kept: dict[Units, int] = {}
    shorter: set[Units] | None = None
    runs = [run for run in runs if len(run) >= _SHORTEST]
    for length in range(_SHORTEST, _LONGEST_SHARED + 1):
        counts = Counter(gram for run in runs for gram in set(_grams(run, length, shorter)))
        recurring = {gram: count for gram, count in counts.items() if count > 1}
        if not recurring:
            break
        for gram, count in recurring.items():
            for part in (gram[:-1], gram[1:]):
                if kept.get(part) == count:
                    del kept[part]
        kept |= recurring
        shorter = set(recurring)
    return {
        part for gram in kept for part in ([gram] if len(gram) <= _longest(gram) else _cut_up(gram))
    }


def _cut_up(run: Units) -> list[Units]:
    """Cut a long run into pairs of letters one after the other, as most Chinese words are."""
    starts = range(0, len(run) - 1, _SHORTEST)
    return [run[at : at + _SHORTEST] for at in starts]


def _grams(run: Units, length: int, shorter: set[Units] | None = None) -> Iterator[Units]:
    """Yield the sequences of a length; only those whose parts recur, where these are known."""
    for at in range(len(run) - length + 1):
        gram = run[at : at + length]
        if shorter is None or (gram[:-1] in shorter and gram[1:] in shorter):
            yield gram


def _longest(run: Units) -> int:
    return _LONGEST_HAN if _is_east_asian(run) else _LONGEST_SYLLABLES


def _is_east_asian(run: Units) -> bool:
    return run[0][0] > "\u2000"


def _terms(run: Units, recurring: set[Units]) -> list[str]:
    if len(run) < _SHORTEST:
        return [term for term in run if len(term) >= _SHORTEST and _is_east_asian(run)]  # Katakana
    longest = min(len(run), _longest(run))
    found = [g for n in range(_SHORTEST, longest + 1) for g in _grams(run, n) if g in recurring]
    if not found:
        found = [run] if len(run) <= _longest(run) - 2 else _cut_up(run)
    return ["".join(gram) for gram in found]
