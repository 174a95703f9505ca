"""Answers about clusters."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from stage4.api.models.shared import Json, Page
from stage4.api.parameters import LevelName


class ClusterSummary(BaseModel):
    """A cluster in a list."""

    cluster_id: str
    label: str
    size: int = Field(description="Members.")
    domain: str | None
    event_type: str | None
    entity_type: str | None
    start_time: datetime | None
    end_time: datetime | None
    intra_cluster_similarity: float | None = Field(description="Mean pairwise cosine.")
    mean_probability: float | None
    keywords: list[str]
    primary_entities: list[str]
    tags: list[Any]


class ClusterPage(Page):
    """A page of a run's clusters."""

    level: LevelName
    run_id: int
    clusters: list[ClusterSummary]


class Representative(BaseModel):
    """One of the members nearest to the centroid."""

    id: str
    title: str | None
    similarity: float | None


class Cluster(ClusterSummary):
    """All that is stored of a cluster; its members are a list of their own."""

    level: LevelName
    run_id: int
    representatives: list[Representative]
    document_ids: list[str]
    record: Json = Field(description="The line of the JSONL, without members and centroid.")
    centroid: list[float] | None = Field(description="With `centroid=true`; else null.")


class Similar(ClusterSummary):
    """A cluster that is near to another one, or to a vector."""

    similarity: float = Field(description="Cosine of the two.")


class SimilarClusters(BaseModel):
    """Nearest first; found by an approximate index, so that one may be missed."""

    level: LevelName
    run_id: int
    clusters: list[Similar]


class ClusterHit(ClusterSummary):
    """A search's result."""

    similarity: float | None = Field(description="Cosine to the vector; null without one.")
    rank: float | None = Field(description="How well it fits the text; null with a vector.")


OrderedBy = Literal["similarity", "rank", "size"]


class SearchResult(BaseModel):
    """Best first."""

    level: LevelName
    run_id: int
    ordered_by: OrderedBy
    clusters: list[ClusterHit]
