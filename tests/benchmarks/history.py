"""The benchmarks' figures over time: a line per measurement, and what became worse.

    python -m tests.benchmarks.history

prints every figure whose newest value is worse than it was, and then ends with code 1.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import psutil
from pydantic import BaseModel, ConfigDict

from tests.benchmarks.world import GENERATOR

ROOT = Path(__file__).parents[2]
HISTORY = Path(__file__).with_name("history.jsonl")

Figure = float | str | list[float] | None
# Contenders that find neighbours and no clusters: their quality is recall.
SEARCHES = frozenset({"FAISS flat", "FAISS IVF"})
_QUALITY = ("f1", "coverage")
_GENERATED = frozenset(
    {"generated", "speed"}
)  # sections whose items `tests.benchmarks.scale` makes
# Earlier values of the same machine that the newest is compared with.
_REMEMBERED = 5


class Entry(BaseModel):
    """One measurement.

    Attributes:
        date: ISO 8601, UTC.
        commit: of the code; with a plus where files were changed since.
        machine: processor, cores and memory.
        load: average over the last minute, before it began; what it shared the machine with.
        figures: by path, as `speed/10000/ours/seconds`.
        generator: version of `tests.benchmarks.scale` that made the items, None where none did;
            before it had versions, the times of `speed` were of results with hardly a cluster.
    """

    model_config = ConfigDict(frozen=True)

    date: str
    commit: str
    machine: str
    load: float
    figures: dict[str, Figure]
    generator: int | None = None


class Regression(BaseModel):
    """A figure that became worse."""

    model_config = ConfigDict(frozen=True)

    name: str
    before: float
    now: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:.4g}, now {self.now:.4g}"


def new_entry(figures: Mapping[str, Figure], load: float, generator: int | None = None) -> Entry:
    """Describe a measurement that was made just now."""
    return Entry(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        machine=_machine(),
        load=round(load, 1),
        figures={name: _rounded(value) for name, value in figures.items()},
        generator=generator,
    )


def _rounded(value: Figure) -> Figure:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def add(entry: Entry, path: Path = HISTORY) -> None:
    """Append a measurement.

    Raises:
        ValueError: a clustering was timed, and how good it was is not among the figures.
    """
    if lacking := without_quality(entry.figures):
        raise ValueError(
            f"{', '.join(lacking)}: seconds without {' and '.join(_QUALITY)} of the run that took "
            f"them. Compare its labels with gold (measures.scores_of_labels) and add both figures"
        )
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry.model_dump(), ensure_ascii=False) + "\n")


def without_quality(figures: Mapping[str, Figure]) -> list[str]:
    """Paths of contenders that were timed while nobody looked at their answer."""
    timed = [name.removesuffix("/seconds") for name in figures if name.endswith("/seconds")]

    def known(path: str) -> bool:
        needed = ("recall16",) if path.rpartition("/")[2] in SEARCHES else _QUALITY
        values = [figures.get(f"{path}/{name}") for name in needed]
        return all(isinstance(value, float | int) and value == value for value in values)

    return [path for path in timed if not known(path)]


def read(path: Path = HISTORY) -> list[Entry]:
    """Read all measurements, oldest first."""
    if not path.exists():
        return []
    return [Entry.model_validate_json(line) for line in path.read_text("utf-8").splitlines()]


def newest(entries: Iterable[Entry], prefix: str) -> dict[str, tuple[Figure, Entry]]:
    """Find the newest value of each figure below a path, and the measurement that it is from.

    Of figures of generated items, those of other versions of the generator do not count.
    """
    found: dict[str, tuple[Figure, Entry]] = {}
    for entry in entries:
        if prefix in _GENERATED and entry.generator != GENERATOR:
            continue
        for name, value in entry.figures.items():
            if name.startswith(f"{prefix}/"):
                found[name.removeprefix(f"{prefix}/")] = (value, entry)
    return found


def regressions(entries: list[Entry]) -> Iterator[Regression]:
    """Compare the newest value of each figure with the median of those before.

    Times and memory are compared on the same machine only; scores everywhere; figures of generated
    items with those of the same generator.
    """
    values: dict[str, list[float]] = {}
    for entry in entries:
        for name, value in entry.figures.items():
            if isinstance(value, float | int):
                machine = entry.machine if _is_cost(name) else ""
                of = f"{name}\0{machine}\0{entry.generator}"
                values.setdefault(of, []).append(value)
    for key, series in values.items():
        name, now = key.partition("\0")[0], series[-1]
        if len(series) > 1 and _tolerated(name) is not None:
            before = median(series[-1 - _REMEMBERED : -1])
            if _is_worse(name, before, now):
                yield Regression(name=name, before=before, now=now)


# By how a figure's name ends: by how much a score may fall, how many times as much a cost may be.
# Wall time is not judged, because the machine is shared.
_SCORES = {"/f1": 0.005, "/gain": 0.01, "/low": 0.02, "_ari": 0.01, "/recall16": 0.005}
_COSTS = {"/cpu_seconds": 1.3, "/peak_mb": 1.15}


def _tolerated(name: str) -> float | None:
    """How much worse one of our figures may be; None for what is not judged."""
    judged = {**_SCORES, **_COSTS}
    return next((judged[end] for end in judged if "/ours" in name and name.endswith(end)), None)


def _is_cost(name: str) -> bool:
    return name.endswith(tuple(_COSTS))


def _is_worse(name: str, before: float, now: float) -> bool:
    tolerated = _tolerated(name) or 0.0
    return now > before * tolerated if _is_cost(name) else now < before - tolerated


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "clustering_tasks")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _machine() -> str:
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next((x.partition(": ")[2] for x in lines if x.startswith("model name")), model)
    gib = round(psutil.virtual_memory().total / 2**30)
    return f"{model}, {os.cpu_count()} cores, {gib} GiB"


def main() -> None:
    """Print what became worse."""
    worse = list(regressions(read()))
    for each in worse:
        print(each)
    print(f"{len(worse)} figures are worse than they were")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
