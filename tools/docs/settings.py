"""The pages of docs/reference and `.env.example`, written from the code that they describe.

`python -m tools.docs.settings` writes them again; with `--check` it only names those that
differ, and fails if there are any.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import BaseModel

from clustering_tasks.cli import app
from clustering_tasks.settings import levels
from clustering_tasks.settings.deployment import DeploymentSettings
from clustering_tasks.settings.idle import RULES, known_names
from clustering_tasks.settings.run import RunSettings

REPO = Path(__file__).resolve().parents[2]
COMMAND = "python -m tools.docs.settings"

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
# `${NAME:-default}` and `${NAME:?what to do}` in docker-compose.yaml
_COMPOSE_VARIABLE = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+)$")


def pages() -> dict[str, str]:
    """Render every generated file: its path in the repository, and its content."""
    return {
        "docs/reference/settings.md": settings_page(),
        "docs/reference/deployment.md": deployment_page(),
        "docs/reference/cli.md": cli_page(),
        "docs/reference/levels.md": levels_page(),
        ".env.example": env_example(),
    }


def settings_page() -> str:
    """Describe `RunSettings`, a table for each group."""
    tables = [f"{title}\n\n{text}" for title, text in _groups(RunSettings, "", "## General")]
    return page(
        COMMAND,
        "Settings of a run",
        "What a caller may choose: in a DAG's form, in the `conf` of a REST call (nested or "
        "dotted), or on the command line (`--set a.b=value`, `--settings JSON`). A wrong value, an "
        "unknown name or two settings that contradict each other end the run before any work, with "
        "every problem named.",
        *tables,
        _where_settings_act(),
    )


def _where_settings_act() -> str:
    """Show the conditions under which settings act, in the order of the settings' groups."""
    rows = (
        (", ".join(f"`{name}`" for name in rule.names), _sentence(rule.where)) for rule in RULES
    )
    return "\n\n".join(
        (
            "## Where a setting acts",
            (
                "Elsewhere the setting has no effect. A run names each setting that differs from "
                "its default and has none, with the reason. Of several lines of a setting, all "
                "must hold."
            ),
            table(("setting", "acts only where"), rows),
        )
    )


def _sentence(condition: str) -> str:
    """Mark the settings in a condition."""
    names = "|".join(sorted(map(re.escape, known_names()), key=len, reverse=True))
    return re.sub(rf"(?<![\w`.])({names})(?![\w`])", r"`\1`", condition)


def deployment_page() -> str:
    """Describe `DeploymentSettings`, which come from the environment."""
    rows = (
        (f"`{_variable(name)}`", kind, default, description)
        for name, kind, default, description in _fields(DeploymentSettings, "")
    )
    return page(
        COMMAND,
        "Settings of an installation",
        "From environment variables, else from the file `.env` in the working directory of the "
        "process that reads them (`STAGE4_ENV_FILE` names another file); never from a caller. An "
        "empty variable counts as unset.",
        table(("variable", "takes", "default", "meaning"), rows),
    )


def cli_page() -> str:
    """Describe each sub-command of `python -m clustering_tasks`."""
    group = typer.main.get_command(app)
    sections = [_command_section(*item) for item in getattr(group, "commands", {}).items()]
    return page(
        COMMAND,
        "Command line",
        "Logs are JSON lines on standard error; the last line of standard output is the result as "
        "one JSON object. Exit codes: [errors.md](errors.md).",
        *sections,
    )


def levels_page() -> str:
    """Describe the four levels by the fields of `Level`, and list the domains."""
    meanings = dict(_attributes(levels.Level))
    names = [field.name for field in fields(levels.Level)]
    by_field = (
        (f"`{name}`", *(_shown(getattr(level, name)) for level in levels.LEVELS.values()))
        for name in names
    )
    return page(
        COMMAND,
        "Levels",
        table(("field", *levels.LEVELS), by_field),
        table(("field", "meaning"), ((f"`{name}`", meanings[name]) for name in names)),
        "## Domains",
        f"Both spellings are read; the long one is written. Others become "
        f"`{levels.UNKNOWN_DOMAIN}` and are counted (`unknown_domains`).",
        table(("short", "long"), ((f"`{s}`", f"`{n}`") for s, n in levels.DOMAINS.items())),
    )


def env_example() -> str:
    """Write every deployment setting commented out, and what docker compose asks for."""
    lines = [
        "# Settings of an installation. Copy to `.env` and uncomment what you change.",
        f"# Written by `{COMMAND}`, like docs/reference/deployment.md.",
    ]
    for name, _, default, description in _fields(DeploymentSettings, ""):
        value = default.strip("`")
        quoted = f'"{value}"' if " " in value else value
        lines += ["", f"# {description}", f"# {_variable(name)}={quoted}"]
    compose = REPO / "docker-compose.yaml"
    if compose.exists():
        lines += ["", "", "# Only for docker-compose.yaml, which says more about each:"]
        lines += list(_compose_variables(compose.read_text(encoding="utf-8")))
    return "\n".join(lines) + "\n"


