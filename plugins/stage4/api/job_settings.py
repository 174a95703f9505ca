"""The settings of a job that is to be started, checked before anything is started."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from clustering_tasks.algorithms.method import refuse_filters
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from stage4.api.large_integers import refusal
from stage4.conf import conf_of_levels
from stage4.source_tables.choice import chosen_table

ALL = "all"


def problems_of(level: str, settings: Mapping[str, Any]) -> list[str]:
    """Name everything that `check_stage3`, or `check_settings`, would refuse by the settings alone.

    Args:
        level: plural name, or `all`.
        settings: dotted or nested; of `all` in groups by level.
    """
    try:
        text = json.dumps(settings, allow_nan=False)
    except ValueError:
        return ["NaN and infinity are no numbers of JSON"]
    if wrong := refusal(text.encode()):
        return [wrong]
    if "\\u0000" in text:  # which PostgreSQL cannot store
        return ["a text may not hold the character NUL"]
    try:
        levels = conf_of_levels(settings) if level == ALL else {level: settings}
    except SettingsError as error:
        return [*_lines(error)]
    return [
        f"{name}: {line}" if level == ALL else line
        for name, own in levels.items()
        for line in _refused(name, own)
    ]


def _refused(level: str, settings: Mapping[str, Any]) -> Iterator[str]:
    try:
        chosen = run_settings(settings)
        refuse_filters(chosen, LEVELS[level])
        chosen_table(chosen, level, deployment().source_tables)
    except SettingsError as error:
        yield from _lines(error)


def _lines(error: SettingsError) -> Iterator[str]:
    """Split a message that names every problem on a line of its own, below a heading."""
    heading, *lines = str(error).splitlines()
    yield from (line.strip().removeprefix("- ") for line in lines or [heading])
