"""What checkpoints cost: `cluster` of a level as one part, with and without them, in turns.

`python -m tests.benchmarks.checkpoints [-n 50000] [--rounds 3] [--exact]` prints processor and wall
seconds, and fails if a bit of the neighbour graph differs.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson

from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Run
from clustering_tasks.workspace.checkpoints import SUFFIX
from tests.benchmarks.independent import write_independent
from tests.benchmarks.ours import new_run, quiet

LEVEL = "events"
# Seconds of a block: none is kept; the default; so short that even this level has some.
SETTINGS = ("0", "30", "2")


@dataclass
class Measured:
    """What the tries of one setting took, and the graph that each of them has found."""

    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    blocks: int = 0
    graph: bytes = b""


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", type=int, default=50_000, help="items of the level")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--exact", action="store_true", help="search exactly, not in cells")
    given = parser.parse_args()
    quiet()
    measured = {seconds: Measured() for seconds in SETTINGS}
    with tempfile.TemporaryDirectory() as scratch:
        run = _planned(Path(scratch), given.n, exact=given.exact)
        for _ in range(given.rounds):
            for seconds, each in measured.items():
                _measure(run, seconds, each)
    assert len({each.graph for each in measured.values()}) == 1, "the graphs differ"
    print(f"load {os.getloadavg()[0]:.1f}")
    print("STAGE4_CHECKPOINT_SECONDS | blocks written | processor seconds | wall seconds")
    for seconds, each in measured.items():
        took = (statistics.median(times) for times in (each.processor, each.wall))
        print(seconds, each.blocks, *(f"{median:.2f}" for median in took), sep=" | ")


def _planned(scratch: Path, n: int, *, exact: bool) -> Run:
    write_independent(scratch / "indices", LEVEL, n)
    settings = {"parts.max_count": 1} | ({"neighbours.exact_rows": n} if exact else {})
    run = new_run(scratch / "indices", scratch / "workspace", LEVEL, settings)
    snapshot(run)
    plan(run)
    return run


def _measure(run: Run, seconds: str, into: Measured) -> None:
    """Perform the step in a process of its own."""
    folder = Path(str(run.workspace), LEVEL)
    shutil.rmtree(folder / "artefacts" / "cluster", ignore_errors=True)
    of = {"workspace": run.workspace, "level": LEVEL, "job": run.job_id, "part": 0}
    options = [text for name, value in of.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "clustering_tasks", "cluster", *options]
    before, began = _processor(), time.monotonic()
    environment = os.environ | {"STAGE4_CHECKPOINT_SECONDS": seconds}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        written: set[Path] = set()
        while process.poll() is None:
            written |= set((folder / "runs" / run.job_id).glob(f"*{SUFFIX}/*.npz"))
            time.sleep(0.05)
    assert process.returncode == 0
    into.processor.append(_processor() - before)
    into.wall.append(time.monotonic() - began)
    into.blocks = len(written)
    record = orjson.loads((folder / "runs" / run.job_id / "cluster-0.json").read_bytes())
    with np.load(record["files"]["graph"]) as arrays:
        into.graph = b"".join(arrays[name].tobytes() for name in sorted(arrays.files))


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
