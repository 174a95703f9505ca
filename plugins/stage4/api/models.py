"""The answers, as OpenAPI describes them. What is not known is null."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from stage4.api.parameters import LevelName
from stage4.queries.differences import Kind

Json = dict[str, Any]
Status = Literal["clustered", "noise", "filtered", "unassigned"]


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


class Page(BaseModel):
    """What every page of a list has."""

    next_cursor: str | None = Field(description="For the next page; null on the last one.")


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


class Member(BaseModel):
    """An item and where it has come to."""

    vector_id: str
    source_id: str
    document_id: str | None
    status: Status
    assignment: Literal["core", "nearest", "individual"] | None
    probability: float | None
    similarity: float | None = Field(description="Cosine to its cluster's centroid.")
    occurred_at: datetime | None
    metadata: Json = Field(description="As Stage 3 wrote it.")


class MemberPage(Page):
    """A page of a cluster's members."""

    level: LevelName
    run_id: int
    cluster_id: str
    members: list[Member]


class DeletedCounts(BaseModel):
    """What a document's deletion took out of one level when it was asked for."""

    items: int
    clusters: int
    runs: int


class Deletion(BaseModel):
    """A document's deletion: hidden by now, and carried out by the DAG `delete_document`."""

    deletion_id: int
    state: Literal["requested", "done"]
    requested_at: datetime
    carried_out_at: datetime | None
    counts: dict[str, DeletedCounts] = Field(description="By level, over all runs.")


class Similar(ClusterSummary):
    """A cluster that is near to another one, or to a vector."""

    similarity: float = Field(description="Cosine of the two.")


class SimilarClusters(BaseModel):
    """Nearest first; found by an approximate index, so that one may be missed."""

    level: LevelName
    run_id: int
    clusters: list[Similar]


class Found(ClusterSummary):
    """A search's result."""

    similarity: float | None = Field(description="Cosine to the vector; null without one.")
    rank: float | None = Field(description="How well it fits the text; null with a vector.")


class SearchResult(BaseModel):
    """Best first."""

    level: LevelName
    run_id: int
    ordered_by: Literal["similarity", "rank", "size"]
    clusters: list[Found]


class Item(Member):
    """An item of a run, with its cluster."""

    level: LevelName
    run_id: int
    cluster_id: str | None
    cluster: ClusterSummary | None


class ClusterOfDocument(ClusterSummary):
    """A cluster that has items of a document."""

    items: int = Field(description="Members that are of the document.")


class DocumentLevel(BaseModel):
    """Where a document's items have come to at one level."""

    level: LevelName
    run_id: int
    items: int
    statuses: dict[Status, int] = Field(description="Items by status.")
    clusters_total: int
    clusters: list[ClusterOfDocument] = Field(description="Those with most of its items first.")


class DocumentClusters(BaseModel):
    """A document's clusters at every level that the user may read."""

    document_id: str
    levels: list[DocumentLevel]


RunState = Literal["current", "published", "loaded"]


class RunSummary(BaseModel):
    """A load: a run of a level's DAG, as it is in the database."""

    run_id: int
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
    loaded_at: datetime
    published_at: datetime | None


class Run(RunSummary):
    """A load with the report of `label`: settings, quality, sizes, times."""

    report: Json


class RunPage(Page):
    """A page of loads, newest first."""

    runs: list[RunSummary]


class RunMetrics(BaseModel):
    """The metrics of one run."""

    run_id: int
    job_id: str
    as_of: datetime
    published_at: datetime | None
    values: dict[str, float | None] = Field(
        description="By name; null: not measured. The names: docs/METRICS.md."
    )


class Metrics(BaseModel):
    """Metrics of a level: of the current run, and of the runs published before."""

    level: LevelName
    latest: RunMetrics
    trend: list[RunMetrics] = Field(description="Oldest first, the current run's among them.")


class Alert(BaseModel):
    """Something about a run that a person should look at."""

    alert_id: int
    level: LevelName
    run_id: int
    current: bool = Field(description="Whether it is about the run that readers see.")
    name: str
    severity: Literal["info", "warning", "critical"]
    message: str
    action: str
    value: float | None
    limit_value: float | None
    raised_at: datetime


