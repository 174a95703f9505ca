"""Step `map`: a picture of the level in the plane, for the explorer."""

from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.csv import write_csv

from clustering_tasks.arrays import F64, I32, I64
from clustering_tasks.contract.columns import POINTS
from clustering_tasks.steps.map.placement import (
    by_size,
    draw_members,
    place_clusters,
    place_members,
    radii,
)
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.workspace.columns import read_columns, text_schema
from clustering_tasks.workspace.vector_files import open_vectors

POINTS_SCHEMA = text_schema(
    POINTS,
    {"rank": pa.int32(), "x": pa.float32(), "y": pa.float32(), "size": pa.int32()},
)


def map(run: Run) -> Result:  # noqa: A001 - the step's name
    """Write `points.csv`: clusters, the largest first, then members, in the order of a view.

    Whatever part of the map is looked at, its points of the lowest ranks are its overview.
    """
    snapshot, merge, label = run.result("snapshot"), run.result("merge"), run.result("label")
    settings = run.settings.model_dump(include={"map"})
    key = artefact_key("map", [snapshot, merge, label], settings)
    return perform(run, "map", key, lambda attempt: write(run, snapshot, merge, label, attempt))


def write(run: Run, snapshot: Result, merge: Result, label: Result, attempt: Attempt) -> None:
    """Write the file of `map` into an attempt, from these results of the run."""
    with open_arrays(merge.path("centroids")) as arrays:
        centroids = arrays["centroids"]
    assigned = read_columns(merge.path("assignments"), ["cluster"])["cluster"]
    labels = assigned.fill_null(-1).to_numpy().astype(np.int32)
    # of the members and not of the core, which an outlier policy adds to
    sizes = np.bincount(labels[labels >= 0], minlength=len(centroids)).astype(np.int64)
    places = place_clusters(centroids, sizes, run.settings.map.clusters)
    rows = draw_members(labels, sizes, run.settings.map.members)
    with open_vectors(snapshot.path("vectors")) as vectors:
        around = place_members(
            vectors.blocks(), rows, labels[rows], centroids, places, radii(sizes)
        )
    points = _points(label, labels, sizes, rows, np.concatenate([places[by_size(sizes)], around]))
    with attempt.new_file("points_csv", "points.csv").open("wb") as file:
        write_csv(points, file)
    attempt.metrics = {"clusters": len(sizes), "members": len(rows)}


def _points(
    label: Result,
    labels: I32,
    sizes: I64,
    rows: I64,
    places: F64,
) -> pa.Table:
    """Put clusters and members together: of `POINTS_SCHEMA`, in the order of the places."""
    names = read_columns(label.path("members_parquet"), ["vector_id", "cluster_id"])
    order = by_size(sizes)
    in_cluster = np.flatnonzero(labels >= 0)
    _, some = np.unique(labels[in_cluster], return_index=True)  # a row of each cluster
    clusters, members = in_cluster[some][order], len(rows)
    columns: dict[str, Any] = {
        "rank": np.arange(len(places)),
        "kind": ["cluster"] * len(order) + ["member"] * members,
        "cluster_id": pa.concat_arrays(
            [names["cluster_id"].take(pa.array(clusters)), names["cluster_id"].take(pa.array(rows))]
        ),
        "vector_id": pa.concat_arrays(
            [pa.nulls(len(order), pa.string()), names["vector_id"].take(pa.array(rows))]
        ),
        "x": places[:, 0].astype(np.float32),
        "y": places[:, 1].astype(np.float32),
        "size": pa.concat_arrays(
            [pa.array(sizes[order], pa.int32()), pa.nulls(members, pa.int32())]
        ),
    }
    return pa.table({field.name: pa.array(columns[field.name]) for field in POINTS_SCHEMA}).cast(
        POINTS_SCHEMA
    )
