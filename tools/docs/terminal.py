"""docs/reference/terminal.md, written from the commands and the errors of `stage4`.

`PYTHONPATH=.:plugins python -m tools.docs.terminal` writes it; with `--check` it fails if it
differs.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from stage4.cli.app import app
from stage4.cli.errors import CommandError
from tools.docs.settings import page, run, table

PAGE = "docs/reference/terminal.md"
COMMAND = "python -m tools.docs.terminal"


def terminal_page() -> str:
    """Describe the program, each command, and the exit codes."""
    program = typer.main.get_command(app)
    commands = getattr(program, "commands", {})
    return page(
        COMMAND,
        "From a terminal",
        "`stage4` asks a running Airflow, over HTTP. Options of the program come before the "
        "command's name. With `--json`, standard output holds one JSON object and nothing else; "
        "progress and errors are on standard error.",
        "    stage4 [OPTIONS] COMMAND",
        _options(program),
        *_sections(commands),
        "## Exit codes",
        table(("code", "meaning"), sorted(_codes())),
    )


def _sections(commands: Mapping[str, Any], group: str = "") -> Iterator[str]:
    for name, command in commands.items():
        if own := getattr(command, "commands", None):
            yield from _sections(own, f"{group}{name} ")
        else:
            yield _section(f"{group}{name}", command)


def _section(name: str, command: Any) -> str:
    arguments = [each.metavar for each in command.params if each.param_type_name == "argument"]
    usage = "    " + " ".join(["stage4", name, *arguments])
    return "\n\n".join(
        part for part in (f"## {name}", command.help, usage, _options(command)) if part
    )


def _options(command: Any) -> str:
    rows = [
        (f"`{', '.join(it.opts)}`" if it.param_type_name == "option" else it.metavar, it.help)
        for it in command.params
        if it.name != "help" and not getattr(it, "hidden", False)
    ]
    return table(("option", "meaning"), rows) if rows else ""


def _codes() -> Iterator[tuple[int, str]]:
    yield 0, "Done."
    for error in CommandError.__subclasses__():
        yield error.exit_code, (error.__doc__ or "").strip()


if __name__ == "__main__":
    sys.exit(run(lambda: {PAGE: terminal_page()}))
