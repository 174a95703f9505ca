"""`--set name=value`, checked by `RunSettings` before anything is started.

The terminal and the server are one package and should have one version: a setting that only a newer
server has is refused here as unknown.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.renamed import current_name, current_value
from stage4.cli.errors import UsageError
from stage4.cli.output import console

# pydantic is imported where it is needed: its 0.2 s would be added to every command.
if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

ALL = "all"
COMMON = "common"

Groups = dict[str, dict[str, Any]]


def conf(level: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Make a run's conf.

    Args:
        level: plural name; `all`: names may begin with a level, which they are for alone.
        pairs: `name=value`.

    Returns:
        Dotted name to value, in JSON's types; for `all`, in groups `common` and levels.

    Raises:
        UsageError: naming everything that is wrong.
    """
    given, problems = _groups(level, pairs)
    chosen: Groups = {}
    for group, texts in given.items():
        chosen[group] = _typed(group, texts, problems)
    if problems:
        raise UsageError("\n".join(["settings refused:", *(f"  - {line}" for line in problems)]))
    _refuse_impossible_pairs(level, chosen)
    return chosen if level == ALL else chosen.get(COMMON, {})


def without_effect(level: str, chosen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the settings that will have no effect, as far as is known without the items.

    Args:
        level: plural name, or `all`.
        chosen: as `conf` returned it.

    Returns:
        `{"level": ..., "setting": ..., "value": ..., "reason": ...}` for each.
    """
    from clustering_tasks.publication.idle import idle_before
    from clustering_tasks.settings.run import run_settings
    from stage4.conf import conf_of_levels

    each = conf_of_levels(chosen if level == ALL else {level: chosen})
    return [
        {"level": name} | idle.record()
        for name, settings in each.items()
        for idle in idle_before(run_settings(settings), LEVELS[name], None)
    ]


def _groups(level: str, pairs: Iterable[str]) -> tuple[Groups, list[str]]:
    """Split the pairs: group to name to text; and what is no pair."""
    groups: Groups = {}
    named: dict[tuple[str, str], str] = {}
    problems = []
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals:
            problems.append(f"{name}: --set takes name=value, for example scope=domain")
            continue
        first, _, rest = name.partition(".")
        group, setting = (first, rest) if level == ALL and first in LEVELS else (COMMON, name)
        current, text = _current(setting, text)
        given = groups.setdefault(group, {})
        if named.setdefault((group, current), setting) != setting and given[current] != text:
            both = f"{given[current]} and {text}"
            problems.append(f"{setting}: {current} is given by its former name, too ({both})")
        given[current] = text
    return groups, problems


def _current(name: str, text: str) -> tuple[str, str]:
    """Give a setting and its value their present names, with a note about the old ones."""
    current = current_name(name)
    value = str(current_value(current, text))
    if (current, value) != (name, text):
        console(error=True).print(
            f"note: --set {name}={text} is called {current}={value} now", markup=False
        )
    return current, value


def _typed(group: str, texts: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    """Read each text as its setting's type; what cannot be read is added to the problems."""
    from pydantic import ValidationError

    values = {name: None if text in ("", "null") else text for name, text in texts.items()}
    try:
        read = _flat_settings().model_validate(values)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0])
            if problem["type"] == "extra_forbidden":
                message = f"unknown setting{_hint(name)}"
            else:
                message = f"{problem['msg'].removeprefix('Value error, ')} (got {texts[name]!r})"
            problems.append(f"{name if group == COMMON else f'{group}.{name}'}: {message}")
        return {}
    return read.model_dump(mode="json", exclude_unset=True)


def _hint(name: str) -> str:
    known = _flat_settings().model_fields
    near = get_close_matches(name, known, n=3) or [
        setting for setting in known if setting.endswith(f".{name}")
    ]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _refuse_impossible_pairs(level: str, chosen: Groups) -> None:
    from stage4.conf import conf_of_levels

    groups = chosen if level == ALL else {level: chosen.get(COMMON, {})}
    try:
        conf_of_levels(groups)
    except SettingsError as error:
        raise UsageError(str(error)) from None


@cache
def _flat_settings() -> "type[BaseModel]":
    """Make a model of all settings by dotted name, each with its own checks."""
    from pydantic import ConfigDict, create_model

    from clustering_tasks.settings.run import RunSettings

    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in _fields(RunSettings)
    }
    return create_model("FlatSettings", __config__=ConfigDict(extra="forbid"), **fields)


def _fields(model: "type[BaseModel]", prefix: str = "") -> "Iterator[tuple[str, FieldInfo]]":
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
