"""Answers of a server, as Airflow and Stage 4 give them."""

from typing import Any

Json = dict[str, Any]

JOB_ID = "cluster_events.manual__2026-03-01T12-00-00-00-00-0a1b2c"
RUN_ID = "manual__2026-03-01T12:00:00+00:00"
CLUSTER_ID = "event_7f3a9c2e41b0"


HEALTH: Json = {
    "status": "degraded",
    "version": "0.1.0",
    "dependencies": {
        "postgres": {"status": "up", "detail": "schema 0003", "seconds": 0.002},
        "redis": {"status": "off", "detail": "not configured", "seconds": None},
        "stage3": {"status": "down", "detail": "no answer in 2 s", "seconds": None},
        "stage3_stream": {"status": "off", "detail": "not configured", "seconds": None},
        "event_receivers": {"status": "off", "detail": "not configured", "seconds": None},
        "workspace": {"status": "up", "detail": "exists", "seconds": 0.0001},
    },
}


CAUSE = " ".join(f"cause-{number}" for number in range(40))


def job(state: str = "running", percent: float | None = 50.0, **states: Json) -> Json:
    """A job whose tasks have these states."""
    ended = "2026-03-01T12:09:00Z" if state in ("completed", "failed", "canceled") else None
    return {
        "job_id": JOB_ID,
        "dag_id": "cluster_events",
        "dag_run_id": RUN_ID,
        "level": "events",
        "state": state,
        "paused": False,
        "queued_at": "2026-03-01T12:00:00Z",
        "started_at": "2026-03-01T12:00:01Z",
        "ended_at": ended,
        "jobs_before": None if ended else 0,
        "expected_seconds": 240.0,
        "percent": percent,
        "items_total": 5053,
        "items_done": 5053 if state == "completed" else 1684,
        "parts_total": 3,
        "parts_done": 3 if state == "completed" else 1,
        "parts_failed": int(state == "failed"),
        "clusters": 758 if state == "completed" else None,
        "outliers": 542 if state == "completed" else None,
        "quality": {"silhouette": 0.31} if state == "completed" else None,
        "error": "this part is broken" if state == "failed" else None,
        "idle_settings": [],
        "tasks": [{"task_id": name, "states": found} for name, found in states.items()],
    }


RUNNING = job(snapshot={"success": 1}, cluster={"success": 1, "running": 2})
COMPLETED = job("completed", 100.0, snapshot={"success": 1}, cluster={"success": 3})
FAILED = job(
    "failed", 60.0, snapshot={"success": 1}, merge={"failed": 1}, label={"upstream_failed": 1}
)

LISTED = {
    name: value
    for name, value in COMPLETED.items()
    if name
    in (
        "job_id",
        "dag_id",
        "dag_run_id",
        "level",
        "state",
        "paused",
        "queued_at",
        "started_at",
        "ended_at",
    )
}

SUBMITTED: Json = LISTED | {
    "state": "queued",
    "started_at": None,
    "ended_at": None,
    "jobs_before": 2,
    "expected_seconds": 240.0,
    "created": True,
    "conf": {},
}

RUN: Json = {
    "load_id": 17,
    "run_id": 17,
    "level": "events",
    "job_id": JOB_ID,
    "state": "current",
    "as_of": "2026-03-01T12:00:00Z",
    "algorithm": "label_propagation",
    "read": 5053,
    "clustered": 3810,
    "noise": 1243,
    "filtered": 0,
    "unassigned": 0,
    "clusters": 758,
    "coverage": 0.754,
    "outlier_share": 0.246,
    "largest_cluster_share": 0.013,
    "loaded_at": "2026-03-01T12:08:00Z",
    "published_at": "2026-03-01T12:08:30Z",
}

