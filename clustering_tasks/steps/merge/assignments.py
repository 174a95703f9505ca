"""What a clustering says of each row, in numbers and in words, and the files that hold it."""

import numpy as np
import pandas as pd

from clustering_tasks.engine.centroids import ClusterSums
from clustering_tasks.workspace.artefacts import Attempt

# In place of the number of a cluster.
NOISE, UNASSIGNED, FILTERED = -1, -2, -3
CODES = {"noise": NOISE, "unassigned": UNASSIGNED, "filtered": FILTERED}


def write_clustering(attempt: Attempt, assignments: pd.DataFrame, sums: ClusterSums) -> None:
    """Write `assignments.parquet`, a row for each of the snapshot's, and `centroids.npz`.

    Args:
        attempt: that gets the files.
        assignments: cluster, status and the rest of each row.
        sums: of the clusters.
    """
    with attempt.new_file("assignments", "assignments.parquet").open("wb") as file:
        assignments.to_parquet(file, index=False)
    with attempt.new_file("centroids", "centroids.npz").open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            centroids=sums.centroids,
            sizes=sums.sizes,
            intra_similarity=sums.intra_similarity,
        )
