"""`--set name=value`, checked against the fields of the DAG's form before anything is started."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from clustering_tasks.settings.levels import LEVELS
from stage4.cli.errors import UsageError

ALL = "all"
COMMON = "common"
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
_BOUNDS: tuple[tuple[str, str, Callable[[float, float], bool]], ...] = (
    ("minimum", "at least", operator.ge),
    ("exclusiveMinimum", "above", operator.gt),
    ("maximum", "at most", operator.le),
    ("exclusiveMaximum", "below", operator.lt),
)

Fields = Mapping[str, Mapping[str, Any]]


class _RefusedError(ValueError):
    """A value that its field does not take."""


def conf(level: str, pairs: Iterable[str], fields: Fields) -> dict[str, Any]:
    """Make a run's conf.

    Args:
        level: plural name; `all`: names may begin with a level, which they are for alone.
        pairs: `name=value`.
        fields: of the form of a level's DAG, by dotted name: Airflow's description of a param,
            whose `schema` is read.

    Returns:
        Dotted name to value; for `all`, in groups `common` and levels.

    Raises:
        UsageError: naming everything that is wrong.
    """
    chosen: dict[str, Any] = {}
    problems = []
    for pair in pairs:
        try:
            group, name, value = _read(level, pair, fields)
        except _RefusedError as error:
            problems.append(f"  - {pair.partition('=')[0]}: {error}")
        else:
            chosen.setdefault(group, {})[name] = value
    if problems:
        raise UsageError("\n".join(["settings refused:", *problems]))
    return chosen if level == ALL else chosen.get(COMMON, {})


def _read(level: str, pair: str, fields: Fields) -> tuple[str, str, Any]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise _RefusedError("--set takes name=value, for example scope=partition")
    group, setting = _group(level, name.strip())
    return group, setting, _value(setting, text.strip(), fields)


def _group(level: str, name: str) -> tuple[str, str]:
    first, _, rest = name.partition(".")
    return (first, rest) if level == ALL and first in LEVELS else (COMMON, name)


def _value(name: str, text: str, fields: Fields) -> Any:
    if name not in fields:
        near = get_close_matches(name, fields, n=3) or [
            field for field in fields if field.endswith(f".{name}")
        ]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise _RefusedError(f"unknown setting{hint}")
    schema = fields[name].get("schema") or {}
    value = _typed(text, schema)
    if problem := next(_broken(value, schema), None):
        raise _RefusedError(f"{problem} (got {text!r})")
    return value


def _typed(text: str, schema: Mapping[str, Any]) -> Any:
    given = schema.get("type", "string")
    types = [given] if isinstance(given, str) else list(given)
    if "null" in types and text in ("", "null"):
        return None
    if "array" in types:
        return [part.strip() for part in text.split(",") if part.strip()]
    if "boolean" in types:
        return _boolean(text)
    for kind, read in (("integer", int), ("number", float)):
        if kind in types:
            try:
                return read(text)
            except ValueError:
                article = "an" if kind == "integer" else "a"
                raise _RefusedError(f"takes {article} {kind} (got {text!r})") from None
    return text


def _boolean(text: str) -> bool:
    if text.lower() not in _YES + _NO:
        raise _RefusedError(f"takes true or false (got {text!r})")
    return text.lower() in _YES


def _broken(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    if value is not None and (allowed := schema.get("enum")) and value not in allowed:
        yield f"takes {', '.join(str(each) for each in allowed if each is not None)}"
    for bound, words, holds in _BOUNDS:
        if isinstance(value, int | float) and bound in schema and not holds(value, schema[bound]):
            yield f"takes {words} {schema[bound]:g}"
