"""What a run of `cluster_all` is doing: a live table on a terminal, lines in a log."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps import MAPPED
from local.airflow_api import Json
from stage4.tasks import LEVEL_TASKS

# The first state that any of a step's tasks is in describes the step.
MARKS = {
    "failed": "[red]failed[/]",
    "upstream_failed": "[red]-[/]",
    "up_for_retry": "[yellow]retry[/]",
    "restarting": "[yellow]retry[/]",
    "running": "[cyan]running[/]",
    "deferred": "[cyan]running[/]",
    "queued": "[dim]queued[/]",
    "scheduled": "[dim]queued[/]",
    "skipped": "skipped",
    "success": "[green]done[/]",
}
WAITING = "[dim].[/]"


class Progress:
    """The states of all steps of all levels, shown as they change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._cells: dict[tuple[str, str], str] = {}
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table until the block ends; where there is no terminal, print changes."""
        if not self._console.is_terminal:
            yield
            return
        with Live(self._table(), console=self._console, refresh_per_second=4) as self._live:
            yield

    def update(self, task_instances: Sequence[Json]) -> None:
        """Take the present task instances of the levels' runs."""
        cells = cells_of(task_instances)
        if self._live is None:
            self._print_changes(cells)
        self._cells = cells
        if self._live is not None:
            self._live.update(self._table())

    def _table(self) -> Table:
        seconds = time.monotonic() - self._began
        table = Table(title=f"cluster_all, {seconds:.0f} s", title_justify="left", box=SIMPLE_HEAD)
        table.add_column("step")
        for level in LEVELS:
            table.add_column(level, justify="center", min_width=10)
        for step in LEVEL_TASKS:
            table.add_row(step, *(self._cells.get((level, step), WAITING) for level in LEVELS))
        return table

    def _print_changes(self, cells: dict[tuple[str, str], str]) -> None:
        clock = f"{time.monotonic() - self._began:6.1f} s"
        for (level, step), cell in cells.items():
            if cell != self._cells.get((level, step)) and cell not in (WAITING, MARKS["queued"]):
                self._console.print(f"{clock}  {level}: {step} {cell}", highlight=False)


def cells_of(task_instances: Sequence[Json]) -> dict[tuple[str, str], str]:
    """The text for each level and step: its state, and for mapped tasks how many are done."""
    states: dict[tuple[str, str], list[str | None]] = defaultdict(list)
    for each in sorted(task_instances, key=lambda task: task_order(task["task_id"])):
        level = each["dag_id"].removeprefix("cluster_")
        if level in LEVELS and each["task_id"] in LEVEL_TASKS:
            states[level, each["task_id"]].append(each["state"])
    return {key: cell(key[1], found) for key, found in states.items()}


def task_order(task_id: str) -> int:
    """The place of a step in a run; others last."""
    return LEVEL_TASKS.index(task_id) if task_id in LEVEL_TASKS else len(LEVEL_TASKS)


def cell(step: str, states: Sequence[str | None]) -> str:
    """The text for one step."""
    mark = next((mark for state, mark in MARKS.items() if state in states), WAITING)
    done = Counter(states)["success"]
    if step != MAPPED.name or not done:
        return mark
    if "failed" in states:
        return f"[red]{done}/{len(states)}, failed[/]"
    return f"[{'green' if done == len(states) else 'cyan'}]{done}/{len(states)}[/]"
