"""Time and memory of `snapshot`, of the nodes of `plan` and of `label` on a folder of any size.

    python -m tests.benchmarks.snapshot -n 1000000

prints the table that stands in docs/BENCHMARKS.md. Items are those of
`tests.benchmarks.independent`. `label` is given the generator's own clusters: nothing is clustered,
and there is no quality to measure. Each step is a process of its own; its peak memory is the one
that the kernel counts, mapped files and children included.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from upath import UPath

from clustering_tasks.arrays import I32
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.label.report import NEIGHBOURS, QUALITY
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, load_run, perform
from clustering_tasks.workspace.vector_files import open_vectors
from tests.benchmarks.independent import write_independent
from tests.benchmarks.scale import read_truth
from tests.benchmarks.spectrum import DIMENSION

ROOT = Path(__file__).parents[2]
_JOB = "benchmark"
_NODES = """
import sys
import pandas as pd
from upath import UPath
from clustering_tasks.workspace.artefacts import load_run
from clustering_tasks.steps.plan.filters import COLUMNS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.graph.make_nodes import make_nodes
run = load_run(UPath(sys.argv[1]), LEVELS[sys.argv[2]], sys.argv[3])
with run.result("snapshot").path("items").open("rb") as file:
    items = pd.read_parquet(file, columns=["first_identical_row", *COLUMNS])
make_nodes(items, run.level, run.settings)
"""
# A small process in between: a process's peak begins with what its parent holds.
_LAUNCHER = """
import os, resource, sys
code = os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print()
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(code)
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds, seconds of its processors, bytes."""

    wall: float
    cpu: float
    peak: int


def main() -> None:
    """Print one row per step."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--level", choices=LEVELS, default="events")
    parser.add_argument("--folder", type=Path, help="keep the generated folder here, or find it")
    arguments = parser.parse_args()
    print("| step | items | wall | CPU | peak memory |")
    print("|---|---|---|---|---|")
    for step, cost in measured(arguments.n, arguments.level, arguments.folder):
        wall, cpu = f"{cost.wall:.1f} s", f"{cost.cpu:.1f} s"
        print(f"| {step} | {arguments.n:,} | {wall} | {cpu} | {cost.peak / 1e9:.2f} GB |")


def measured(n: int, level: str, folder: Path | None = None) -> Iterator[tuple[str, Cost]]:
    """Yield each step with its cost."""
    with tempfile.TemporaryDirectory(dir=folder.parent if folder else None) as scratch:
        indices, workspace = folder or Path(scratch) / "indices", Path(scratch) / "workspace"
        if not (indices / LEVELS[level].pair[1]).exists():
            write_independent(indices, level, n)
        yield "snapshot", step("snapshot", level, workspace, "--indices", str(indices))
        run = load_run(UPath(workspace), LEVELS[level], _JOB)
        yield "nodes of plan", cost([sys.executable, "-c", _NODES, str(workspace), level, _JOB])
        merge_truth(run, indices)
        if folder is None:
            shutil.rmtree(indices)
        yield "tag", step("tag", level, workspace)
        yield "trend", step("trend", level, workspace)
        yield "identify", step("identify", level, workspace)
        yield "label", step("label", level, workspace)


def step(name: str, level: str, workspace: Path, *more: str) -> Cost:
    """Perform a step in a process of its own."""
    command = [sys.executable, "-m", "clustering_tasks", name, "--level", level, "--job", _JOB]
    return cost([*command, "--workspace", str(workspace), *more])


def cost(command: list[str]) -> Cost:
    """Run a command that must succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command], cwd=ROOT, capture_output=True, check=False
    )
    wall = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stderr.decode())
    cpu, peak = done.stdout.split()[-2:]
    # Linux counts kilobytes, macOS bytes
    return Cost(wall, float(cpu), int(peak) * (1 if sys.platform == "darwin" else 1024))


def merge_truth(run: Run, indices: Path) -> None:
    """Record results of `plan` and `merge` whose clusters are the generator's."""
    snapshot = run.result("snapshot")
    perform(run, "plan", "truth", lambda attempt: setattr(attempt, "parts", []))
    perform(run, "merge", "truth", lambda attempt: _merge(snapshot, truth(run, indices), attempt))


def truth(run: Run, indices: Path) -> I32:
    """Return each row's gold cluster, in the order of the snapshot, -1 for an item alone."""
    names, clusters = read_truth(indices, run.level.name)
    return np.asarray(clusters[np.argsort(names)])


def _merge(snapshot: Result, labels: I32, attempt: Attempt) -> None:
    clusters = int(labels.max()) + 1
    with open_vectors(snapshot.path("vectors")) as vectors:
        sums = cluster_sums(vectors.blocks(), labels, clusters, DIMENSION)
    clustered = labels >= 0
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "cluster": pa.array(labels, mask=~clustered),
            "status": np.where(clustered, "clustered", "noise"),
            "assignment": pa.array(np.where(clustered, "core", ""), mask=~clustered),
            "probability": np.where(clustered, rng.random(len(labels)), 0).astype(np.float32),
            "similarity": pa.array(rng.random(len(labels), dtype=np.float32), mask=~clustered),
            "near_duplicate": np.arange(len(labels), dtype=np.int64) // 2 * 2,
            "outlier_score": rng.random(len(labels), dtype=np.float32),
            "reason": pa.nulls(len(labels), pa.string()),
        }
    )
    with attempt.new_file("assignments", "assignments.parquet").open("wb") as file:
        pq.write_table(table, file)
    with attempt.new_file("centroids", "centroids.npz").open("wb") as file:
        np.savez(file, centroids=sums.centroids, intra_similarity=sums.intra_similarity)
    attempt.metrics = {
        **dict.fromkeys((*QUALITY, *NEIGHBOURS)),
        "read": len(labels),
        "clustered": int(clustered.sum()),
        "noise": int((~clustered).sum()),
        "raw_noise": int((~clustered).sum()),
        "filtered": 0,
        "unassigned": 0,
        "clusters": clusters,
        "parts": 0,
        "algorithm": "hdbscan",
        "algorithm_reason": "the generator's clusters",
    }


if __name__ == "__main__":
    main()
