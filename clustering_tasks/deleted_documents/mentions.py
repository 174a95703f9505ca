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
# What names a document by its bare id: `author_id` and `category_ids` name something else.
_DOCUMENTS = frozenset({"document", "documents", "doc", "docs"})
_ITEMS = _DOCUMENTS | {"article", "articles", "item", "items", "member", "members", "related"}
_ITEMS |= {"source", "sources"}
_IDS = frozenset({"id", "ids"})
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_KNOWN = 1 << 17  # answers that are remembered: a document is named by each of its items
_GONE = object()


def redacting(deleted: Tombstones) -> Redact:
    """Return what takes ids of deleted documents and of their items out of JSON's values.

    An item's id goes from wherever it stands: a list loses it, a field becomes null, a key goes
    with its value. A document's own id may be any word or number, so it goes only from fields that
    name documents or items, as `document_id`, `item_ids` and `source_document`, and from `id` and
    `ids` of such a field's objects and of the outermost one.
    """
    known = lru_cache(_KNOWN)(deleted.__contains__)

    def gone(text: str, is_id: bool) -> bool:
        return any(map(known, _documents(text, is_id)))

    return lambda said: _without(said, "", gone) if deleted.hashes else said


def written(document_id: str) -> str:
    """Return what a text of JSON that names a document, or an item of it, has in it."""
    return orjson.dumps(document_id).decode()[1:-1]


def words_naming(document_id: str) -> str:
    """Return a regular expression for a document's id, or one of its items', as a word of a text.

    Args:
        document_id: of the document; `20` is no word of `G20 summit 2026`.
    """
    prefixes = "|".join(_PREFIXES)
    item = rf"_(?:{_TYPES})_[[:alnum:]_-]*"
    return rf"(?<![\w-])(?:{prefixes})?{re.escape(document_id)}(?:{item})?(?![\w-])"


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


def _without(said: Any, field: str, gone: Callable[[str, bool], bool]) -> Any:
    """Take ids out of a value of JSON.

    Args:
        said: the value.
        field: that it stands in; empty: it is the outermost one.
        gone: whether a text names what is deleted, and whether it may be a document's id.
    """
    if isinstance(said, str):
        return _GONE if gone(said, _names_documents(field)) else said
    if isinstance(said, list):
        if not any(isinstance(each, str | list | dict) for each in said):
            return said  # numbers, as a centroid's
        left = [_without(each, field, gone) for each in said]
        same = all(one is other for one, other in zip(left, said, strict=True))
        return said if same else [each for each in left if each is not _GONE]
    if isinstance(said, dict):
        return _fields_without(said, field, gone)
    return said


@lru_cache
def _names_documents(field: str) -> bool:
    *_, before, last = _words(field)
    return last in _DOCUMENTS or (last in _IDS and before in _ITEMS)


def _words(field: str) -> list[str]:
    """Part a name: `relatedDocIds` is `related`, `doc`, `ids`, after two empty words."""
    return ["", "", *(word.lower() for word in _WORD.findall(field))]


def _fields_without(
    said: dict[str, Any], parent: str, gone: Callable[[str, bool], bool]
) -> dict[str, Any]:
    own = not parent or not _ITEMS.isdisjoint(_words(parent))
    left = {
        name: _without(value, f"item_{name}" if own and name in _IDS else name, gone)
        for name, value in said.items()
        if not gone(name, False)
    }
    if len(left) == len(said) and all(left[name] is said[name] for name in said):
        return said
    return {name: None if value is _GONE else value for name, value in left.items()}
