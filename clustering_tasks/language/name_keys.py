"""What mentions are compared by: the form of a name, a person's names, numbers, he or she."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Literal
from unicodedata import category, name, normalize

from clustering_tasks.language.english import DATES, SHORT_FOR, words
from clustering_tasks.language.entity_names import (
    bare_name,
    one_encoding,
    without_article,
    without_title,
)
from clustering_tasks.stage3.text import matching

Gender = Literal["he", "she"]

# What stands for one person, and tells which: no word of one language that is another's word for
# something else (Italian and French "lui", German "sie").
_HE = words("he him his himself él hij hem zijn er ihn ihm ele")
_SHE = words("she her hers herself ella haar elle ela")
_CONTRACTED = re.compile(r"['\u2019](?:s|d|ll)$")
_GENERATIONS = words("jr sr ii iii iv")
_PARTS = (2, 4)  # of a person's full name
_STEM, _ENDING = 3, 3  # letters that all cases of a name have, and that one may have more
_UMLAUT = re.compile("([aou])e")  # "Mueller" is "Müller"
_SIGNS = re.compile(r"[^\w]+")
_JOINING = re.compile(r"[.'\u2019]")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_THOUSANDS = re.compile(r"[.,](?=\d{3}(?:\D|$))")
_LETTERS = re.compile(r"[^\W\d_]+")
_ORDINALS = {
    "first": "1",
    "second": "2",
    "third": "3",
    "fourth": "4",
    "fifth": "5",
    "sixth": "6",
    "seventh": "7",
    "eighth": "8",
    "ninth": "9",
    "tenth": "10",
}
_WEEKDAYS = words("monday tuesday wednesday thursday friday saturday sunday")


@lru_cache(1 << 13)
def name_key(mention: str) -> str:
    """Return what a name is compared by, one form of all its encodings; "" for no name.

    Case, width, accents, articles, titles, a company's form and signs make no difference:
    "Dr. José Pérez" is "jose perez", "U.S. Steel Corp." is "us steel".
    """
    mention = one_encoding(mention)
    bare = without_title(without_article(bare_name(mention) or mention))
    letters = normalize("NFD", matching(bare))
    plain = "".join(letter for letter in letters if category(letter) != "Mn")
    return _SIGNS.sub(" ", _JOINING.sub("", plain)).strip()


def is_date(key: str) -> bool:
    """Whether a name, as it is compared, is one of a day or a month, or has no letter."""
    return all(word in DATES or not any(map(str.isalpha, word)) for word in key.split())


def initials(key: str, between: frozenset[str]) -> str:
    """Return the first letters of a name of several words; "" of a single one."""
    parts = [word for word in key.split() if word not in between]
    return "".join(word[0] for word in parts) if len(parts) > 1 else ""


def full_name(key: str) -> tuple[str, ...]:
    """Return a person's names without initials and generations; () for a single one."""
    parts = [word for word in key.split() if len(word) > 1 and word not in _GENERATIONS]
    return tuple(parts) if _PARTS[0] <= len(parts) <= _PARTS[1] else ()


def may_be_one(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two full names can be one person's.

    They can where one has all parts of the other, in whatever case of a language that inflects
    them ("Petr Pavel", "Petra Pavla"), where the family names are equal and the first names begin
    alike ("Fred", "Frederick") or one is short for the other, or the first names are equal and the
    others begin alike.
    """
    if _has_all(one, other) or _has_all(other, one):
        return True
    if one[-1] == other[-1]:
        return one[0][0] == other[0][0] or _in_full(one[0]) == _in_full(other[0])
    return one[0] == other[0] and one[-1][0] == other[-1][0]


def script(key: str) -> str:
    """Return the script of a name's first letter, by its name in Unicode ("LATIN"); "" of none."""
    letter = next(filter(str.isalpha, key), "")
    return name(letter, "").partition(" ")[0] if letter else ""


def _has_all(whole: Sequence[str], parts: Sequence[str]) -> bool:
    return all(any(_is_form_of(part, word) for word in whole) for part in parts)


def _is_form_of(one: str, other: str) -> bool:
    """Whether two words can be cases of one name: only their last letters differ."""
    if one == other:
        return True
    one, other = (_UMLAUT.sub(r"\1", word) for word in (one, other))
    same = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    begun = sum(1 for _ in same)
    ends = max(len(one), len(other)) - begun
    return begun >= _STEM and ends <= min(begun - 1, _ENDING)


def _in_full(first: str) -> str:
    return SHORT_FOR.get(first, first)


@lru_cache(1 << 13)
def numbers_in(mention: str) -> frozenset[str]:
    """Return the numbers, ordinals and weekdays of a mention, each in one form; no ages."""
    text = matching(bare_name(one_encoding(mention)))
    numbers = {_one_form(number) for number in _NUMBER.findall(text)}
    named = {
        _ORDINALS.get(word, word)
        for word in _LETTERS.findall(text)
        if word in _ORDINALS or word in _WEEKDAYS
    }
    return frozenset(numbers | named)


def is_quantity(mention: str) -> bool:
    """Whether a mention begins with a number or an ordinal: "$184 million", "tenth point"."""
    first = name_key(mention).partition(" ")[0]
    return first[:1].isdecimal() or first in _ORDINALS


def _one_form(number: str) -> str:
    """Return "2,292" as "2292", "11:00" as "11.00", "07" as "7"."""
    plain = _THOUSANDS.sub("", number).replace(",", ".").replace(":", ".")
    return plain.lstrip("0") or "0"


@lru_cache(1 << 13)
def gender(mention: str) -> Gender | None:
    """Return "he" or "she" for a pronoun that stands for one person, None for anything else."""
    word = _CONTRACTED.sub("", matching(mention).strip(" .,'\"\u2019"))
    if word in _HE:
        return "he"
    return "she" if word in _SHE else None
