"""`report.json`: what a run did, for its gate, for Stage 5 and for people."""

from typing import Any

import numpy as np
import numpy.typing as npt

from clustering_tasks.artefacts import Metric, Result, Run

COUNTS = ("read", "clustered", "noise", "filtered", "unassigned", "clusters")
CHOSEN = ("cut_similarity", "cut_silhouette")
QUALITY = ("silhouette", "davies_bouldin", "intra_cluster_similarity")


def make_report(
    run: Run, snapshot: Result, merge: Result, sizes: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Sum a run up; a share of nothing is null.

    Args:
        run: the run.
        snapshot: its metrics say what was odd with the input.
        merge: its metrics hold counts and quality.
        sizes: of the clusters.
    """
    counts = {name: int(merge.metrics[name] or 0) for name in COUNTS}
    kept = counts["read"] - counts["filtered"]
    return {
        "job_id": run.job_id,
        "level": run.level.name,
        "as_of": run.as_of,
        "algorithm": merge.metrics["algorithm"],
        "algorithm_reason": merge.metrics["algorithm_reason"],
        "chosen": {name: merge.metrics.get(name) for name in CHOSEN},
        "settings": run.settings.model_dump(mode="json"),
        "counts": counts,
        "coverage": _share(counts["clustered"], kept),
        "outlier_share": _share(counts["noise"], kept),
        "largest_cluster_share": _share(int(sizes.max(initial=0)), counts["clustered"]),
        "quality": {name: merge.metrics[name] for name in QUALITY},
        "sizes": _sizes(sizes),
        "input": dict(snapshot.metrics),
        "seconds": _seconds(run),
    }


def _share(part: Metric, whole: int) -> float | None:
    return float(part or 0) / whole if whole else None


def _sizes(sizes: npt.NDArray[np.int64]) -> dict[str, float | None]:
    if not len(sizes):
        return dict.fromkeys(("min", "median", "mean", "max"))
    return {
        "min": float(sizes.min()),
        "median": float(np.median(sizes)),
        "mean": float(sizes.mean()),
        "max": float(sizes.max()),
    }


def _seconds(run: Run) -> dict[str, float]:
    """Seconds that each earlier step took when its artefact was made; parts are added up."""
    plan = run.result("plan")
    parts = [run.find_result(f"cluster-{part.part}") for part in plan.parts or []]
    seconds = {name: run.result(name).seconds for name in ("snapshot", "plan", "merge")}
    return {**seconds, "cluster": sum(part.seconds for part in parts if part)}
