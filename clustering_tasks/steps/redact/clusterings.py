"""A clustering without some of its items."""

import numpy as np
import pandas as pd

from clustering_tasks.arrays import I32, Mask
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.steps.merge.assignments import CODES, NOISE, write_clustering
from clustering_tasks.steps.merge.lone_items import SMALLEST, item_of_row, items_of_clusters
from clustering_tasks.steps.merge.outlier_policy import enter_similarity
from clustering_tasks.steps.merge.quality import measure_vectors
from clustering_tasks.workspace.artefacts import Attempt, Result, Run
from clustering_tasks.workspace.vector_files import open_vectors


def cut_clustering(run: Run, snapshot: Result, old: Result, stays: Mask, attempt: Attempt) -> None:
    """Write the clustering without some of its items.

    A cluster whose core has fewer than two items left is none any more; its members are noise.
    """
    with old.path("assignments").open("rb") as file:
        assigned = pd.read_parquet(file)[stays].reset_index(drop=True)
    labels, core = _codes(assigned)
    clusters, number = _numbers(labels, core, item_of_row(snapshot))
    before = labels
    labels = np.where(labels >= 0, number[np.maximum(labels, -1)], labels)
    core = np.where(core >= 0, number[np.maximum(core, -1)], core)
    dissolved = (before >= 0) & (labels < 0)
    with open_vectors(snapshot.path("vectors")) as vectors:
        sums = cluster_sums(vectors.blocks(), core, clusters, vectors.shape[1])
        measured = measure_vectors(vectors, core, sums)
        enter_similarity(measured.similarity, vectors, core, labels, sums)
    alone = "individual" if run.settings.outliers.policy == "individual" else None
    assigned["cluster"] = pd.Series(labels, dtype="Int32").where(labels >= 0)
    assigned["similarity"] = measured.similarity
    assigned.loc[dissolved, "status"] = "noise"
    assigned.loc[dissolved, "assignment"] = alone
    assigned.loc[dissolved, "probability"] = 0.0
    write_clustering(attempt, assigned, sums)
    counts = assigned["status"].value_counts()
    attempt.metrics = old.metrics | {
        **{name: int(counts.get(name, 0)) for name in ("clustered", *CODES)},
        "read": len(assigned),
        "clusters": clusters,
        "raw_noise": int((core == NOISE).sum()),
        **measured.metrics,
    }


def _codes(assigned: pd.DataFrame) -> tuple[I32, I32]:
    """Return the clusters of the rows, and those of the core: negative codes for all others."""
    others = assigned["status"].map(CODES).fillna(NOISE)
    labels = assigned["cluster"].fillna(others.astype("Int32")).to_numpy(np.int32)
    in_core = (assigned["assignment"] == "core").fillna(value=False).to_numpy(bool)
    core = np.where(in_core | (labels < 0), labels, NOISE)
    return labels, core.astype(np.int32)


def _numbers(labels: I32, core: I32, item: I32) -> tuple[int, I32]:
    """Number the clusters that stay anew: their count, and the new number of each old one.

    Returns:
        the second: (c + 1,), NOISE for what is no cluster any more; so is the last.
    """
    items = items_of_clusters(core, item)
    stay = np.append(items, np.zeros(int(labels.max(initial=-1)) + 1 - len(items))) >= SMALLEST
    number = np.where(stay, np.cumsum(stay) - 1, NOISE)
    return int(stay.sum()), np.append(number, NOISE).astype(np.int32)