FULL_RUN: Json = RUN | {
    "report": {
        "quality": {"silhouette": 0.42},
        "mode": {
            "asked": "auto",
            "taken": "incremental",
            "reason": "continues run cluster_events.1",
        },
        "lineage": {"born": 3, "continued": 7, "grew": 2, "merged": 0},
    }
}
FAILED_TASKS: Json = {
    "task_instances": [
        {"task_id": "cluster", "map_index": 2, "try_number": 3},
        {"task_id": "merge", "map_index": -1, "try_number": 1},
    ],
    "total_entries": 2,
}
# As Airflow gives a log: its own errors are structured, a step's trace is text.
LOG: Json = {
    "content": [
        {"event": "::group::Log message source details"},
        {"event": "step failed", "level": "error", "error_detail": "Traceback\nBadInputError: x"},
        {
            "event": "Task failed with exception",
            "level": "error",
            "error_detail": [
                {"exc_type": "AirflowFailException", "exc_value": "merge of events: part 1 is gone"}
            ],
        },
        {"event": "Task finished", "level": "info"},
    ],
    "continuation_token": None,
}

SUMMARY: Json = {
    "cluster_id": CLUSTER_ID,
    "label": "Leaders meet in Hiroshima",
    "size": 41,
    "domain": "diplomatic_relations",
    "event_type": "meeting",
    "entity_type": None,
    "start_time": "2025-12-10T00:00:00Z",
    "end_time": None,
    "intra_cluster_similarity": 0.87,
    "mean_probability": 0.9,
    "keywords": ["summit", "leaders"],
    "primary_entities": ["G7"],
    "tags": [
        {
            "category": "topic",
            "tag": "summits",
            "confidence": 0.86,
            "members": 30,
            "applied": 9,
            "conflicts": 2,
        }
    ],
    "trend": "growing",
    "rate": 4.0,
    "earlier_rate": 1.25,
    "growth": 1.4,
}
ENDED: Json = {"trend": "fading", "rate": 0.0, "earlier_rate": 0.0}
FOUND: Json = SUMMARY | {"similarity": None, "rank": 0.6}
CLUSTER: Json = SUMMARY | {
    "marks": [],
    "level": "events",
    "key_phrases": ["Fumio Kishida"],
    "load_id": 17,
    "run_id": 17,
    "representatives": [{"id": "doc_001_event_0", "title": "Leaders meet", "similarity": 0.95}],
    "document_ids": ["doc_001"],
    "record": {"label_source": "llm"},
    "centroid": None,
}


IDENTITY: Json = {
    "cluster_id": "event_000000000001",
    "level": "events",
    "state": "merged",
    "born_job": "cluster_events.scheduled__1",
    "born_at": "2025-12-10T00:00:00Z",
    "last_seen_job": "cluster_events.scheduled__2",
    "last_seen_at": "2025-12-11T00:00:00Z",
    "successors": [CLUSTER_ID],
    "version": 2,
}
LINEAGE: Json = IDENTITY | {
    "lineage": [
        {
            "job_id": "cluster_events.scheduled__3",
            "load_id": 17,
            "as_of": "2025-12-12T00:00:00Z",
            "change": "absorbed",
            "size": 0,
            "related": [{"cluster_id": CLUSTER_ID, "shared": 4, "of_it": 0.5, "of_this": 1.0}],
            "withdrawn": True,
        }
    ],
    "next_cursor": None,
}


def member(number: int) -> Json:
    """A member of the cluster."""
    return {
        "vector_id": f"event_emb_doc_{number:03}_event_0",
        "source_id": f"doc_{number:03}_event_0",
        "document_id": f"doc_{number:03}",
        "status": "clustered",
        "assignment": "core",
        "probability": 0.5,
        "similarity": 0.9,
        "occurred_at": None,
        "metadata": {"trigger": "met"},
        "tags": [],
        "near_duplicate_of": None,
    }


def metrics_of(load_id: int, **values: float | None) -> Json:
    """The metrics of a run; dots are written as two underscores."""
    return {
        "load_id": load_id,
        "run_id": load_id,
        "job_id": JOB_ID,
        "as_of": "2026-03-01T12:00:00Z",
        "published_at": "2026-03-01T12:08:30Z",
        "values": {name.replace("__", "."): value for name, value in values.items()},
    }