class AlertPage(Page):
    """A page of alerts, newest first."""

    alerts: list[Alert]


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


class MapClusters(BaseModel):
    """Clusters of a view, the largest first; the lists belong together place by place."""

    cluster_id: list[str]
    size: list[int]
    group: list[str | None] = Field(description="Domain; of entities without one, their type.")
    x: list[float]
    y: list[float]
    label: list[str | None] = Field(description="Of the first ones only.")


class MapMembers(BaseModel):
    """Members of a view, a sample; the lists belong together place by place."""

    vector_id: list[str]
    cluster_id: list[str]
    x: list[float]
    y: list[float]


class MapView(BaseModel):
    """A part of a level's map."""

    level: LevelName
    run_id: int
    complete: bool = Field(description="Whether these are all points that are stored of it.")
    clusters: MapClusters
    members: MapMembers


JobState = Literal["queued", "running", "completed", "failed"]


class Job(BaseModel):
    """A run of one of Stage 4's DAGs."""

    job_id: str
    dag_id: str
    dag_run_id: str
    level: LevelName | None = Field(description="Null: all of them, `cluster_all`.")
    state: JobState
    paused: bool = Field(description="Whether its DAG is paused: then no further task starts.")
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None


class JobPage(Page):
    """A page of jobs, newest first."""

    jobs: list[Job]


class JobTask(BaseModel):
    """A task of a job."""

    task_id: str
    states: dict[str, int] = Field(
        description="Airflow's states and how many instances (a mapped task's parts) have each;"
        " `none`: not scheduled yet."
    )


class JobDetails(Job):
    """A job with its progress."""

    percent: float = Field(
        ge=0, le=100, description="Mean over its tasks; of a mapped one, the share of its parts."
    )
    items_total: int | None = Field(description="Null until `snapshot` has counted them.")
    items_done: int | None = Field(
        description="Items whose neighbours are found, part by part of `cluster`, and from `plan`"
        " on those that a filter leaves out. Their clusters come with `merge`. Null: unknown."
    )
    parts_total: int | None = Field(description="Parts of `cluster`; null until `plan` has ended.")
    parts_done: int | None = Field(description="Of them, those that have succeeded.")
    parts_failed: int | None = Field(description="Of them, those whose last try has failed.")
    tasks: list[JobTask]


class Dependency(BaseModel):
    """Something that this API or the DAGs need."""

    status: Literal["up", "down", "off"] = Field(description="`off`: it is not configured.")
    detail: str
    seconds: float | None = Field(description="That its answer took; null without an answer.")


class Health(BaseModel):
    """Whether look-ups work, and on what they rest."""

    status: Literal["healthy", "degraded", "down"] = Field(
        description="`down`: no look-ups. `degraded`: something else is amiss."
    )
    version: str
    dependencies: dict[Literal["postgres", "redis", "stage3", "workspace"], Dependency]


class Gpu(BaseModel):
    """A graphics processor."""

    name: str
    memory_total_bytes: int
    memory_used_bytes: int
    utilisation_percent: float | None


class Pool(BaseModel):
    """A pool of Airflow that tasks of Stage 4 take slots of."""

    name: str
    slots: int | None = Field(description="Null: without limit.")
    running: int
    queued: int
    scheduled: int


class Resources(BaseModel):
    """What the API server's host has, and what Airflow's pools have left."""

    cpus: int
    load_1_minute: float | None
    memory_total_bytes: int
    memory_available_bytes: int
    disk_total_bytes: int | None = Field(description="Of the workspace; null: not a local folder.")
    disk_free_bytes: int | None
    gpus: list[Gpu]
    pools: list[Pool]


class RelatedCluster(BaseModel):
    """A cluster of the other run that shares members with one."""

    cluster_id: str
    shared: int


class ClusterChange(BaseModel):
    """What became of a cluster from one run to the other."""

    cluster_id: str = Field(description="Of the later run; of the earlier one when it vanished.")
    label: str
    size: int
    kind: Kind
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


class Comparison(Page):
    """How a run's clusters differ from an earlier one's; the largest first."""

    level: LevelName
    base: int = Field(description="The earlier run.")
    other: int = Field(description="The later run.")
    summary: ChangeSummary | None = Field(description="On the first page; else null.")
    changes: list[ClusterChange]