def page(command: str, title: str, *blocks: str) -> str:
    """Put a page together, under a note that it is written by `command`."""
    note = f"<!-- Written by `{command}`; change the code, then run `make docs`. -->"
    return "\n\n".join((note, f"# {title}", *blocks)) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Render a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def run(write: Callable[[], Mapping[str, str]], arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` name those that differ.

    Returns:
        The exit code: 1 where a checked file differs.
    """
    parser = argparse.ArgumentParser(description="Write the generated reference files.")
    parser.add_argument("--check", action="store_true", help="only name the files that differ")
    check = parser.parse_args(arguments).check
    stale = {name: text for name, text in write().items() if _content(REPO / name) != text}
    for name, text in stale.items():
        sys.stdout.write(f"{name} {'is out of date: run `make docs`' if check else 'written'}\n")
        if not check:
            (REPO / name).parent.mkdir(parents=True, exist_ok=True)
            (REPO / name).write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def _content(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _groups(model: type[BaseModel], prefix: str, title: str) -> Iterator[tuple[str, str]]:
    """Yield a title and a table for a model's own fields, then for each group in it."""
    rows = ((f"`{row[0]}`", *row[1:]) for row in _fields(model, prefix))
    yield title, table(("name", "takes", "default", "meaning"), rows)
    for name, field in model.model_fields.items():
        if (group := _group(field.annotation)) is not None:
            dotted = f"{prefix}{name}"
            yield from _groups(group, f"{dotted}.", f"## {dotted}\n\n{first_line(group)}")


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, form, default and description of each field that is no group."""
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        if _group(field.annotation) is None:
            kind = _kind(schema["properties"][name], schema.get("$defs", {}))
            default = _shown(field.get_default(call_default_factory=True))
            yield f"{prefix}{name}", kind, default, field.description or ""


def _group(annotation: Any) -> type[BaseModel] | None:
    """Return the model behind an annotation (also an optional one), None for anything else."""
    if get_origin(annotation) is dict:  # of models, by names that an installation chooses
        return None
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say in words what a field takes."""
    if reference := schema.get("$ref"):
        return _kind(definitions[reference.rpartition("/")[2]], definitions)
    if options := schema.get("anyOf"):
        given = [_kind(option, definitions) for option in options if option.get("type") != "null"]
        return " or ".join(given) + (", or unset" if len(given) < len(options) else "")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), definitions)}"
    kind = "text" if schema.get("type") == "string" else str(schema.get("type", "anything"))
    bounds = [f"{words} {schema[bound]:,}" for bound, words in _BOUNDS.items() if bound in schema]
    return ", ".join((kind, *bounds))


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _variable(name: str) -> str:
    return f"{DeploymentSettings.model_config.get('env_prefix', '')}{name}".upper()


def _command_section(name: str, command: Any) -> str:
    rows = [
        (
            f"`{', '.join(it.opts)}`",
            "yes" if it.required else "",
            "" if it.default == [] else _shown(it.default),
            it.help or "",
        )
        for it in command.params
        if it.name != "help"
    ]
    options = table(("option", "required", "default", "meaning"), rows) if rows else ""
    usage = f"    python -m clustering_tasks {name}"
    return "\n\n".join(part for part in (f"## {name}", command.help, usage, options) if part)


def first_line(thing: type) -> str:
    """Return the first paragraph of a class's docstring."""
    return (inspect.getdoc(thing) or "").strip().split("\n\n")[0].replace("\n", " ")


def _attributes(thing: type) -> Iterator[tuple[str, str]]:
    """Read the `Attributes:` of a docstring: one line each, or continued deeper."""
    lines = (inspect.getdoc(thing) or "").partition("Attributes:\n")[2].splitlines()
    joined: list[str] = []
    for line in lines:
        if line.startswith(" " * 8) and joined:
            joined[-1] += f" {line.strip()}"
        else:
            joined.append(line)
    return ((found[1], found[2]) for line in joined if (found := _ATTRIBUTE.match(line)))


def _compose_variables(text: str) -> Iterator[str]:
    known = {_variable(name) for name in DeploymentSettings.model_fields}
    told: dict[str, tuple[str, str]] = {}
    for name, kind, value in _COMPOSE_VARIABLE.findall(text):
        if name not in known and not (name in told and not value):
            told[name] = (kind, value)
    for name, (kind, value) in told.items():
        yield f"\n# required: {value}\n# {name}=" if kind == "?" else f"\n# {name}={value}"


if __name__ == "__main__":
    sys.exit(run(pages))
