"""The tables and plots of docs/BENCHMARKS.md, from the newest figures of the history.

    python -m tests.benchmarks.report

What stands between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` is replaced.
"""

import re
from collections.abc import Collection

from tests.benchmarks.history import ROOT, Entry, newest, read
from tests.benchmarks.tables import TABLES

PAGE = ROOT / "docs" / "BENCHMARKS.md"
PLOTS = ROOT / "docs" / "benchmarks"


def main() -> None:
    """Write the page and its plots."""
    from tests.benchmarks import plots

    entries = read()
    PAGE.write_text(filled(PAGE.read_text("utf-8"), entries), "utf-8")
    plots.write_all(entries, PLOTS)


def filled(page: str, entries: list[Entry]) -> str:
    """Replace the sections of a page by what the history says now; one without figures stays."""
    for name, (section, table) in TABLES.items():
        found = newest(entries, section)
        if not found:
            continue
        tree = {path: value for path, (value, _) in found.items()}
        origin = _origin([entry for _, entry in found.values()])
        body = "\n".join([origin, "", *table(tree)]).rstrip()
        page = _replaced(page, name, body)
    return page


def _replaced(page: str, name: str, body: str) -> str:
    begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
    section = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return section.sub(lambda _: f"{begin}{body}\n{end}", page)


def _origin(entries: Collection[Entry]) -> str:
    """Say when, from which code, on what and under which load figures were measured."""
    days = sorted({entry.date[:10] for entry in entries})
    commits = ", ".join(dict.fromkeys(entry.commit for entry in entries))
    machines = "; ".join(dict.fromkeys(entry.machine for entry in entries))
    loads = sorted({entry.load for entry in entries})
    day, load = " to ".join(dict.fromkeys((days[0], days[-1]))), [str(load) for load in loads]
    spread = " to ".join(dict.fromkeys((load[0], load[-1])))
    return f"Measured {day}, commit {commits}, on {machines}; load at the beginning {spread}."


if __name__ == "__main__":
    main()
