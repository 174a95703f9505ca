"""A whole run of a level, from the snapshot to the labels, timed in a warm process."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from clustering_tasks.arrays import I64
from clustering_tasks.graph.neighbour_graph import last_word, read_graph
from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.identify.identify import identify
from clustering_tasks.steps.label.label import label
from clustering_tasks.steps.merge.merge import merge
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.steps.tag.tag import tag
from clustering_tasks.steps.trend.trend import trend
from clustering_tasks.warm_up import warm_up
from clustering_tasks.workspace.artefacts import Result, Run, part_name
from clustering_tasks.workspace.vector_files import open_vectors
from tests.benchmarks.contenders import recall, sampled
from tests.benchmarks.ours import new_run, quiet

STEPS = ("snapshot", "plan", "cluster", "merge", "tag", "trend", "identify", "label")


class TimedRun:
    """Runs of one level, each in a workspace of its own, so that nothing is used again.

    They stay until the caller removes `scratch`: to remove 2.6 GB takes half a second or more.

    Args:
        folder: of Stage 3; beside it lies `warm`, a small one to begin with.
        level: that is clustered.
        scratch: for the workspaces.
        settings: of the run.
    """

    def __init__(self, folder: Path, level: str, scratch: Path, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._level = level
        self._scratch = scratch
        self._settings = settings
        self._run: Run | None = None
        quiet()
        warm_up()
        self._perform(folder.parent / "warm", "warm")

    def __call__(self, repeat: int) -> I64:
        """Perform the steps; return the label of each item, in the order of the vector ids."""
        with self._perform(self._folder, str(repeat)).path("members_parquet").open("rb") as file:
            clusters = pq.read_table(file, columns=["cluster_id"])["cluster_id"]
        codes = clusters.combine_chunks().dictionary_encode().indices
        return np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def _perform(self, folder: Path, name: str) -> Result:
        run = self._run = new_run(folder, self._scratch / name, self._level, self._settings)
        snapshot(run)
        for part in plan(run).parts or []:
            cluster(run, part.part)
        merge(run)
        tag(run)
        trend(run)
        identify(run)
        return label(run)

    def facts(self) -> dict[str, Any]:
        """Seconds of each step of the last run, its counts, and the recall of its graph."""
        assert self._run is not None
        merge = self._run.result("merge")
        return {
            **{f"{step}_seconds": _seconds(self._run, step) for step in STEPS},
            "clusters": merge.metrics["clusters"],
            "noise": merge.metrics["noise"],
            "recall16": _recall(self._run),
        }


def _seconds(run: Run, step: str) -> float:
    if step != "cluster":
        return run.result(step).seconds
    parts = run.result("plan").parts or []
    return sum(run.result(part_name(part.part)).seconds for part in parts)


def _recall(run: Run) -> float:
    plan, merge = run.result("plan"), run.result("merge")
    parts = [run.result(part_name(part.part)) for part in plan.parts or []]
    with open_vectors(plan.path("features")) as file:
        vectors = file.read(0, file.shape[0])
    ids = read_graph(len(vectors), run.settings.neighbours.k, last_word(merge, parts)).ids.astype(
        np.int64
    )
    rows = sampled(len(vectors))
    return recall(vectors, rows, [ids[row, :16] for row in rows])
