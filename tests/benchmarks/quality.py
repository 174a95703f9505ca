"""Clusters against gold, with default settings, and peers measured beside them.

    make bench

prints the table that stands in docs/BENCHMARKS.md. Gold is read here and nowhere else.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import hdbscan
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.cluster.hierarchy import fcluster, linkage

from clustering_tasks.sample import write_sample
from tests.benchmarks.b_cubed import b_cubed

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("STAGE4_TEST_DATA", ROOT.parent / "shared" / "data"))
LEVELS = ("documents", "events", "entities", "storylines")
Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def hdbscan_5_3(vectors: Matrix) -> Labels:
    """The package hdbscan as the earlier service called it."""
    model = hdbscan.HDBSCAN(min_cluster_size=5, min_samples=3)
    return np.asarray(model.fit(vectors.astype(np.float64)).labels_)


def average_linkage(vectors: Matrix) -> Labels:
    """Dense average linkage, cut at a cosine distance of .55."""
    distances = np.maximum(1 - vectors @ vectors.T, 0)[np.triu_indices(len(vectors), 1)]
    return np.asarray(fcluster(linkage(distances, "average"), 0.55, "distance"))


PEERS: dict[str, Callable[[Matrix], Labels]] = {
    "hdbscan (5, 3)": hdbscan_5_3,
    "average linkage .55": average_linkage,
}


def main() -> None:
    """Print one row per collection and level that has gold."""
    print("| collection | level | items | ours: F1 (P / R) | " + " | ".join(PEERS) + " |")
    print("|---" * (4 + len(PEERS)) + "|")
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch) / "sample"
        write_sample(sample)
        if not DATA.is_dir():
            print(f"no real collections in {DATA}: set STAGE4_TEST_DATA", file=sys.stderr)
        for folder in [*sorted(DATA.glob("*/gold.json")), sample / "gold.json"]:
            measure(folder.parent, Path(scratch))


def measure(folder: Path, scratch: Path) -> None:
    """Print the rows of one Stage 3 folder."""
    gold = json.loads((folder / "gold.json").read_bytes())
    for level in (name for name in LEVELS if (folder / f"{name}.index").is_file()):
        run = perform(folder, level, scratch / folder.name)
        members = pq.read_table(run["members_parquet"], columns=["vector_id", "cluster_id"])
        truth = [gold[level][vector_id] for vector_id in members["vector_id"].to_pylist()]
        f1, precision, recall = b_cubed(truth, members["cluster_id"].to_pylist())
        vectors = np.load(run["vectors"])
        peers = " | ".join(score(peer(vectors), truth) for peer in PEERS.values())
        ours = f"**{f1:.3f}** ({precision:.2f} / {recall:.2f})"
        print(f"| {folder.name} | {level} | {len(truth)} | {ours} | {peers} |", flush=True)


def perform(folder: Path, level: str, workspace: Path) -> dict[str, str]:
    """Run the command line with its defaults; return its files and the snapshot's vectors."""
    command = [sys.executable, "-m", "clustering_tasks", "run", "--level", level]
    places = ["--indices", str(folder), "--workspace", str(workspace), "--job", "benchmark"]
    done = subprocess.run([*command, *places], capture_output=True, check=True, cwd=ROOT)
    result: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    snapshot = workspace / level / "runs" / "benchmark" / "snapshot.json"
    result["vectors"] = json.loads(snapshot.read_bytes())["files"]["vectors"]
    return result


def score(labels: Labels, truth: list[str]) -> str:
    """Score a peer's labels, whose noise is negative."""
    return f"{b_cubed(truth, [str(x) if x >= 0 else None for x in labels])[0]:.3f}"


if __name__ == "__main__":
    main()
