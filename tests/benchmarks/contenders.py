"""One contender of the speed benchmark, in a process of its own.

    python -m tests.benchmarks.contenders NAME FOLDER LEVEL SCRATCH

prints what it took as its last line of output, and leaves its labels in SCRATCH; `speed` compares
them with gold, in a process of its own.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from clustering_tasks.arrays import F32, I64
from tests.benchmarks.leiden import FIELD_DEFAULT, Leiden, communities, neighbour_graph

Work = Callable[[int], I64 | None]

REPEATS = 3
# A contender that has taken as long is not repeated.
_PATIENCE_SECONDS = 90.0
_K = 32


def main() -> None:
    """Measure one contender."""
    parser = argparse.ArgumentParser()
    for name in ("name", "folder", "level", "scratch"):
        parser.add_argument(name)
    given = parser.parse_args()
    work, facts = prepared(given.name, Path(given.folder), given.level, Path(given.scratch))
    wall, processor, labels = _timed(work)
    if labels is not None:
        np.save(Path(given.scratch) / "labels.npy", labels)
    record = {
        "seconds": float(np.median(wall)),
        "cpu_seconds": float(np.median(processor)),
        "runs": len(wall),
        "peak_mb": peak_mb(),
        **facts(),
    }
    print(json.dumps(record))


def peak_mb() -> float:
    """Most memory that this process has held since its program was started.

    Not `ru_maxrss`, which a process inherits from the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kilobytes) / 1024


def _timed(work: Work) -> tuple[list[float], list[float], I64 | None]:
    wall: list[float] = []
    processor: list[float] = []
    labels = None
    while len(wall) < REPEATS and sum(wall) < _PATIENCE_SECONDS:
        started, used = time.perf_counter(), _processor_seconds()
        labels = work(len(wall))
        wall.append(time.perf_counter() - started)
        processor.append(_processor_seconds() - used)
    return wall, processor, labels


def _processor_seconds() -> float:
    """Seconds of this process and of those that worked for it and have ended."""
    return sum(os.times()[:4])


Facts = Callable[[], dict[str, Any]]


def prepared(name: str, folder: Path, level: str, scratch: Path) -> tuple[Work, Facts]:
    """Make a contender ready and warm; return what to time, and what is measured afterwards."""
    if name in OURS:
        from tests.benchmarks.timed_run import TimedRun

        run = TimedRun(folder, level, scratch, OURS[name])
        return run, run.facts
    index = faiss.read_index(str(folder / f"{level}.index"))
    vectors: F32 = index.reconstruct_n(0, index.ntotal)
    if name in SEARCHES:
        search = _Search(vectors, SEARCHES[name])
        return search, search.facts
    PEERS[name](vectors[:1000])  # what is compiled just in time, and threads that start
    return lambda _: PEERS[name](vectors), dict


def _hdbscan(vectors: F32, size: int = 5, samples: int = 3, **settings: str) -> I64:
    """The package; as the earlier service called it where nothing is given."""
    import hdbscan

    model = hdbscan.HDBSCAN(min_cluster_size=size, min_samples=samples, **settings)
    return np.asarray(model.fit(vectors.astype(np.float64)).labels_)


def _sklearn(vectors: F32) -> I64:
    """scikit-learn's, for which an item is a neighbour of itself."""
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=5, min_samples=4, algorithm="brute", copy=False, n_jobs=-1)
    return np.asarray(model.fit(vectors).labels_)


def _evoc(vectors: F32) -> I64:
    from evoc import EVoC

    return np.asarray(EVoC(random_state=0).fit_predict(vectors))


def _leiden(vectors: F32, setting: Leiden) -> I64:
    """Leiden on the graph of a run, the search for neighbours included."""
    return communities(neighbour_graph(vectors), setting)


def _average(vectors: F32, cut: float) -> I64:
    """Average linkage of all pairs, cut at one cosine distance."""
    from scipy.cluster.hierarchy import fcluster, linkage

    n = len(vectors)
    cosines = vectors @ vectors.T
    pairs = np.concatenate([cosines[row, row + 1 :] for row in range(n)]).astype(np.float64)
    tree = linkage(np.maximum(1 - pairs, 0), "average")
    return np.asarray(fcluster(tree, cut, "distance"))


class _Search:
    """FAISS's search of all items among themselves, which is most of the work of any clustering."""

    def __init__(self, vectors: F32, make: Callable[[F32], faiss.Index]) -> None:
        self._vectors = vectors
        self._make = make
        self._ids = np.empty((0, 0), dtype=np.int64)

    def __call__(self, _: int) -> None:
        self._ids = self._make(self._vectors).search(self._vectors, _K + 1)[1]

    def facts(self) -> dict[str, Any]:
        """Recall of the 16 nearest others."""
        rows = sampled(len(self._vectors))
        found = [np.array([i for i in self._ids[row] if i != row][:16]) for row in rows]
        return {"recall16": recall(self._vectors, rows, found)}


def _flat(vectors: F32) -> faiss.Index:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _inverted(vectors: F32, probes: int = 16) -> faiss.Index:
    lists = 2 ** round(np.log2(np.sqrt(len(vectors)) * 2))
    dimension = vectors.shape[1]
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dimension), dimension, lists, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors[:: max(len(vectors) // (lists * 40), 1)])
    index.add(vectors)
    index.nprobe = probes
    return index


def sampled(count: int) -> I64:
    """Choose the rows that recall is measured on."""
    return np.sort(np.random.default_rng(0).choice(count, min(count, 500), replace=False))


def recall(vectors: F32, rows: I64, found: list[I64]) -> float:
    """Share of the 16 nearest neighbours of some rows that were found; one as near counts."""
    similarity = vectors[rows] @ vectors.T
    similarity[np.arange(len(rows)), rows] = -np.inf
    least = np.partition(similarity, -16, axis=1)[:, -16] - 1e-6
    hits = [(similarity[at, ids] >= least[at]).sum() for at, ids in enumerate(found)]
    return float(np.sum(hits) / (16 * len(rows)))


OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, hdbscan": {"algorithm": "hdbscan"},
    "ours, hdbscan, exact graph": {"algorithm": "hdbscan", "neighbours.exact_rows": 1_000_000},
}
PEERS: dict[str, Callable[[F32], I64]] = {
    "hdbscan": _hdbscan,
    "hdbscan generic": lambda vectors: _hdbscan(vectors, algorithm="generic"),
    "hdbscan generic, leaf (2, 1)": lambda vectors: _hdbscan(
        vectors, 2, 1, algorithm="generic", cluster_selection_method="leaf"
    ),
    "scikit-learn HDBSCAN": _sklearn,
    "average linkage 0.5": lambda vectors: _average(vectors, 0.5),
    "EVoC": _evoc,
    "Leiden modularity 1": lambda vectors: _leiden(vectors, FIELD_DEFAULT),
    "Leiden CPM 0.4": lambda vectors: _leiden(vectors, Leiden("CPM", 0.4)),
}
SEARCHES: dict[str, Callable[[F32], faiss.Index]] = {"FAISS flat": _flat, "FAISS IVF": _inverted}

if __name__ == "__main__":
    main()
