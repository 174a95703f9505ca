"""Names that settings had in earlier versions, and what they are called now.

An old name is accepted wherever a new one is: in a conf, on the command line, in stored runs.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import structlog

# `name`, or `name=value` where only a value was renamed.
RENAMED = {
    "evidence.gate_similarity": "evidence.story_similarity_floor",
    "evidence.gate_weight": "evidence.story_penalty_factor",
    "partition.by": "parts.by",
    "partition.max_parts": "parts.max_count",
    "partition.min_part_rows": "parts.min_rows",
    "scope=partition": "scope=domain",
}

log = structlog.get_logger()


def current_name(name: str) -> str:
    """Return what a setting is called now, by its dotted name; an unknown name as it is."""
    return RENAMED.get(name, name)


def current_value(name: str, value: object) -> object:
    """Return what a setting's value is called now.

    Args:
        name: the setting's present dotted name.
        value: as it was given.
    """
    found = RENAMED.get(f"{name}={value}")
    return found.partition("=")[2] if found else value


def old_values(name: str) -> list[str]:
    """Return the values of a setting that have a new name, by the setting's dotted name."""
    return [old.removeprefix(f"{name}=") for old in RENAMED if old.startswith(f"{name}=")]


def with_current_names(
    settings: Mapping[str, Any], *, warn: bool = True
) -> tuple[dict[str, Any], list[str]]:
    """Give settings their present names.

    Args:
        settings: nested, left unchanged.
        warn: whether the log gets a warning for each old name; settings that an earlier version
            stored were not named by anybody now.

    Returns:
        The nested settings, and a line for each setting that has two values, one under its old
        name and one under its new name (there the new name's value stays), and for what is left
        in a group of old names.
    """
    current, problems = _copied(settings), []
    for old, new in RENAMED.items():
        if "=" in old:
            _replace_value(current, old, new, warn)
        elif (problem := _move(current, old, new, warn)) is not None:
            problems.append(problem)
    for group in _old_groups() & current.keys():
        left = current.pop(group)
        if left != {}:
            problems.append(f"{group}: {_meant(group)} (got {left!r})")
    return current, problems


def _move(settings: dict[str, Any], old: str, new: str, warn: bool) -> str | None:
    group, name = old.split(".")
    if not isinstance(settings.get(group), dict) or name not in settings[group]:
        return None
    if warn:
        _warn(old, new)
    value = settings[group].pop(name)
    group, name = new.split(".")
    into = settings.setdefault(group, {})
    if not isinstance(into, dict):
        return f"{old}: is called {new} now, and {group} is given as the value {into!r}"
    # As text: a form and a terminal send "3", a program 3.
    if str(into.setdefault(name, value)) != str(value):
        both = f"{value!r} and {into[name]!r}"
        return f"{old}: is called {new} now, and both are given ({both}): leave {old} out"
    return None


def _replace_value(settings: dict[str, Any], old: str, new: str, warn: bool) -> None:
    name, value = old.split("=")
    if settings.get(name) == value:
        if warn:
            _warn(old, new)
        settings[name] = new.partition("=")[2]


def _old_groups() -> set[str]:
    """Name the groups that have no setting any more."""
    kept = {new.split(".")[0] for new in RENAMED.values()}
    return {old.split(".")[0] for old in RENAMED if "." in old} - kept


def _meant(group: str) -> str:
    """Say what the settings of a group of old names are called now."""
    names = [f"{old} is {new}" for old, new in RENAMED.items() if old.startswith(f"{group}.")]
    return f"its settings have other names now: {', '.join(names)}"


def _copied(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _copied(value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }


@cache  # a process may read the same settings many times, of a conf or of stored runs
def _warn(old: str, new: str) -> None:
    # In the message itself: Airflow's plain logs leave out the values beside it.
    log.warning(f"setting {old} is called {new} now")
