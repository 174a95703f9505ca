"""What commands print: tables for people, JSON for programs. Titles are hostile input."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clustering_tasks.stage3.text import cut, escape_unseen, visible

Json = dict[str, Any]

NOTHING = "-"
_PIPE_WIDTH = 1000  # nothing is broken where a program reads
# Characters of a value in a table: rows are padded to the longest. Ids, in the first column, are
# shown whole; `--json` has everything whole.
_MOST_IN_TABLE, _MOST_IN_FACTS = 100, 200
_COLOURS = {
    **dict.fromkeys(("completed", "success", "up", "healthy", "current"), "green"),
    **dict.fromkeys(("failed", "upstream_failed", "down", "critical"), "red"),
    **dict.fromkeys(("running", "degraded", "warning", "up_for_retry"), "yellow"),
}
_BARS = "▁▂▃▄▅▆▇█"


def console(*, error: bool = False) -> Console:
    """Make a console for standard output, or for standard error."""
    file = sys.stderr if error else sys.stdout
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH, highlight=False)


def write_json(data: Json) -> None:
    """Write a record, in one line if nobody looks at it."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(escape_unseen(json.dumps(data, indent=indent, ensure_ascii=False)) + "\n")


def clean(value: object) -> str:
    """Return a text that neither moves the cursor nor turns the line round."""
    return visible(str(value)).replace("\n", " ").replace("\t", " ")


def cell(value: object, most: int | None = None) -> Text:
    """Show a value without reading markup in it; None is a dash.

    Args:
        value: of an answer.
        most: characters that are shown; None: all.
    """
    shown = _cell(value)
    if most is not None and len(shown) > most:
        shown.plain = cut(shown.plain, most)
    return shown


def _cell(value: object) -> Text:
    if value is None:
        return Text(NOTHING, style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int | float):
        return Text(number(value))
    if isinstance(value, list):
        return Text(", ".join(clean(each) for each in value) or NOTHING)
    text = clean(value)
    return Text(text, style=_COLOURS.get(text, ""))


def number(value: float | None) -> str:
    """Show a number with four digits, a whole one whole."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def moment(text: str | None) -> str | None:
    """Show a time of the API in this machine's zone."""
    if text is None:
        return None
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int | None) -> str | None:
    """Show bytes as gibibytes."""
    return None if count is None else f"{count / (1 << 30):.1f} GiB"


def table(
    header: Sequence[str], rows: Iterable[Sequence[object]], most: int | None = _MOST_IN_TABLE
) -> Table:
    """Make a table; numbers stand on the right.

    Args:
        header: names of the columns.
        rows: their values.
        most: characters of a value that are shown; None: all.
    """
    rows = [tuple(row) for row in rows]
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column, name in enumerate(header):
        numeric = any(isinstance(row[column], int | float) for row in rows)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for first, *others in rows:
        made.add_row(cell(first), *(cell(value, most) for value in others))
    return made


def facts(values: Mapping[str, object], most: int | None = _MOST_IN_FACTS) -> Table:
    """Make a table of names and values.

    Args:
        values: by name.
        most: characters of a value that are shown; None: all.
    """
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in values.items():
        made.add_row(name, cell(value, most))
    return made


def trend(values: Iterable[float | None]) -> str:
    """Draw values, oldest first, as a line of bars; a gap is one that was not measured."""
    drawn = list(values)
    known = [value for value in drawn if value is not None]
    least, span = (min(known), max(known) - min(known)) if known else (0.0, 0.0)
    return "".join(
        " " if value is None else _BARS[round((value - least) / span * 7) if span else 3]
        for value in drawn
    )
