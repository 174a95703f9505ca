"""Answers about runs: each of them, what differs between two, and what they add up to."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from stage4.api.models.shared import Json, Line, OfLoad, Page
from stage4.api.parameters import LevelName
from stage4.api.queries.differences import Kind

RunState = Literal["current", "published", "loaded"]


class RunSummary(OfLoad):
    """A load: a run of a level's DAG, as it is in the database."""

    level: LevelName
    job_id: str
    state: RunState = Field(
        description="`current`: what readers see; `published`: it was current; `loaded`: never was."
    )
    as_of: datetime = Field(description="Moment that its clusters stand for.")
    algorithm: str
    read: int
    clustered: int
    noise: int
    filtered: int
    unassigned: int
    clusters: int
    coverage: float | None
    outlier_share: float | None
    largest_cluster_share: float | None
    loaded_at: datetime = Field(
        description="When the run was loaded first: a load that replaces another after a deletion"
        " keeps this."
    )
    published_at: datetime | None


class Run(RunSummary):
    """A load with the report of `label`: settings, quality, sizes, times."""

    report: Json


class RunPage(Page):
    """A page of loads, newest first."""

    runs: list[RunSummary]


class LevelStatistics(BaseModel):
    """What a level holds."""

    level: LevelName
    runs: int = Field(description="Loads that are kept.")
    current: RunSummary | None = Field(description="Null: nothing is published yet.")


class Statistics(BaseModel):
    """What the levels hold that the user may read."""

    levels: list[LevelStatistics]
    items: int = Field(description="Items that the current runs have read.")
    clusters: int = Field(description="Clusters of the current runs.")


class RelatedCluster(BaseModel):
    """A cluster of the other run that shares members with one."""

    cluster_id: str
    shared: int


class ClusterChange(BaseModel):
    """What became of a cluster from one run to the other."""

    cluster_id: str = Field(description="Of the later run; of the earlier one when it vanished.")
    label: Line
    size: int
    kind: Kind
    same_id: bool = Field(description="Whether a cluster of the other run has the same id.")
    shared: int = Field(description="Members that are in any cluster of the other run.")
    related_count: int = Field(description="Clusters of the other run that share members with it.")
    related: list[RelatedCluster] = Field(description="At most 10, the largest share first.")


class ChangeSummary(BaseModel):
    """What became of all clusters and items."""

    kinds: dict[Kind, int] = Field(description="Clusters of each kind.")
    clustered_before: int
    clustered_after: int
    shared: int = Field(description="Items in a cluster of both runs.")
    moved: int = Field(
        description="Of these, items that stayed with most of neither their former cluster nor"
        " their present one."
    )
    same_ids: int = Field(description="Ids of clusters of both runs.")


class Comparison(Page):
    """How a run's clusters differ from an earlier one's; the largest first."""

    level: LevelName
    base: int = Field(description="The earlier run.")
    other: int = Field(description="The later run.")
    summary: ChangeSummary | None = Field(description="On the first page; else null.")
    changes: list[ClusterChange]
