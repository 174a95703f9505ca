"""Checks of what tests publish against the schemas of docs/reference/contract."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from clustering_tasks.settings.levels import LEVELS
from local.stage5_receiver import Stage5Receiver, listening

Json = dict[str, Any]
FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "contract"
_LEVELS = {level.cluster_type: level.name for level in LEVELS.values()}


def _items(validator: Any, items: Json, instance: Any, schema: Json) -> Iterator[Any]:
    """Look at all numbers of a vector at once: one by one a record takes 20 times as long."""
    many = isinstance(instance, list) and items == {"type": "number"}
    if not (many and {*map(type, instance)} <= {int, float}):
        yield from Draft202012Validator.VALIDATORS["items"](validator, items, instance, schema)


_Validator = extend(Draft202012Validator, {"items": _items})


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of a schema, by its file's name without `.schema.json`."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return _Validator(schema)


def check_record(record: Mapping[str, Any]) -> None:
    """Refuse a record that breaks the schema of its level."""
    _check(f"record_{_LEVELS[record['cluster_type']]}", record)
    assert record["cluster_id"].startswith(f"{record['cluster_type']}_")
    sizes = {len(record[name]) for name in ("member_ids", *_PER_MEMBER)}
    assert sizes == {record["cluster_size"]}, record["cluster_id"]


def check_event(event: Mapping[str, Any]) -> None:
    """Refuse an event of Stage 5 that breaks its schema."""
    kind = {"clustering.job.completed": "completion", "clustering.document.deleted": "deletion"}
    name = "rolled_back" if "act" in event else kind[event["event_type"]]
    _check(f"event_{name}", event)


def check_jsonl(path: Path) -> None:
    """Refuse a JSONL with a line that is no record."""
    for line in path.read_bytes().splitlines():
        check_record(json.loads(line))


@contextmanager
def checking_receiver(token: str) -> Iterator[Stage5Receiver]:
    """A Stage 5 whose events are checked when the block ends."""
    with listening(token) as receiver:
        yield receiver
        for event in receiver.received:
            check_event(event)


def fields(name: str) -> dict[str, Json]:
    """The schema of each field by its place, such as `metadata.scope`, `representatives[].id`."""
    root = validator(name).schema
    return dict(_fields(root, root["$defs"], ""))


def nullable(name: str) -> set[str]:
    """The places of the fields that may be null."""
    found = fields(name).items()
    return {place for place, field in found if {"type": "null"} in field.get("anyOf", [])}


def holders(instance: Any, place: str) -> list[Json]:
    """The objects of an instance that hold the field of a place."""
    *way, _ = place.split(".")
    found = [instance]
    for step in way:
        inner = [each[step.removesuffix("[]")] for each in found]
        found = list(chain.from_iterable(inner)) if step.endswith("[]") else inner
    return found


def broken(name: str, instance: Json) -> Iterator[tuple[str, Json]]:
    """What an instance would be with one field missing, of no known type, null, or too many."""
    may_be_null = nullable(name)
    for place in fields(name):
        wrong: Json = {"of another type": [[{}]]} | ({} if place in may_be_null else {"null": None})
        for what, value in wrong.items():
            yield f"{place} {what}", _with(instance, place, value)
        yield f"{place} missing", _with(instance, place)
        yield f"{place} and one more", _with(instance, f"{place}_too", 1)


def _with(instance: Json, place: str, *value: Any) -> Json:
    """A copy whose field has another value, or is gone if none is given."""
    copy = deepcopy(instance)
    held, field = holders(copy, place)[0], place.rpartition(".")[2]
    held.pop(field, None)
    held.update((field, each) for each in value)
    return copy


def _fields(schema: Json, parts: Json, prefix: str) -> Iterator[tuple[str, Json]]:
    for name, field in schema["properties"].items():
        yield f"{prefix}{name}", field
        inner, step = (field["items"], "[].") if "items" in field else (field, ".")
        inner = parts[inner["$ref"].rpartition("/")[2]] if "$ref" in inner else inner
        if "properties" in inner:
            yield from _fields(inner, parts, f"{prefix}{name}{step}")


def _check(name: str, instance: Mapping[str, Any]) -> None:
    problems = "\n".join(_described(validator(name).iter_errors(instance)))
    assert not problems, f"{name}:\n{problems}"


def _described(errors: Iterable[Any]) -> Iterator[str]:
    for error in errors:
        yield f"{error.json_path}: {error.message[:300]}"


_PER_MEMBER = ("member_probabilities", "member_similarities")
