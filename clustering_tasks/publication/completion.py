"""The bodies of the events that a publication causes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clustering_tasks.contract.events import Changes, CompletionEvent
from clustering_tasks.publication.report import Report
from clustering_tasks.settings.levels import LEVELS

_ROWS_PATH = "/stage4/api/v1/runs/{level}/changes"


def completion_event(
    report: Report, output_files: list[str], changes: Mapping[str, Any] | None, server: str
) -> CompletionEvent:
    """Build the event that CONTRACT.md describes.

    Args:
        report: of the published run.
        output_files: URIs of the published JSONL.
        changes: `stage4.database.pointer.Changes` as a mapping; None: the first publication.
        server: address of Airflow, for links; may be empty.
    """
    extra = report.model_extra or {}
    quality = extra.get("quality") or {}
    seconds: Mapping[str, float] = extra.get("seconds") or {}
    counts = report.counts
    return {
        "event_type": "clustering.job.completed",
        "job_id": report.job_id,
        "embedding_type": LEVELS[report.level].cluster_type,
        "algorithm": report.algorithm,
        "clusters_created": counts.clusters,
        "outliers": counts.noise,
        "output_files": output_files,
        "quality_metrics": {
            "silhouette_score": quality.get("silhouette"),
            "davies_bouldin_score": quality.get("davies_bouldin"),
        },
        "statistics": {
            "processing_time_ms": round(1000 * sum(seconds.values())),
            "total_items": counts.read,
            "avg_cluster_size": counts.clustered / counts.clusters if counts.clusters else None,
        },
        "changes": _changes(report.level, changes, server) if changes else None,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }


def changed_rows(server: str, level: str, base: int, other: int) -> str:
    """Address of what has changed from a load to another one, a row for each id."""
    return f"{server}{_ROWS_PATH.format(level=level)}?base={base}&other={other}"


def _changes(level: str, changes: Mapping[str, Any], server: str) -> Changes:
    base, other = changes["base_load_id"], changes["load_id"]
    rows = changed_rows(server, level, base, other)
    return {"base_load_id": base, "load_id": other, "rows": rows, "ids": changes["counts"]}
