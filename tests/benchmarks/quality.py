"""Clusters against gold, with the command line's default settings, and peers beside them.

    python -m tests.benchmarks.quality

Gold is read in these benchmarks and nowhere else.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq

from local.sample import write_sample
from tests.benchmarks.collection import Items, read_collection
from tests.benchmarks.history import ROOT, Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.peers import Found, answers

DATA = Path(os.environ.get("STAGE4_TEST_DATA", ROOT.parent / "shared" / "data"))
# The peers hold all pairs of items in memory: 2 GB for these.
MOST_FOR_PEERS = 12_000


def main() -> None:
    """Measure every collection and level that has gold; add the figures to the history."""
    load = os.getloadavg()[0]
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders(Path(scratch)):
            figures |= dict(_measured(folder, Path(scratch) / "workspace" / folder.name))
    add(new_entry(figures, load))


def folders(scratch: Path) -> Iterator[Path]:
    """Yield the folders that have gold, and the sample last."""
    if not DATA.is_dir():
        print(f"no real collections in {DATA}: set STAGE4_TEST_DATA", file=sys.stderr)
    yield from sorted(gold.parent for gold in DATA.glob("*/gold.json"))
    write_sample(scratch / "sample")
    yield scratch / "sample"


def _measured(folder: Path, workspace: Path) -> Iterator[tuple[str, Figure]]:
    for level, items in read_collection(folder).levels.items():
        path = f"quality/{folder.name}/{level}"
        found = scores(items.gold, run_command(folder, level, workspace, items))
        print(f"{path}: {found['f1']:.3f}", flush=True)
        yield f"{path}/items", len(items.names)
        yield from ((f"{path}/ours/{name}", value) for name, value in found.items())
        yield from ((f"{path}/peer/{name}", value) for name, value in peers(items).items())


def run_command(folder: Path, level: str, workspace: Path, items: Items) -> Found:
    """Run the command line with its defaults; return the cluster of each item, None for noise."""
    command = [sys.executable, "-m", "clustering_tasks", "run", "--level", level]
    places = ["--indices", str(folder), "--workspace", str(workspace)]
    done = subprocess.run([*command, *places], capture_output=True, check=True, cwd=ROOT)
    result: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    members = pq.read_table(result["members_parquet"], columns=["vector_id", "cluster_id"])
    of = dict(zip(*(members[name].to_pylist() for name in members.column_names), strict=True))
    return [of[name] for name in items.names]


def peers(items: Items) -> dict[str, float]:
    """B-cubed F1 of each peer's setting, the mean over its seeds; empty for too many items."""
    if len(items.names) > MOST_FOR_PEERS:
        return {}
    return {
        name: fmean(scores(items.gold, found)["f1"] for found in each)
        for name, each in answers(items.vectors)
    }


if __name__ == "__main__":
    main()
