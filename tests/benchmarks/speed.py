"""Speed and memory, ours and of peers, on the same items in the same run.

    python -m tests.benchmarks.speed 5000 10000 50000 200000 1000000

    python -m tests.benchmarks.speed 200000 --only ours EVoC --scratch FOLDER

Every contender has a process of its own, is warm (caches filled, a small run before), and runs up
to three times: medians. Ours is a whole level from the snapshot to the labels, files included; a
peer gets vectors in memory and gives labels back. The labels of the last of these runs are compared
with the generator's gold: a time without its quality does not enter the history.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from sklearn.metrics import adjusted_rand_score

from clustering_tasks.arrays import I64
from tests.benchmarks.history import ROOT, Figure, add, new_entry
from tests.benchmarks.measures import scores_of_labels
from tests.benchmarks.scale import read_truth, write_scale_folder
from tests.benchmarks.world import GENERATOR, ITEMS_PER_DOCUMENT, WorldSettings

LEVEL = "events"
# Numbers of items, from and to, with which a contender takes part.
CONTENDERS = {
    "ours": (0, 1_000_000),
    "ours, hdbscan": (0, 1_000_000),
    "ours, hdbscan, exact graph": (50_000, 200_000),  # below, every graph is exact
    "hdbscan": (0, 10_000),
    "hdbscan generic": (0, 10_000),
    "hdbscan generic, leaf (2, 1)": (0, 10_000),
    "scikit-learn HDBSCAN": (0, 10_000),
    "average linkage 0.5": (0, 10_000),
    "EVoC": (0, 200_000),
    "Leiden modularity 1": (0, 200_000),
    "Leiden CPM 0.4": (0, 200_000),
    "FAISS flat": (0, 50_000),
    "FAISS IVF": (10_000, 200_000),
}
_WARM_ITEMS = 2000
_PERMUTATIONS = 3


def main() -> None:
    """Measure all contenders at each size; add the figures of each to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("items", type=int, nargs="+")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--dry", action="store_true", help="print the figures, keep none")
    parser.add_argument("--scratch", type=Path, help="for folders that are kept and used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for n in given.items:
            load = os.getloadavg()[0]
            figures = measured(n, given.only, given.scratch or Path(scratch))
            if given.dry:
                continue
            paths = {f"speed/{n}/{name}": value for name, value in figures.items()}
            add(new_entry(paths, load, generator=GENERATOR))


def measured(n: int, names: Iterable[str], scratch: Path) -> dict[str, Figure]:
    """Measure the contenders that take part at a size."""
    folder = written(n, scratch)
    gold = read_truth(folder, LEVEL)[1][by_vector_id(folder)]
    figures: dict[str, Figure] = {}
    labels: dict[str, I64] = {}
    for name in (name for name in names if takes_part(name, n)):
        record, found = contend(name, folder)
        if found is not None:
            labels[name] = found if name.startswith("ours") else found[by_vector_id(folder)]
            record |= scores_of_labels(gold, labels[name])
        print(f"{n} {name}: {json.dumps(record)}", flush=True)
        figures |= {f"{name}/{key}": value for key, value in record.items()}
    figures |= agreements(labels)
    if "hdbscan" in labels and "ours, hdbscan" in labels:
        figures |= permuted(folder, labels["ours, hdbscan"])
    if "ours" in labels:
        figures["ours/cold_seconds"] = cold_command(folder)
    return figures


def takes_part(name: str, n: int) -> bool:
    """Tell whether a contender is measured with n items: it is installed and stands a chance."""
    least, most = CONTENDERS[name]
    return least <= n <= most and (name != "EVoC" or find_spec("evoc") is not None)


def written(n: int, scratch: Path) -> Path:
    """Write the items, and few others to get warm with, unless they are there."""
    for folder, count in ((scratch / str(n), n), (scratch / "warm", _WARM_ITEMS)):
        if not folder.is_dir():
            world = WorldSettings(max(count // ITEMS_PER_DOCUMENT[LEVEL], 1))
            write_scale_folder(folder, "documents", world.documents, world)
            write_scale_folder(folder, LEVEL, count, world)
    return scratch / str(n)


def contend(name: str, folder: Path) -> tuple[dict[str, Any], I64 | None]:
    """Let a contender run in a process of its own; return what it took and its labels."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = [sys.executable, "-m", "tests.benchmarks.contenders", name, str(folder)]
        done = subprocess.run(
            [*command, LEVEL, scratch], stdout=subprocess.PIPE, check=True, cwd=ROOT
        )
        labels = Path(scratch) / "labels.npy"
        record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return record, np.load(labels) if labels.exists() else None


def by_vector_id(folder: Path) -> I64:
    """Rows of the index in the order of their vector ids."""
    return np.argsort(read_truth(folder, LEVEL)[0], kind="stable")


def agreements(labels: dict[str, I64]) -> dict[str, Figure]:
    """Adjusted Rand indices of clusterings that should be the same; noise is one class."""
    pairs = {
        "ours, hdbscan/hdbscan_ari": ("hdbscan", "ours, hdbscan"),
        "ours, hdbscan/exact_ari": ("ours, hdbscan, exact graph", "ours, hdbscan"),
    }
    return {
        name: float(adjusted_rand_score(labels[one], labels[other]))
        for name, (one, other) in pairs.items()
        if one in labels and other in labels
    }


def permuted(folder: Path, ours: I64) -> dict[str, Figure]:
    """Agreement of ours, and of the package, with themselves when the rows change places."""
    import hdbscan
    from sklearn.metrics import pairwise_distances

    index = faiss.read_index(str(folder / f"{LEVEL}.index"))
    vectors = index.reconstruct_n(0, index.ntotal)
    model = hdbscan.HDBSCAN(min_cluster_size=5, min_samples=3, metric="precomputed")
    distances = pairwise_distances(vectors.astype(np.float64))
    before = model.fit(distances).labels_.copy()
    theirs, own = [], []
    for seed in range(_PERMUTATIONS):
        order = np.random.default_rng(seed).permutation(len(vectors))
        again = model.fit(distances[np.ix_(order, order)]).labels_
        theirs.append(adjusted_rand_score(before[order], again))
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        other = Path(scratch) / "permuted"
        _permute(folder, other, np.random.default_rng(0).permutation(len(vectors)))
        (Path(scratch) / "warm").symlink_to(folder.parent / "warm")
        found = contend("ours, hdbscan", other)[1]
        assert found is not None
        own.append(adjusted_rand_score(ours, found))
    return {
        "hdbscan/permuted_ari": float(np.mean(theirs)),
        "ours, hdbscan/permuted_ari": float(np.mean(own)),
    }


def _permute(folder: Path, target: Path, order: I64) -> None:
    """Write the same items in another order."""
    shutil.copytree(folder, target)
    index = faiss.read_index(str(folder / f"{LEVEL}.index"))
    shuffled = faiss.IndexFlatIP(index.d)
    shuffled.add(index.reconstruct_n(0, index.ntotal)[order])
    faiss.write_index(shuffled, str(target / f"{LEVEL}.index"))
    path = target / f"{LEVEL}_metadata.json"
    metadata = json.loads(path.read_bytes())
    names = [metadata["reverse_id_map"][str(row)] for row in order]
    metadata["reverse_id_map"] = {str(row): name for row, name in enumerate(names)}
    metadata["id_map"] = {name: row for row, name in enumerate(names)}
    path.write_text(json.dumps(metadata))


def cold_command(folder: Path) -> float:
    """Seconds of the command line's run, from its start to its end, kernels compiled before."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as workspace:
        command = [sys.executable, "-m", "clustering_tasks", "run", "--level", LEVEL]
        places = ["--indices", str(folder), "--workspace", workspace]
        started = time.perf_counter()
        subprocess.run([*command, *places], capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
