"""Step `label`: name the clusters and write the files that are published."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_tasks.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.labelling.keywords import Keywords
from clustering_tasks.labelling.records import Cluster, record
from clustering_tasks.labelling.report import COUNTS, QUALITY, make_report
from clustering_tasks.labelling.tables import write_clusters, write_members
from clustering_tasks.storage import to_json


def label(run: Run) -> Result:
    """Write `clusters.jsonl`, `members.parquet`, the files for COPY and `report.json`."""
    snapshot, merge = run.result("snapshot"), run.result("merge")
    # Records carry the run and its time, so the artefact belongs to this run alone.
    extra = [run.job_id, run.as_of, run.level.name]
    key = artefact_key("label", [snapshot, merge], run.settings.model_dump(), extra)
    return perform(run, "label", key, lambda attempt: _label(run, snapshot, merge, attempt))


def _label(run: Run, snapshot: Result, merge: Result, attempt: Attempt) -> None:
    items = _items(snapshot, merge)
    with merge.path("centroids").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        centroids, intra = arrays["centroids"], arrays["intra_similarity"]
    records = list(_records(run, items, centroids, intra, str(merge.metrics["algorithm"])))
    ids = pa.array([record["cluster_id"] for record in records], type=pa.string())
    items = items.append_column("cluster_id", ids.take(items["cluster"].combine_chunks()))
    with attempt.new_file("clusters_jsonl", "clusters.jsonl").open("wb") as file:
        for line in records:
            file.write(to_json(line) + b"\n")
    write_clusters(records, attempt.new_file("clusters_csv", "clusters.csv"))
    write_members(
        items,
        attempt.new_file("members_parquet", "members.parquet"),
        attempt.new_file("members_csv", "members.csv"),
    )
    sizes = np.array([record["cluster_size"] for record in records], dtype=np.int64)
    report = make_report(run, snapshot, merge, sizes)
    attempt.new_file("report", "report.json").write_bytes(to_json(report))
    attempt.metrics = {
        **{name: merge.metrics[name] for name in (*COUNTS, *QUALITY)},
        "coverage": report["coverage"],
        "outlier_share": report["outlier_share"],
    }


def _items(snapshot: Result, merge: Result) -> pa.Table:
    with snapshot.path("items").open("rb") as file:
        items = pq.read_table(file)
    with merge.path("assignments").open("rb") as file:
        assignments = pq.read_table(file)
    for name in assignments.column_names:
        items = items.append_column(name, assignments[name])
    return items


def _records(
    run: Run,
    items: pa.Table,
    centroids: npt.NDArray[np.float32],
    intra: npt.NDArray[np.float64],
    algorithm: str,
) -> Iterator[dict[str, Any]]:
    labels = items["cluster"].fill_null(-1).to_numpy()
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(len(centroids) + 1))
    members = items.take(order[bounds[0] :])
    slices = [members.slice(a - bounds[0], b - a) for a, b in pairwise(bounds)]
    keywords = Keywords(part["text"].to_pylist() for part in slices)
    for number, part in enumerate(slices):
        cluster = Cluster(
            members=part.to_pylist(),
            centroid=centroids[number],
            intra_similarity=float(intra[number]),
            keywords=keywords.top(number, run.settings.label.keywords),
            weights=keywords.weights_of(number),
            algorithm=algorithm,
        )
        yield record(run, cluster)
