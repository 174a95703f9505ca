"""Values that are too long for answers and pages: cut there, with a mark; whole in the files."""

from typing import Any

import orjson

from clustering_tasks.stage3.text import cut

LONGEST_VALUE = 4096
"""Characters of a text, or of the JSON of a list or an object, that answers and pages show."""
_DEEPEST = 20
_KEPT = LONGEST_VALUE - 64  # with its mark a value is no longer a long one
_MOST_FIELDS = 200


def is_long(value: object) -> bool:
    """Whether answers will cut a value of JSON."""
    if isinstance(value, str):
        return len(value) > LONGEST_VALUE
    return isinstance(value, list | dict) and _size(value) > LONGEST_VALUE


def cut_text(text: str) -> str:
    """Return a text as answers show it: a long one cut, with a mark that says so."""
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{cut(text, _KEPT + 1)} [cut: {len(text):,} characters]"


def cut_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an object as answers show it: each long value cut, and fields beyond 200 left out.

    Of a long list or object the first values are kept, as far as they fit, and a mark follows.
    """
    names = list(fields)
    if len(names) > _MOST_FIELDS:
        del names[_MOST_FIELDS - 1 :]
    shown = {cut_text(name): _cut(fields[name]) for name in names}
    if len(names) < len(fields):
        shown["…"] = f"[cut: {len(fields):,} fields]"
    return shown


def cut_texts(value: Any) -> Any:
    """Return a value as answers show it, each of its texts cut; lists and objects stay whole."""
    if isinstance(value, str):
        return cut_text(value)
    if isinstance(value, list):
        return [cut_texts(each) for each in value]
    if isinstance(value, dict):
        return {cut_text(name): cut_texts(each) for name, each in value.items()}
    return value


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return cut_text(value)
    if not isinstance(value, list | dict) or _size(value) <= LONGEST_VALUE:
        return value
    if isinstance(value, list):
        kept = [value[at] for at in range(_fitting(value))]
        return [*kept, f"… [cut: {len(value):,} values]"]
    names = list(value)[: _fitting(list(value.items()))]
    return {name: value[name] for name in names} | {"…": f"[cut: {len(value):,} fields]"}


def _fitting(values: list[Any]) -> int:
    """Count the first values that fit together."""
    left = _KEPT
    for count, value in enumerate(values):
        left -= _size(value) + 2  # and what parts it from the next
        if left < 0:
            return count
    return len(values)


def _size(value: Any) -> int:
    """Count the characters of a value about; what cannot be written by orjson is long."""
    try:
        return len(orjson.dumps(value))
    except (orjson.JSONEncodeError, RecursionError):
        return len(str(value))
