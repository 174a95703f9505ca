"""Answers about clusters."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from stage4.api.models.shared import CUT, Line, OfLoad, Page, Record
from stage4.api.parameters import LevelName

Trend = Literal["growing", "steady", "fading", "unknown"]


class ClusterTag(BaseModel):
    """A tag of a cluster."""

    category: Line
    tag: Line
    confidence: float = Field(
        description="Share of the members that bear it, weighted by their probabilities."
    )
    members: int = Field(description="Members that bear it themselves.")
    applied: int = Field(description="Members that got it from the cluster.")
    conflicts: int = Field(description="Members that kept others of the category instead.")


class ClusterSummary(BaseModel):
    """A cluster in a list."""

    cluster_id: str
    label: Line
    size: int = Field(description="Members.")
    domain: Line | None
    event_type: Line | None
    entity_type: Line | None
    start_time: datetime | None
    end_time: datetime | None
    intra_cluster_similarity: float | None = Field(description="Mean pairwise cosine.")
    mean_probability: float | None
    keywords: list[Line]
    primary_entities: list[Line]
    tags: list[ClusterTag] = Field(description="The surest first.")
    trend: Trend | None = Field(
        description="Items of the last days beside the cluster's own history; null without dates."
    )
    rate: float | None = Field(description="Members a day in the last days.")
    earlier_rate: float | None = Field(description="Members a day in the days before.")
    growth: float | None = Field(description="Lower bound of `rate` / `earlier_rate`.")


class ClusterPage(OfLoad, Page):
    """A page of a run's clusters."""

    level: LevelName
    clusters: list[ClusterSummary]


class Representative(BaseModel):
    """One of the members nearest to the centroid."""

    id: str
    title: Line | None
    similarity: float | None


class Mark(BaseModel):
    """A correction of a cluster itself, and not of its items."""

    correction_id: int
    kind: Literal["rename", "pin", "hide"]
    label: Line | None = Field(description="Of `rename`.")


class Cluster(OfLoad, ClusterSummary):
    """All that is stored of a cluster; its members are a list of their own."""

    level: LevelName
    key_phrases: list[Line] = Field(
        description="What it is about, the best first; empty in loads that have none."
    )
    representatives: list[Representative]
    document_ids: list[str]
    record: Record = Field(
        description=f"The line of the JSONL, without members and centroid. {CUT}"
    )
    centroid: list[float] | None = Field(description="With `centroid=true`; else null.")
    marks: list[Mark] = Field(
        description="Corrections of the cluster that hold now, also those that no run has applied."
    )


class Similar(ClusterSummary):
    """A cluster that is near to another one, or to a vector."""

    similarity: float = Field(description="Cosine of the two.")


class SimilarClusters(OfLoad):
    """Nearest first; found by an approximate index, so that one may be missed."""

    level: LevelName
    clusters: list[Similar]


class ClusterHit(ClusterSummary):
    """A search's result."""

    similarity: float | None = Field(description="Cosine to the vector; null without one.")
    rank: float | None = Field(description="How well it fits the text; null with a vector.")


OrderedBy = Literal["similarity", "rank", "size"]


class SearchResult(OfLoad):
    """Best first."""

    level: LevelName
    ordered_by: OrderedBy
    clusters: list[ClusterHit]
