"""Step `tag`: tag the clusters, and apply their tags to members.

What Stage 3 says of an item stays as it is: what is applied is written apart, as a whole, by every
run.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clustering_tasks.arrays import Mask
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.tag.propagation import (
    DECIMALS,
    Applied,
    Clustering,
    ClusterTags,
    apply_tags,
    tag_clusters,
)
from clustering_tasks.steps.tag.sources import Borne, read_borne
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Metric,
    Result,
    Run,
    artefact_key,
    perform,
)
from clustering_tasks.workspace.columns import read_columns

METRICS = (
    *("tagged", "untagged", "coverage", "per_item", "per_cluster"),
    *("of_stage3", "of_text", "propagated", "propagated_items", "mean_confidence", "conflicts"),
)


def tag(run: Run) -> Result:
    """Write `tags.parquet`, `cluster_tags.parquet` and `item_tags.parquet`."""
    snapshot, merge = run.result("snapshot"), run.result("merge")
    settings = run.settings.model_dump(include={"tags", "outliers"})
    key = artefact_key("tag", [snapshot, merge], settings)
    return perform(run, "tag", key, lambda attempt: write(run, snapshot, merge, attempt))


def write(run: Run, snapshot: Result, merge: Result, attempt: Attempt) -> None:
    """Write the files of `tag` into an attempt, from these results of the run."""
    settings = run.settings.tags
    clustering, status = _read(merge)
    borne = read_borne(snapshot.path("items"), settings)
    by_text = _is_in(status, _tagged_by_text(run.settings))
    borne = replace(borne, text=borne.text.where(by_text[borne.text.rows]))
    found = tag_clusters(borne.every, clustering, len(borne.names.names), settings)
    exclusive = borne.names.exclusive
    applied = apply_tags(found, borne.every, clustering, exclusive, settings.auto_apply_threshold)
    _write_files(attempt, borne, found, applied)
    attempt.metrics = dict.fromkeys(METRICS)
    if len(borne.stage3) or settings.listed:
        kept = ~_is_in(status, ["filtered"])
        attempt.metrics = _metrics(borne, found, applied, kept, clustering.clusters)


def _read(merge: Result) -> tuple[Clustering, pa.Array]:
    """Read the memberships, and the status of each item."""
    columns = read_columns(merge.path("assignments"), ["cluster", "probability", "status"])
    labels = columns["cluster"].fill_null(-1).to_numpy().astype(np.int64)
    probabilities = columns["probability"].fill_null(0).to_numpy().astype(np.float64)
    clusters = int(merge.metrics["clusters"] or 0)
    return Clustering(labels, np.round(probabilities, DECIMALS), clusters), columns["status"]


def _is_in(status: pa.Array, some: Collection[str]) -> Mask:
    found = pc.is_in(status, pa.array(sorted(some), status.type))
    return np.asarray(found.to_numpy(zero_copy_only=False))


def _tagged_by_text(settings: RunSettings) -> set[str]:
    """Return the status of items that get tags by their own texts: members, lone outliers."""
    chosen, policy = settings.tags.outliers, settings.outliers.policy
    alone = chosen == "individual" or (chosen == "auto" and policy == "individual")
    return {"clustered", "noise"} if alone else {"clustered"}


def _write_files(attempt: Attempt, borne: Borne, found: ClusterTags, applied: Applied) -> None:
    names = borne.names.names
    _write(
        attempt,
        "tags",
        category=pa.array([category for category, _ in names], pa.string()),
        tag=pa.array([tag for _, tag in names], pa.string()),
    )
    _write(
        attempt,
        "cluster_tags",
        cluster=found.clusters,
        tag=found.tags,
        confidence=found.confidence,
        members=found.members,
        applied=np.bincount(applied.of, minlength=len(found)),
        conflicts=applied.conflicts,
    )
    rows = np.concatenate([borne.text.rows, applied.pairs.rows])
    tags = np.concatenate([borne.text.tags, applied.pairs.tags])
    confidence = np.concatenate([np.ones(len(borne.text)), applied.confidence])
    order = np.lexsort((tags, rows))
    _write(
        attempt,
        "item_tags",
        row=rows[order],
        tag=tags[order],
        confidence=confidence[order],
        by_cluster=(np.arange(len(rows)) >= len(borne.text))[order],
    )


def _write(attempt: Attempt, name: str, **columns: Any) -> None:
    with attempt.new_file(name, f"{name}.parquet").open("wb") as file:
        pq.write_table(pa.table(columns), file, compression="zstd")


def _metrics(
    borne: Borne, found: ClusterTags, applied: Applied, kept: Mask, clusters: int
) -> dict[str, Metric]:
    """Count items and tags; items that a filter excludes do not count.

    Args:
        borne: what items bear.
        found: the clusters' tags.
        applied: what members got from them.
        kept: (n,) which items count.
        clusters: their number.
    """
    stage3 = borne.stage3.where(kept[borne.stage3.rows])
    got = applied.pairs.rows
    tagged = len(np.unique(np.concatenate([stage3.rows, borne.text.rows, got])))
    items, pairs = int(kept.sum()), len(stage3) + len(borne.text) + len(got)
    return {
        "tagged": tagged,
        "untagged": items - tagged,
        "coverage": tagged / items if items else None,
        "per_item": pairs / items if items else None,
        "per_cluster": len(found) / clusters if clusters else None,
        "of_stage3": len(stage3),
        "of_text": len(borne.text),
        "propagated": len(got),
        "propagated_items": len(np.unique(got)),
        "mean_confidence": float(applied.confidence.mean()) if len(got) else None,
        "conflicts": int(applied.conflicts.sum()),
    }
