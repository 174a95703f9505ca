"""The ledger of the campaign: a line of JSON for each run, and a table of all of them.

`python -m tests.e2e.chaos.ledger FILE...` prints the table of docs/RELIABILITY.md.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.e2e.chaos.schedule import PAIRS, Pair


@dataclass(frozen=True)
class Entry:
    """A run under faults.

    Attributes:
        seed, level: of the run; faults: what was done to it, with `hit`: whether there was anything
            to hit. What comes too late for its task is no fault.
        beside: kinds that hit other runs of the round.
        ended: `published`, or `completed`: failed as it may, then cleared and published.
        seconds: from its start to its last end.
        wrong: what was not as it should be.
        runner: of the steps.
        load: of the machine in the end, tasks for each core: what is far above 1 is late.
    """

    seed: int
    level: str
    faults: list[dict[str, Any]]
    beside: list[str]
    ended: str
    seconds: float
    wrong: list[str] = field(default_factory=list)
    runner: str | None = None
    load: float | None = None


def append(path: Path, entry: Entry) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(entry)) + "\n")


def read(paths: Iterable[Path]) -> list[Entry]:
    return [
        Entry(**json.loads(line)) for path in paths for line in path.read_text("utf-8").splitlines()
    ]


def summary(entries: list[Entry]) -> str:
    """A table: kind of fault, number, right ends, wrong ends."""
    done, wrong, cleared = Counter[str](), Counter[str](), Counter[str]()
    for entry in entries:
        for kind in (fault["kind"] for fault in entry.faults if fault["hit"]):
            done[kind] += 1
            wrong[kind] += bool(entry.wrong)
            cleared[kind] += entry.ended == "completed"
    rows = [
        f"| {kind} | {done[kind]} | {done[kind] - wrong[kind]} | {cleared[kind]} | {wrong[kind]} |"
        for kind in sorted(done)
    ]
    runs, ill = len(entries), sum(bool(entry.wrong) for entry in entries)
    right = done.total() - wrong.total()
    total = f"| all | {done.total()} | {right} | {cleared.total()} | {wrong.total()} |"
    head = [
        "| fault | done | right end | of them after a clearing | wrong end |",
        "| --- | --- | --- | --- | --- |",
    ]
    ends = f"{runs} runs, {ill} with a wrong end{_circumstances(entries)}. {_pairs(entries)}"
    return "\n".join([*head, *rows, total, "", ends])


def pairs_hit(entries: Iterable[Entry]) -> set[Pair]:
    """Which faults have been done during which tasks."""
    return {(f["kind"], f["step"]) for each in entries for f in each.faults if f["hit"]}


def _pairs(entries: list[Entry]) -> str:
    hit = pairs_hit(entries) & PAIRS
    return f"Of {len(PAIRS)} pairs of a fault and a task, {len(hit)} were hit"


def _circumstances(entries: list[Entry]) -> str:
    """Under which load runs were, and how many in containers; of those that tell it."""
    loads = sorted(entry.load for entry in entries if entry.load is not None)
    if not loads:
        return ""
    in_containers = sum(entry.runner == "docker" for entry in entries)
    return (
        f". Of the last {len(loads)}, {in_containers} were in containers, and the load was"
        f" {loads[0]} to {loads[-1]} tasks for each core (median {median(loads)})"
    )


if __name__ == "__main__":
    sys.stdout.write(summary(read(map(Path, sys.argv[1:]))) + "\n")
