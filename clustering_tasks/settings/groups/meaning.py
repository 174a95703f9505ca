"""What clusters are about: labels, tags, trends, the map."""

from typing import Literal

from pydantic import Field

from clustering_tasks.settings.groups.base import Group
from clustering_tasks.settings.tag_list import TagList, TagSources


class LabelSettings(Group):
    """Labels: what is stored to describe a cluster."""

    keywords: int = Field(10, ge=1, le=50, description="Most keywords stored for each cluster.")
    representatives: int = Field(
        3,
        ge=1,
        le=50,
        description="Most representatives stored for each cluster: the members nearest to its "
        "centre.",
    )
    primary_entities: int = Field(
        10,
        ge=1,
        le=100,
        description="Most entities stored for each cluster: those that its members name most "
        "often.",
    )


class LlmSettings(Group):
    """Labels by a language model, of documents, events and storylines.

    These settings act only in an installation with STAGE4_LLM_CONN_ID.
    """

    labels: bool | None = Field(
        None,
        description="Whether a language model is asked for the labels of clusters that are new or "
        "have changed. Its label is used where it finds the cluster's members at least as well as "
        "the local one. Unset: true in an installation with STAGE4_LLM_CONN_ID.",
    )
    max_requests: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Most requests of a run, repeated ones included. The largest clusters are "
        "asked about first; the others keep their local labels.",
    )
    max_tokens: int = Field(
        400_000,
        ge=1_000,
        le=1_000_000_000,
        description="Most tokens of a run, questions and answers together. Before a request its "
        "largest possible number is set aside: a byte of the question counts as one.",
    )
    max_minutes: float = Field(
        10,
        gt=0,
        le=1440,
        description="Most minutes that a run waits for answers; clusters without one keep their "
        "local labels.",
    )
    parallel_requests: int = Field(3, ge=1, le=16, description="Most requests at the same time.")
    requests_per_minute: int = Field(
        120, ge=1, le=6000, description="Most requests that a run starts in a minute."
    )
    timeout_seconds: float = Field(
        30,
        gt=0,
        le=600,
        description="Seconds after which a request without a complete answer has timed out; it is "
        "not repeated.",
    )


class TagSettings(Group):
    """Tags: what clusters are tagged with, and which of their members get the tags."""

    sources: TagSources = Field(
        None,
        description="What tags are read from: `domains`, `categories` and `tags` of Stage 3's "
        "items, and `text`, in which the phrases of `tags.listed` are looked for. Unset: all four.",
    )
    listed: TagList = Field(
        None,
        description="The controlled list, one tag a line: `topic/climate = climate change | global "
        "warming` is the tag `climate` of the category `topic`, and what stands for it. A value of "
        "`categories` or `tags` that stands in the list counts as the listed tag. Unset: the list "
        "of STAGE4_TAGS, else only Stage 3's own values.",
    )
    min_confidence: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Least confidence of a cluster's tag: the share of the members that have it, "
        "weighted by their membership probability. Lower gives clusters more tags.",
    )
    count: int = Field(
        10, ge=1, le=50, description="Most tags of a cluster, those of the highest confidence."
    )
    auto_apply_threshold: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Least confidence at which a member gets a tag of its cluster: the tag's "
        "confidence in the cluster times the member's probability. Higher tags fewer items. At 1 "
        "only certain ones.",
    )
    outliers: Literal["auto", "none", "individual"] = Field(
        "auto",
        description="Items in no cluster: `individual` tags each by the phrases of `tags.listed` "
        "in its own text; `none` leaves them with Stage 3's tags. `auto` is `individual` with "
        "outliers.policy=individual, else `none`.",
    )


class TrendSettings(Group):
    """Trends: which clusters grow and which fade."""

    window_days: float = Field(
        3.0,
        gt=0,
        le=365,
        description="Days up to the level's last item whose items per day are compared with those "
        "before. More react later, and to smaller changes.",
    )
    history_days: float = Field(
        28.0,
        gt=0,
        le=3650,
        description="Days before that: most of a cluster's own history that counts.",
    )
    confidence: float = Field(
        0.95,
        ge=0.5,
        lt=1,
        description="A cluster grows or fades if the interval of this confidence around the ratio "
        "of the rates lies above or below 1. Higher names fewer clusters.",
    )


class MapSettings(Group):
    """Map: the picture of the level in the explorer."""

    clusters: int = Field(
        20_000,
        ge=1,
        le=100_000,
        description="Number of clusters, the largest ones, whose place on the map is computed "
        "from their similarities. Every smaller cluster is placed beside the most similar of "
        "them. More take longer.",
    )
    members: int = Field(
        200_000,
        ge=0,
        le=2_000_000,
        description="Most items drawn on the map, shared among the clusters by size; 0 draws "
        "clusters only.",
    )
