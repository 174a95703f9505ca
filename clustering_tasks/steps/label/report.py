"""`report.json`: what a run did, for its gate, for Stage 5 and for people."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from clustering_tasks.arrays import I64
from clustering_tasks.incremental.mode import recorded_mode
from clustering_tasks.steps import PLANNING, STEPS, find_step
from clustering_tasks.workspace.artefacts import Metric, Result, Run, part_name
from clustering_tasks.workspace.gpu_cards import one_of_each

COUNTS = ("read", "clustered", "noise", "filtered", "unassigned", "clusters")
CHOSEN = (
    "linkage",
    "cut_similarity",
    "cut_silhouette",
    "joined",
    "lone_similarity",
    "lone",
    "pair_similarity",
    "edge_similarity",
    "edge_silhouette",
    "k",
    "k_silhouette",
    "cells",
)
NEIGHBOURS = ("neighbour_search", "neighbour_recall", "neighbour_recall_error")
QUALITY = (
    "silhouette",
    "silhouette_error",
    "davies_bouldin",
    "davies_bouldin_error",
    "intra_cluster_similarity",
    "inter_cluster_similarity",
    "inter_cluster_similarity_error",
    "modularity",
    "density_validity",
    "stability",
    "mean_probability",
)
# What an incremental run has done, and how far it may be from a full one; null in a full run.
GROWTH = (
    "new_items",
    "voted",
    "new_since_full",
    "clustered_anew",
    "new_clusters",
    "ended_clusters",
    "changed_memberships",
    "vote_similarity",
    "vote_agreement",
    "vote_agreement_error",
)
# Of a language model's answers, what counts as which kind of error.
_LLM_ERRORS = {
    "llm_failures": ("failed",),
    "llm_timeouts": ("timed_out",),
    "parsing": ("unreadable", "invented"),
}


def make_report(
    run: Run,
    snapshot: Result,
    merge: Result,
    tag: Result,
    sizes: I64,
    llm: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Sum a run up; a share of nothing is null.

    Args:
        run: the run.
        snapshot: its metrics say what was odd with the input.
        merge: its metrics hold counts and quality.
        tag: its metrics are of the tags; all null where there are none.
        sizes: of the clusters.
        llm: how a language model was asked; None: it was not.
    """
    counts = {name: int(merge.metrics[name] or 0) for name in COUNTS}
    kept = counts["read"] - counts["filtered"]
    return {
        "job_id": run.job_id,
        "level": run.level.name,
        "as_of": run.as_of,
        "algorithm": merge.metrics["algorithm"],
        "algorithm_reason": merge.metrics["algorithm_reason"],
        "chosen": {
            "context_weight": run.result("plan").metrics.get("context_weight"),
            **{name: merge.metrics.get(name) for name in CHOSEN},
        },
        "mode": _mode(run, merge, kept),
        "settings": run.settings.model_dump(mode="json"),
        "counts": counts,
        "coverage": _share(counts["clustered"], kept),
        "outlier_share": _share(counts["noise"], kept),
        "raw_outlier_share": _share(merge.metrics["raw_noise"], kept),
        "largest_cluster_share": _share(int(sizes.max(initial=0)), counts["clustered"]),
        "neighbours": {name: merge.metrics[name] for name in NEIGHBOURS},
        "gpu": _gpu(run),
        "evidence": _evidence(merge),
        "quality": {name: merge.metrics[name] for name in QUALITY},
        "sizes": describe_sizes(sizes),
        "input": dict(snapshot.metrics),
        "tags": dict(tag.metrics),
        **({} if llm is None else {"llm": llm}),
        "errors": _errors(run, merge, tag, llm),
        "seconds": _seconds(run),
    }


def _mode(run: Run, merge: Result, kept: int) -> dict[str, Any]:
    """Describe how the run was made.

    `may_differ` estimates the share of the items that a full run would put elsewhere: what the
    level clustered anew has elsewhere, or, on a large level, the items that came since the last
    full run, by the share of known items that the vote would misplace.
    """
    record = recorded_mode(run)
    growth = {name: merge.metrics.get(name) for name in GROWTH}
    agreement = growth["vote_agreement"]
    assigned = _share(growth["new_since_full"], kept)
    differing = merge.metrics.get("elsewhere_anew")
    if agreement is not None and assigned is not None:
        differing = min(assigned, 1.0) * (1 - float(agreement))
    previous, full = (record.get(name) or {} for name in ("previous", "full"))
    return {
        "asked": record.get("asked", run.settings.mode),
        "taken": record.get("taken", "full"),
        "reason": record.get("reason"),
        "base": previous.get("job_id") if record.get("taken") == "incremental" else None,
        "last_full": full.get("job_id"),
        **growth,
        "may_differ": differing,
    }


