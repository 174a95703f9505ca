"""Ids of deleted documents in what other items say: a storyline names events, an event a storyline.

No id of an item is kept. Stage 3 names an item after its document, `<document>_<type>_<n>`, and its
vector `<prefix><source id>`: by these forms an id leads to its document, and the document's hash
says whether it is deleted. An item named in another way cannot be told from one that stays.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from clustering_tasks.deleted_documents.tombstones import Tombstones
from clustering_tasks.settings.levels import LEVELS

Redact = Callable[[Any], Any]
"""Gives what was said without the ids; the same object where it has none."""

_PREFIXES = tuple(level.vector_prefix for level in LEVELS.values())
_TYPES = "|".join(level.cluster_type for level in LEVELS.values() if level.name != "documents")
_ITEM = re.compile(rf"(.+)_(?:{_TYPES})_.*", re.DOTALL)
_ID_FIELD = re.compile(r"(?:.*_)?ids?|.*Ids?")
_KNOWN = 1 << 17  # answers that are remembered: a document is named by each of its items
_GONE = object()


def redacting(deleted: Tombstones) -> Redact:
    """Return what takes ids of deleted documents and of their items out of JSON's values.

    An item's id goes from wherever it stands: a list loses it, a field becomes null, a key goes
    with its value. A document's own id may be any word, so it goes only from fields that are
    called `id`, `ids`, `..._id` or `..._ids`.
    """
    known = lru_cache(_KNOWN)(deleted.__contains__)

    def gone(text: str, is_id: bool) -> bool:
        return any(map(known, _documents(text, is_id)))

    return lambda said: _without(said, False, gone) if deleted.hashes else said


def written(document_id: str) -> str:
    """Return what a text of JSON that names a document, or an item of it, has in it."""
    return orjson.dumps(document_id).decode()[1:-1]


def _documents(text: str, is_id: bool) -> Iterator[str]:
    """The documents that a text names, if it is an id."""
    if is_id:
        yield text
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            yield text.removeprefix(prefix)
    if found := _ITEM.fullmatch(text):
        yield found[1]
        yield from (found[1].removeprefix(each) for each in _PREFIXES if text.startswith(each))


def _without(said: Any, is_id: bool, gone: Callable[[str, bool], bool]) -> Any:
    if isinstance(said, str):
        return _GONE if gone(said, is_id) else said
    if isinstance(said, list):
        if not any(isinstance(each, str | list | dict) for each in said):
            return said  # numbers, as a centroid's
        left = [_without(each, is_id, gone) for each in said]
        same = all(one is other for one, other in zip(left, said, strict=True))
        return said if same else [each for each in left if each is not _GONE]
    if isinstance(said, dict):
        return _fields_without(said, gone)
    return said


def _fields_without(said: dict[str, Any], gone: Callable[[str, bool], bool]) -> dict[str, Any]:
    left = {
        name: _without(value, _ID_FIELD.fullmatch(name) is not None, gone)
        for name, value in said.items()
        if not gone(name, False)
    }
    if len(left) == len(said) and all(left[name] is said[name] for name in said):
        return said
    return {name: None if value is _GONE else value for name, value in left.items()}