METRICS: Json = {
    "level": "events",
    "latest": metrics_of(17, coverage=0.754, quality__silhouette=0.42, tags__per_item=None),
    "trend": [
        metrics_of(15, coverage=0.7, quality__silhouette=None),
        metrics_of(16, coverage=0.8, quality__silhouette=0.4),
        metrics_of(17, coverage=0.754, quality__silhouette=0.42),
    ],
}
ALERT: Json = {
    "alert_id": 3,
    "level": "events",
    "load_id": 17,
    "run_id": 17,
    "current": True,
    "name": "drift.counts.read",
    "severity": "critical",
    "message": "events: items read: 51, lower than usual",
    "action": "Compare with what Stage 3 has taken in.",
    "value": 51.0,
    "limit_value": 3537.1,
    "raised_at": "2026-03-01T12:08:01Z",
}
RESOURCES: Json = {
    "cpus": 2,
    "load_1_minute": 0.5,
    "memory_total_bytes": 8 << 30,
    "memory_available_bytes": 3 << 30,
    "disk_total_bytes": None,
    "disk_free_bytes": None,
    "gpus": [
        {
            "uuid": "GPU-1",
            "name": "NVIDIA H200",
            "memory_total_bytes": 140 << 30,
            "memory_before_bytes": 1 << 30,
            "memory_peak_bytes": 6 << 30,
            "memory_after_bytes": 2 << 30,
            "utilisation_percent": None,
            "job_id": "cluster_events.manual",
            "measured_at": "2026-03-01T12:08:01Z",
        }
    ],
    "pools": [
        {"name": "stage4_cluster", "slots": 4, "running": 1, "queued": 0, "scheduled": 0},
        {"name": "stage4_steps", "slots": None, "running": 0, "queued": 0, "scheduled": 0},
    ],
}


def problem(status: int, detail: str, errors: list[Json] | None = None) -> Json:
    """A refusal as problem+json."""
    body = {"type": "about:blank", "title": "", "status": status, "detail": detail, "instance": ""}
    return body if errors is None else body | {"errors": errors}


CORRECTION: Json = {
    "correction_id": 17,
    "level": "events",
    "kind": "apart",
    "items": ["event_emb_doc_001_event_0"],
    "others": ["event_emb_doc_002_event_3"],
    "cluster_id": None,
    "label": None,
    "clusters": [],
    "names": {"event_emb_doc_001_event_0": "Ministers meet"},
    "reason": "another summit",
    "made_by": "ulla",
    "made_at": "2026-03-01T12:00:00Z",
    "undone_by": None,
    "undone_at": None,
    "state": "holds",
}
CORRECTED: Json = CORRECTION | {"changed": True}

EVENT: Json = {
    "event_id": "0d5f3c1e-6f0e-4a4e-9f3b-0f3f5d1f1a11",
    "job_id": "cluster_events.manual__1",
    "level": "events",
    "sequence": 3,
    "type": "clustering.job.failed",
    "created_at": "2026-03-01T12:00:00Z",
    "data": {"event_type": "clustering.job.failed"},
    "deliveries": [
        {
            "receiver": "hook",
            "state": "given_up",
            "attempts": 8,
            "last_error": "status 400",
            "next_attempt_at": None,
            "delivered_at": None,
        }
    ],
}
RECEIVER: Json = {
    "receiver": "hook",
    "pending": 12,
    "given_up": 1,
    "oldest_pending_at": "2026-03-01T12:00:00Z",
    "failures": 3,
    "retry_at": "2026-03-01T12:05:00Z",
    "last_error": "status 503",
}

RECEIVERS: Json = {"receivers": [RECEIVER], "configured": ["hook", "callback"]}

DELETION: Json = {
    "deletion_id": 7,
    "state": "requested",
    "requested_at": "2026-03-01T12:00:00Z",
    "carried_out_at": None,
    "counts": {
        "documents": {"items": 2, "clusters": 2, "runs": 2},
        "events": {"items": 18, "clusters": 11, "runs": 2},
    },
    "known": True,
}
INCOMING_PAGE: Json = {
    "events": [
        {
            "level": "events",
            "type": "embedding.job.completed",
            "stage3_job": "embed_12",
            "total_embeddings": 1200,
            "received_by": "webhook",
            "received_at": "2026-03-01T12:00:00Z",
            "job_id": "cluster_events.stage3__1",
        },
        {
            "level": "entities",
            "type": "embedding.batch.completed",
            "stage3_job": "embed_13",
            "total_embeddings": 80,
            "received_by": "stream",
            "received_at": "2026-03-01T12:00:00Z",
            "job_id": None,
        },
    ],
    "waiting": [{"level": "entities", "events": 1, "embeddings": 80, "min_embeddings": 100}],
    "next_cursor": None,
}