def _evidence(merge: Result) -> dict[str, dict[str, Metric]]:
    """Put the findings of each piece together; empty where nothing but the vectors counts."""
    pieces: dict[str, dict[str, Metric]] = {}
    for key, value in merge.metrics.items():
        group, _, rest = key.partition(".")
        if group == "evidence":
            piece, _, name = rest.partition(".")
            pieces.setdefault(piece, {})[name] = value
    return pieces


def _errors(run: Run, merge: Result, tag: Result, llm: dict[str, Any] | None) -> dict[str, Metric]:
    """Count what failed; null is what could not fail, or nobody counts yet.

    `conflicts` stands beside the failures and is none: a member that keeps its own tag is how tags
    are meant to work, so `total` leaves it out.
    """
    failed = len(run.result("plan").parts or []) - int(merge.metrics["parts"] or 0)
    of_llm = {
        error: None if llm is None else sum(llm[ending] for ending in endings)
        for error, endings in _LLM_ERRORS.items()
    }
    return {
        "failed_parts": failed,
        **of_llm,
        "database": None,
        "total": sum(int(count or 0) for count in (failed, *of_llm.values())),
        "conflicts": tag.metrics["conflicts"],
    }


def _share(part: Metric, whole: int) -> float | None:
    return float(part or 0) / whole if whole else None


def describe_sizes(sizes: I64) -> dict[str, Any]:
    """Describe how large clusters are; what says nothing without clusters is null.

    Args:
        sizes: (c,) items of each cluster.

    Returns:
        besides single numbers a histogram over powers of two, up to the largest cluster's.
    """
    if not len(sizes):
        return {**dict.fromkeys((*_SIZES, "pairs_share")), "histogram": []}
    return {
        **{name: float(function(sizes)) for name, function in _SIZES.items()},
        "pairs_share": float((sizes == 2).mean()),
        "histogram": list(_histogram(sizes)),
    }


_SIZES: dict[str, Callable[[I64], Any]] = {
    "min": np.min,
    "median": np.median,
    "mean": np.mean,
    "p90": partial(np.quantile, q=0.9),
    "max": np.max,
}


def _histogram(sizes: I64) -> Iterator[dict[str, int]]:
    """Yield clusters and items by size: 2 to 3, 4 to 7, 8 to 15 and so on."""
    least = 2
    while least <= sizes.max():
        here = sizes[(sizes >= least) & (sizes < 2 * least)]
        yield {
            "from": least,
            "to": 2 * least - 1,
            "clusters": len(here),
            "items": int(here.sum()),
        }
        least *= 2


def _gpu(run: Run) -> dict[str, Any]:
    """Sum up what became of the GPUs that the parts were given."""
    parts = (run.find_result(part_name(p.part)) for p in run.result(PLANNING.name).parts or [])
    found = [part for part in parts if part is not None]
    reasons = dict.fromkeys(part.metrics.get("gpu_reason") for part in found)
    readings = [reading for part in found for reading in part.gpus or []]
    fullest = one_of_each(readings, lambda reading: reading.memory_peak_bytes)
    return {
        "used": len(fullest),
        "reasons": [reason for reason in reasons if reason],
        "cards": [reading.model_dump(mode="json") for reading in fullest],
        "memory_peak_bytes": max((r.memory_peak_bytes for r in fullest), default=None),
    }


def _seconds(run: Run) -> dict[str, float]:
    """Seconds that each earlier step took when its artefact was made; parts are added up."""
    parts = [part_name(part.part) for part in run.result(PLANNING.name).parts or []]
    earlier = STEPS[: STEPS.index(find_step("label"))]
    return {step.name: _taken(run, parts if step.mapped else [step.name]) for step in earlier}


def _taken(run: Run, names: Iterable[str]) -> float:
    return sum(result.seconds for name in names if (result := run.find_result(name)))
