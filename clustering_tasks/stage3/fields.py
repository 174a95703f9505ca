"""Values of metadata fields, also in other forms than the contract's.

What has one meaning is converted; what has not, or is of another kind, is left out, and the reader
says so, so that it can be counted. A field that is missing or empty is no problem.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

from clustering_tasks.settings.levels import Level
from clustering_tasks.stage3.text import clean, readable

KINDS = ("domain", "event_type", "entity_type")
NAMES = "primary_entities"

# A comma parts categories and ids; of names it is a part ("Washington, D.C.").
_SEPARATORS = {
    **dict.fromkeys(("categories", "tags"), re.compile(r"[,;|]")),
    NAMES: re.compile(r"[;|]"),
    "event_ids": re.compile(r"[,;|\s]"),
}
LISTS = frozenset(_SEPARATORS)
_NAMING = ("text", "name", "label", "title", "value", "rendered", "entity_text", "term", "mention")
_IDENTIFYING = ("id", "event_id", "source_id")
_COUNT = re.compile(r"\d+(?:\.0+)?|\d{1,3}(?:[, \u00a0\u202f]\d{3})+")
_BETWEEN = re.compile(r"[\s.:/_-]+")
_TAGGED = re.compile(r"^[BILUES]_(?=[A-Z])")  # of a tagger, whose hyphen has become "_"
# Other names of the contract's types; each has one meaning.
_ENTITY_TYPES = {
    other: name
    for name, others in {
        "PER": "PERSON PERS",
        "ORG": "ORGANIZATION ORGANISATION",
        "LOC": "LOCATION",
        "GPE": "GEOPOLITICAL_ENTITY GEO_POLITICAL_ENTITY",
        "MISC": "MISCELLANEOUS",
        "EVENT": "EVT",
    }.items()
    for other in others.split()
}
_TEXT = frozenset({str})
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def read_texts(field: str, value: object) -> tuple[list[str], bool]:
    """Return the readable texts of a field, and whether that is all it says.

    Args:
        field: its name, which says how a text of several is parted.
        value: a text, a list of texts, a list of objects that name something, or one of these; a
            list may be written as JSON within a text.
    """
    if isinstance(value, list) and _TEXT.issuperset(map(type, value)):  # as nearly always
        return [text for each in value if (text := readable(each))], True
    if value in _NOTHING:
        return [], True
    found = [_named(each, _NAMING) for each in _values(field, value)]
    texts = [text for each in found if each is not None and (text := readable(each))]
    # a comma in a text that should be a list: one name or several, nobody knows
    unparted = field == NAMES and isinstance(value, str) and len(texts) == 1 and "," in texts[0]
    return texts, None not in found and not unparted


def read_ids(field: str, value: object) -> tuple[list[str], bool]:
    """Return the ids of a field as text, whole numbers too, and whether that is all it says."""
    if value in _NOTHING:
        return [], True
    if isinstance(value, list) and _TEXT.issuperset(map(type, value)):
        return [text for each in value if (text := each.strip())], True
    found = [_named(_as_id(each), _IDENTIFYING) for each in _values(field, value)]
    return [each.strip() for each in found if each and each.strip()], None not in found


def read_count(value: object) -> tuple[float | None, bool]:
    """Return a number from 0 on, also written as a text, and whether the field is read or empty."""
    if value in _NOTHING:
        return None, True
    if isinstance(value, str) and _COUNT.fullmatch(value.strip()):
        value = float(re.sub(r"[, \u00a0\u202f]", "", value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, False
    try:
        number = float(value)
    except OverflowError:
        return None, False
    return (number, True) if number >= 0 and math.isfinite(number) else (None, False)


def read_kind(field: str, value: object) -> tuple[str | None, bool]:
    """Return what one of a kind is called, and whether the field is read or empty.

    A list of one is that one; of several nobody knows which.
    """
    if isinstance(value, str):
        return normal_kind(field, value), True
    if value in _NOTHING:
        return None, True
    values = value if isinstance(value, list) else [value]
    named = _named(values[0], _NAMING) if len(values) == 1 else None
    return (normal_kind(field, named), True) if named is not None else (None, False)


@lru_cache(1 << 12)  # there are few
def normal_kind(field: str, name: str) -> str | None:
    """Return a kind's name in one case and form: `ORG` for "Organization" and "B-ORG".

    Types of entities are in capitals, those of events and domains in small letters with `_`.
    """
    joined = _BETWEEN.sub("_", clean(name)).strip("_")
    if field != "entity_type":
        return joined.lower() or None
    upper = _TAGGED.sub("", joined.upper())
    return _ENTITY_TYPES.get(upper, upper) or None


def _values(field: str, value: object) -> Iterator[object]:
    if isinstance(value, str):
        yield from _parted(field, value)
    elif isinstance(value, list):
        yield from (each for each in value if each is not None)
    else:
        yield value


def _parted(field: str, text: str) -> list[Any]:
    separator = _SEPARATORS.get(field)
    if separator is None:
        return [text]
    if text.lstrip()[:1] == "[":
        try:
            read: list[Any] = json.loads(text)
            return [each for each in read if each is not None]
        except (ValueError, RecursionError):
            pass  # a text in brackets
    # cleaned first: an entity of HTML ends with a semicolon
    return separator.split(clean(text.replace("\n", ";")))


def _as_id(value: object) -> object:
    """Return whole numbers as text; what an object has for an id likewise."""
    if isinstance(value, dict):
        name = next((name for name in _IDENTIFYING if name in value), None)
        value = value[name] if name else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _named(value: object, names: tuple[str, ...]) -> str | None:
    """Return a text, or what an object has of it; None for anything else."""
    if isinstance(value, dict):
        value = next((value[name] for name in names if isinstance(value.get(name), str)), None)
    return value if isinstance(value, str) else None


# Of each level what records have beside the fields that `Level` names.
FACTS: dict[str, dict[str, Callable[[object], tuple[Any, bool]]]] = {
    "documents": {"word_count": read_count, "categories": partial(read_texts, "categories")},
    "storylines": {"event_ids": partial(read_ids, "event_ids")},
}


def fields_of(level: Level) -> tuple[str, ...]:
    """Return the fields of a level that are converted, and counted where they cannot be."""
    texts = {*level.title_fields, *level.mention_fields, *level.sentence_fields, *level.text_fields}
    return tuple(sorted({*texts, *KINDS, NAMES, *FACTS.get(level.name, {})}))
