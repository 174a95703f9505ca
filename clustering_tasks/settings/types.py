"""How settings that are no plain number or word are read, and what one that is not given means."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, WithJsonSchema

from clustering_tasks.settings.levels import DOMAINS


def names(value: object) -> object:
    """Take a comma-separated text for a list; none of it is as if it had not been given."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return value
    return [name.strip() for name in value if name.strip()] or None


def _domains(value: object) -> object:
    found = names(value)
    if not isinstance(found, list):
        return found
    known = {**DOMAINS, **{long: long for long in DOMAINS.values()}}
    if unknown := [name for name in found if str(name).lower() not in known]:
        raise ValueError(
            f"no such domain as {', '.join(map(str, unknown))}; known are {', '.join(known)}"
        )
    return list(dict.fromkeys(known[str(name).lower()] for name in found))


def _start(value: object) -> object:
    return _moment(value)


def _end(value: object) -> object:
    """Read a time; a date alone means the whole day."""
    parsed = _moment(value)
    if isinstance(value, str) and isinstance(parsed, datetime) and len(value.strip()) <= len(_DAY):
        return datetime.combine(parsed.date(), time.max, UTC)
    return parsed


_DAY = "2026-01-31"


def _moment(value: object) -> object:
    if value is None or value == "":
        return None
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"takes a date or a time in ISO 8601, like {_DAY} or {_DAY}T18:00:00Z"
        ) from None


def _schema(kind: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [kind, {"type": "null"}]})


_LIST = {"type": "array", "items": {"type": "string"}}


def list_schema(examples: Sequence[str] = ()) -> WithJsonSchema:
    """Describe an optional list of texts; examples are what Airflow's form offers."""
    return _schema(_LIST | ({"examples": list(examples)} if examples else {}))


# Airflow's form offers examples as a list to choose from.
_DOMAINS = _LIST | {"examples": list(DOMAINS.values())}
# No format: Airflow's form would refuse a date without a time.
_TEXT = _schema({"type": "string"})

Names = Annotated[list[str] | None, BeforeValidator(names), _schema(_LIST)]
Domains = Annotated[list[str] | None, BeforeValidator(_domains), _schema(_DOMAINS)]
Start = Annotated[datetime | None, BeforeValidator(_start), _TEXT]
End = Annotated[datetime | None, BeforeValidator(_end), _TEXT]

_Default = TypeVar("_Default", float, float | None)


def given_or(value: float | None, default: _Default) -> _Default:
    """Take the default of a setting that was not given; a zero was given."""
    return default if value is None else value
