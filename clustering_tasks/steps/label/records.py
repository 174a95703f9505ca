"""The JSONL record of a cluster (LV-1 to LV-7; CONTRACT.md, "To Stage 5")."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from clustering_tasks.arrays import F32, I64
from clustering_tasks.contract.record import (
    ClusterTag,
    CorrectionMark,
    DocumentRecord,
    EntityRecord,
    EventRecord,
    MemberTag,
    Record,
    Representative,
    Shared,
    StorylineRecord,
    Trend,
)
from clustering_tasks.settings.groups.meaning import LabelSettings
from clustering_tasks.steps.label.copies import different, in_order
from clustering_tasks.steps.label.lasting_labels import Label
from clustering_tasks.steps.label.members import Columns, most_central
from clustering_tasks.steps.label.naming import MOST_CENTRAL, Proposal


@dataclass(frozen=True)
class Common:
    """What the records of a run have in common.

    Attributes:
        level: its name.
        counts: how many representatives and entities a record names.
        algorithm: that found the clusters.
        parameters: the algorithm's settings.
        scope: within which clusters were looked for.
        as_of: of the run.
        job_id: of the run.
    """

    level: str
    counts: LabelSettings
    algorithm: str
    parameters: dict[str, Any]
    scope: Literal["level", "domain"]
    as_of: datetime
    job_id: str


@dataclass(frozen=True)
class Named:
    """What is known of a cluster beside its members.

    Attributes:
        identity: its row of `IDS`.
        intra_similarity: mean pairwise cosine.
        keywords: heaviest first.
        proposal: what it may be called, and what it is about.
        label: what it is called.
        shown: the label, or what a person calls it.
        corrections: of people, about it and about its items.
        apart: rows of up to `MOST_CENTRAL` members that say something of their own, from `apart`.
    """

    identity: dict[str, Any]
    intra_similarity: float
    keywords: list[str]
    proposal: Proposal
    label: Label
    shown: str
    corrections: list[CorrectionMark]
    apart: list[int]


@dataclass(frozen=True)
class Cluster:
    """What is known of a cluster before it has a record.

    Attributes:
        named: what it is called.
        members: its items.
        centroid: (d,) unit vector.
        trend: its row of `trend`; None: there is none.
        tags: that it has.
        member_tags: that its members got, in the order of their rows.
    """

    named: Named
    members: Columns
    centroid: F32
    trend: Trend | None
    tags: list[ClusterTag]
    member_tags: list[MemberTag]


def record(common: Common, cluster: Cluster) -> Record:
    """Describe a cluster for Stage 5 and for readers; the centroid stays an array."""
    return _FORMS[common.level](_shared(common, cluster), cluster)


def _shared(common: Common, cluster: Cluster) -> Shared:
    members, named = cluster.members, cluster.named
    shown = _shown(named, members, common)
    order = _each_once(members, _order(members, common.level))
    member_ids = members["source_id"][order].tolist()
    return {
        "cluster_id": named.identity["cluster_id"],
        "previous_ids": named.identity["previous_ids"],
        "lineage": named.identity["change"],
        "labelled_at": named.label.made,
        "label_source": named.label.source,
        "cluster_size": len(member_ids),
        "member_ids": member_ids,
        "member_probabilities": _rounded(members["probability"][order]),
        "member_similarities": _rounded(members["similarity"][order]),
        "document_ids": sorted(set(filter(None, members["document_id"].tolist()))),
        "centroid_vector": cluster.centroid,
        "temporal_span": _span(members),
        "primary_entities": _most_frequent(
            members["primary_entities"].tolist(), common.counts.primary_entities
        ),
        "domain": _dominant(members["domain"].tolist()),
        "event_type": _dominant(members["event_type"].tolist()),
        "intra_cluster_similarity": named.intra_similarity,
        "keywords": named.keywords,
        "key_phrases": named.proposal.phrases,
        "representatives": _representatives(members, shown),
        "near_duplicates": _near_duplicates(members, order),
        "near_duplicate_of": members["near_duplicate_of"][order].tolist(),
        "tags": cluster.tags,
        "member_tags": cluster.member_tags,
        "trend": cluster.trend,
        "corrections": named.corrections,
        "metadata": {
            "algorithm": common.algorithm,
            "parameters": common.parameters,
            "min_cluster_size": common.parameters.get("min_cluster_size", 2),
            "scope": common.scope,
            "mean_probability": _mean(members["probability"]),
            "timestamp": common.as_of,
            "run_id": common.job_id,
        },
    }


def _order(members: Columns, level: str) -> I64:
    """Put events into the order of time, undated ones last (LV-3)."""
    if level != "events":
        return np.arange(len(members["source_id"]))
    return members["start_time"].argsort(kind="stable")  # NaT sorts behind all times


def _shown(named: Named, members: Columns, common: Common) -> I64:
    """Return the rows of the representatives."""
    central, most = most_central(members), common.counts.representatives
    once = _each_once(members, central)
    if once is central and most <= MOST_CENTRAL:
        return in_order(central, named.apart[:most])
    return different(members, once, common.level, most)


def _each_once(members: Columns, rows: I64) -> I64:
    """Leave of several vectors of an item the surest, then the first by id, as look-ups do."""
    names = members["source_id"].tolist()
    if len(set(names)) == len(names):
        return rows
    surest = dict[str, int]()
    for row in np.argsort(-members["probability"], kind="stable").tolist():
        surest.setdefault(names[row], row)
    return rows[np.isin(rows, list(surest.values()))]


def _mean(values: F32) -> float:
    return float(np.add.reduce(values, dtype=np.float64) / len(values))  # half of `np.mean`'s time


def _rounded(values: F32) -> list[float]:
    rounded: list[float] = np.round(values.astype(np.float64), 6).tolist()
    return rounded


def _span(members: Columns) -> list[datetime] | None:
    starts, ends = (members[name].tolist() for name in ("start_time", "end_time"))  # NaT is None
    first, last = min(filter(None, starts), default=None), max(filter(None, ends), default=None)
    return [first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)] if first and last else None


def _dominant(values: Iterable[str | None]) -> str | None:
    return next(iter(_most_frequent(values, 1)), None)


def _most_frequent(values: Iterable[str | None], count: int) -> list[str]:
    counts: dict[str, int] = {}  # a `Counter` of so few takes three times as long
    for value in filter(None, values):
        counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], value))[:count]


def _representatives(members: Columns, rows: I64) -> list[Representative]:
    ids, titles, similarity = (members[name][rows] for name in ("source_id", "title", "similarity"))
    return [
        {"id": each[0], "title": each[1], "similarity": each[2]}
        for each in zip(ids, titles, similarity.tolist(), strict=True)
    ]


def _near_duplicates(members: Columns, order: I64) -> list[list[str]]:
    numbers = members["near_duplicate"].tolist()
    if len(set(numbers)) == len(numbers):
        return []
    numbers = members["near_duplicate"][order].tolist()
    groups: dict[int, list[str]] = {}
    for group, name in zip(numbers, members["source_id"][order].tolist(), strict=True):
        groups.setdefault(group, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _document(shared: Shared, cluster: Cluster) -> DocumentRecord:
    words = cluster.members["word_count"]
    words = words[~np.isnan(words)]
    return {
        **shared,
        "cluster_type": "document",
        "cluster_label": cluster.named.shown,
        "avg_word_count": float(np.mean(words)) if len(words) else None,
        "dominant_categories": _most_frequent(cluster.members["categories"].tolist(), 5),
    }


def _event(shared: Shared, cluster: Cluster) -> EventRecord:
    return {
        **shared,
        "cluster_type": "event",
        "cluster_label": cluster.named.shown,
        "event_ids": shared["member_ids"],
    }


def _entity(shared: Shared, cluster: Cluster) -> EntityRecord:
    entity = cluster.named.proposal.entity
    counts = entity.counts if entity else {}
    return {
        **shared,
        "cluster_type": "entity",
        "cluster_label": cluster.named.shown,
        "canonical_entity": cluster.named.label.name or (entity.name if entity else None),
        "canonical_kind": entity.kind if entity else None,
        "entity_type": _dominant(cluster.members["entity_type"].tolist()),
        "entity_mentions": list(counts),
        "mention_counts": counts,
        "reconciled": dict(sorted(Counter(filter(None, cluster.members["reason"])).items())),
    }


def _storyline(shared: Shared, cluster: Cluster) -> StorylineRecord:
    return {
        **shared,
        "cluster_type": "storyline",
        "cluster_label": cluster.named.shown,
        "storyline_ids": shared["member_ids"],
        "event_ids": sorted(set(cluster.members["event_ids"])),
        "domains": _most_frequent(cluster.members["domain"].tolist(), 12),
    }


_FORMS: dict[str, Callable[[Shared, Cluster], Record]] = {
    "documents": _document,
    "events": _event,
    "entities": _entity,
    "storylines": _storyline,
}
