"""What it costs to cut a level into tasks: processor seconds of `cluster`, each part a process.

`python -m tests.benchmarks.parts FOLDER LEVEL [--rounds 3]` compares, in turns, as few parts as the
level allows with the default, and fails if a bit of the neighbour graph differs.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from clustering_tasks.arrays import F32, I32
from clustering_tasks.graph.neighbour_graph import read_graph
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Run, part_name
from tests.benchmarks.ours import new_run, quiet

CUTS: dict[str, dict[str, Any]] = {
    "few": {"parts.min_rows": 1_000_000},
    "default": {},
}


def main() -> None:
    """Print a row for each cut."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("level")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as scratch:
        runs = {
            name: _planned(given.folder, Path(scratch) / name, given.level, settings)
            for name, settings in CUTS.items()
        }
        seconds: dict[str, list[list[float]]] = {name: [] for name in runs}
        for _ in range(given.rounds):
            for name, run in runs.items():
                seconds[name].append(_cluster_all(run))
        few, many = (_graph(run) for run in runs.values())
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one.view(np.int32), other.view(np.int32))
    print("cut | parts | processor seconds | longest part")
    for name, rounds in seconds.items():
        total, longest = (statistics.median(map(of, rounds)) for of in (sum, max))
        print(f"{name} | {len(rounds[0])} | {total:.1f} | {longest:.1f}")


def _planned(folder: Path, workspace: Path, level: str, settings: dict[str, Any]) -> Run:
    run = new_run(folder, workspace, level, settings)
    snapshot(run)
    plan(run)
    return run


def _cluster_all(run: Run) -> list[float]:
    """Perform each part in a process of its own; return their processor seconds."""
    found_before = Path(str(run.workspace)) / run.level.name / "artefacts" / "cluster"
    shutil.rmtree(found_before, ignore_errors=True)
    return [_cluster(run, number) for number in range(len(run.result("plan").parts or []))]


def _cluster(run: Run, part: int) -> float:
    of = {"workspace": run.workspace, "level": run.level.name, "job": run.job_id, "part": part}
    options = [text for name, value in of.items() for text in (f"--{name}", str(value))]
    before = _processor()
    command = [sys.executable, "-m", "clustering_tasks", "cluster", *options]
    subprocess.run(command, check=True, capture_output=True)
    return _processor() - before


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _graph(run: Run) -> tuple[I32, F32]:
    parts = run.result("plan").parts or []
    results = [run.result(part_name(part.part)) for part in parts]
    nodes = int(run.result("plan").metrics["nodes"] or 0)
    graph = read_graph(nodes, run.settings.neighbours.k, results)
    return graph.ids, graph.distances


if __name__ == "__main__":
    main()
