"""The JSONL record of a cluster (LV-1 to LV-7; CONTRACT.md, "To Stage 5")."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from clustering_tasks.artefacts import Run
from clustering_tasks.labelling.titles import canonical_name, headline, shorten

Row = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """What is known of a cluster before it has a record.

    Attributes:
        members: its items, in the order of their vector ids; each a row of `items.parquet` with
            `probability`, `similarity` and `near_duplicate` beside.
        centroid: (d,) unit vector.
        intra_similarity: mean pairwise cosine.
        keywords: heaviest first.
        weights: of all its terms.
        algorithm: that found it.
    """

    members: list[Row]
    centroid: npt.NDArray[np.float32]
    intra_similarity: float
    keywords: list[str]
    weights: dict[str, float]
    algorithm: str


def record(run: Run, cluster: Cluster) -> dict[str, Any]:
    """Describe a cluster for Stage 5 and for readers."""
    members = _ordered(cluster.members, run.level.name)
    central = sorted(members, key=lambda row: (-row["similarity"], row["vector_id"]))
    settings = run.settings
    parameters = getattr(settings, cluster.algorithm).model_dump()
    common = {
        "cluster_id": cluster_id(run.level.cluster_type, cluster.members),
        "cluster_type": run.level.cluster_type,
        "cluster_size": len(members),
        "member_ids": [row["source_id"] for row in members],
        "member_probabilities": [round(row["probability"], 6) for row in members],
        "member_similarities": [round(row["similarity"], 6) for row in members],
        "document_ids": sorted({row["document_id"] for row in members if row["document_id"]}),
        "centroid_vector": cluster.centroid.tolist(),
        "temporal_span": _span(members),
        "primary_entities": _most_frequent(
            (name for row in members for name in row["primary_entities"]),
            settings.label.primary_entities,
        ),
        "domain": _dominant(members, "domain"),
        "event_type": _dominant(members, "event_type"),
        "intra_cluster_similarity": cluster.intra_similarity,
        "keywords": cluster.keywords,
        "representatives": [
            {"id": row["source_id"], "title": row["title"], "similarity": row["similarity"]}
            for row in central[: settings.label.representatives]
        ],
        "near_duplicates": _near_duplicates(members),
        "metadata": {
            "algorithm": cluster.algorithm,
            "parameters": parameters,
            "min_cluster_size": parameters.get("min_cluster_size", 2),
            "scope": settings.scope,
            "mean_probability": float(np.mean([row["probability"] for row in members])),
            "timestamp": run.as_of,
            "run_id": run.job_id,
        },
    }
    details = _DETAILS[run.level.name](members)
    return {**common, **details, "cluster_label": _label(cluster, central, details)}


def cluster_id(cluster_type: str, members: Iterable[Row]) -> str:
    """Name a cluster by its members: the same vectors, the same id."""
    joined = "\n".join(sorted(row["vector_id"] for row in members))
    return f"{cluster_type}_{hashlib.sha256(joined.encode()).hexdigest()[:12]}"


def _label(cluster: Cluster, central: list[Row], details: dict[str, Any]) -> str:
    canonical = details.get("canonical_entity")
    label = shorten(canonical) if canonical else None
    label = label or headline([row["title"] for row in central], cluster.weights)
    return label or ", ".join(cluster.keywords[:5]) or central[0]["source_id"]


def _ordered(members: list[Row], level: str) -> list[Row]:
    """Put events into the order of time, undated ones last (LV-3)."""
    if level != "events":
        return members
    return sorted(members, key=lambda row: (row["start_time"] is None, row["start_time"]))


def _span(members: list[Row]) -> list[datetime] | None:
    starts = [row["start_time"] for row in members if row["start_time"] is not None]
    ends = [row["end_time"] for row in members if row["end_time"] is not None]
    return [min(starts), max(ends)] if starts else None


def _dominant(members: list[Row], field: str) -> str | None:
    return next(iter(_most_frequent((row[field] for row in members if row[field]), 1)), None)


def _most_frequent(values: Iterable[str], count: int) -> list[str]:
    counts = Counter(values)
    return sorted(counts, key=lambda value: (-counts[value], value))[:count]


def _near_duplicates(members: list[Row]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for row in members:
        groups.setdefault(row["near_duplicate"], []).append(row["source_id"])
    return [group for group in groups.values() if len(group) > 1]


def _document_details(members: list[Row]) -> dict[str, Any]:
    metadata = [orjson.loads(row["metadata"]) for row in members]
    words = [m["word_count"] for m in metadata if isinstance(m.get("word_count"), int | float)]
    categories = (c for m in metadata for c in _texts(m.get("categories")))
    return {
        "avg_word_count": float(np.mean(words)) if words else None,
        "dominant_categories": _most_frequent(categories, 5),
    }


def _event_details(members: list[Row]) -> dict[str, Any]:
    return {"event_ids": [row["source_id"] for row in members]}


def _entity_details(members: list[Row]) -> dict[str, Any]:
    mentions = Counter(row["title"] for row in members if row["title"])
    variants = sorted(mentions, key=lambda mention: (-mentions[mention], mention))
    return {
        "canonical_entity": canonical_name(mentions),
        "entity_type": _dominant(members, "entity_type"),
        "entity_mentions": variants,
        "mention_counts": {mention: mentions[mention] for mention in variants},
    }


def _storyline_details(members: list[Row]) -> dict[str, Any]:
    metadata = [orjson.loads(row["metadata"]) for row in members]
    events = {event for m in metadata for event in _texts(m.get("event_ids"))}
    return {
        "storyline_ids": [row["source_id"] for row in members],
        "event_ids": sorted(events),
        "domains": _most_frequent((row["domain"] for row in members if row["domain"]), 12),
    }


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


_DETAILS: dict[str, Callable[[list[Row]], dict[str, Any]]] = {
    "documents": _document_details,
    "events": _event_details,
    "entities": _entity_details,
    "storylines": _storyline_details,
}
