"""Settings of a run: what a caller may choose.

One model serves the DAG's form, the REST body and `--set a.b=c` on the command line, and is stored
with every run. `run_settings` is the only way in: it names every problem at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.renamed import with_current_names
from clustering_tasks.settings.tag_list import TagList, TagSources
from clustering_tasks.settings.types import Domains, End, Names, Start

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[("auto", *ALGORITHMS)]


# Beyond, neither JSON of other languages nor Airflow's messages to a task can hold an integer.
LARGEST = 2**63 - 1
# The fields of an event whose values are its part.
PART_FIELDS: dict[str, tuple[str, ...]] = {
    "domain": ("domain",),
    "event_type": ("event_type",),
    "domain_event_type": ("domain", "event_type"),
}


class _Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="after")
    @classmethod
    def _within_64_bits(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"an integer of 64 bits is at most {LARGEST}")
        return value


class InputSettings(_Group):
    """Input: where the vectors come from, what they must be, and how Stage 3's files are copied."""

    source: Literal["auto", "stage3", "postgres"] = Field(
        "auto",
        description="Where the vectors are read: `stage3` from Stage 3's folder, `postgres` from a "
        "table that the installation lists. `auto` takes the table that is listed as the level's "
        "default, else Stage 3's folder.",
    )
    table: str | None = Field(
        None,
        description="Only with input.source=postgres: name of the table in STAGE4_SOURCE_TABLES. "
        "Unset: the level's default, or the only one listed for the level.",
    )
    dimension: int = Field(
        768,
        ge=2,
        le=65_536,
        description="Number of components of every vector. A run whose vectors have another "
        "dimension is refused.",
    )
    norm_tolerance: float = Field(
        1e-3,
        gt=0,
        le=0.1,
        description="Largest accepted difference between a vector's length and 1. Vectors that "
        "differ more are refused; raise it only where Stage 3 rounds its vectors.",
    )
    copy_attempts: int = Field(
        3,
        ge=1,
        le=20,
        description="How often the copy of Stage 3's files is tried when Stage 3 writes them at "
        "the same time. After the last attempt the task fails.",
    )
    copy_wait_seconds: float = Field(
        5, ge=0, le=600, description="Seconds between two attempts to copy Stage 3's files."
    )


class FilterSettings(_Group):
    """Filters: which items are clustered.

    An item must pass every filter that is set; the others get the status `filtered`. Lists may be
    given as comma-separated text.
    """

    domains: Domains = Field(
        None,
        description="Cluster only the items of these domains, by their short or long names. For "
        "events and storylines; unset: all domains.",
    )
    event_types: Names = Field(
        None,
        description="Cluster only the events of these types; upper and lower case are the same. "
        "For events; unset: all types.",
    )
    entity_types: Names = Field(
        None,
        description="Cluster only the entities of these types, for example PERSON, ORG; upper and "
        "lower case are the same. For entities; unset: all types.",
    )
    since: Start = Field(
        None,
        description="Cluster only items dated at or after this time. An item with a time span "
        "passes if the span ends at or after it. A date or an ISO 8601 time; without a time zone "
        "it is UTC. Unset: no lower limit.",
    )
    until: End = Field(
        None,
        description="Cluster only items dated at or before this time. An item with a time span "
        "passes if the span begins at or before it. A date alone includes the whole day. Unset: "
        "no upper limit.",
    )
    keep_undated: bool = Field(
        True,
        description="Items without a date: true clusters them although `filter.since` or "
        "`filter.until` is set, false filters them out. Without these two it has no effect.",
    )
    document_ids: Names = Field(
        None,
        description="Cluster only the items of the documents with these ids. Unset: all documents.",
    )


class NeighbourSettings(_Group):
    """Neighbour search: the most similar items of each item, which all algorithms build on."""

    k: int = Field(
        32,
        ge=2,
        le=512,
        description="Nearest neighbours kept for each item. More find weaker links between items, "
        "and need more time and memory.",
    )
    exact_rows: int = Field(
        40_000,
        ge=0,
        description="Up to this many items the neighbour search is exact: each item is compared "
        "with every other. Above, items are grouped first, and each is compared only with the "
        "most similar groups: much faster, but some neighbours are missed (the report gives the "
        "share that is found). Higher is slower and more exact. Entities are counted by type; "
        "with scope=domain, items by domain.",
    )
    probes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Cells searched for each item, where the search runs in cells. More miss "
        "fewer neighbours and take longer. Unset: 18 for up to 200,000 items, rising to 21 for a "
        "million.",
    )
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto",
        description="`auto` uses a GPU where the task finds one with enough free memory, and then "
        "compares every item with every other; `cpu` never uses a GPU; `gpu` fails without one. "
        "The report names the device, and says why a GPU was not used.",
    )
    float16: bool = Field(
        False,
        description="Only on a GPU: true stores the vectors in half precision, so that twice as "
        "many fit into its memory; similarities become slightly less exact.",
    )


class EvidenceSettings(_Group):
    """Evidence besides the vectors: context, mentions, documents, types.

    It changes the similarities of the neighbour graph's edges, for every algorithm. The defaults
    of unset values are those of `agglomerative`, `kmeans` and `label_propagation`; with `hdbscan`
    and `two_stage` they are 0.
    """

    context: bool = Field(
        True,
        description="Whether another level of Stage 3's folder is read for context, if it is "
        "there: storylines for documents, documents for the other levels. False: each item's own "
        "vector alone counts.",
    )
    context_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the context's vector in an item's vector: 0 uses the item alone, 1 "
        "the context alone. Unset: 0.5 for documents and storylines, 0 for events and entities. "
        "With `evidence.check` it is reduced where items of one document are of several stories.",
    )
    mention_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the spelling in the similarity of two items: how alike their names "
        "or trigger words are, letter by letter. 0 ignores the spelling. Unset: 0.25 for events, "
        "0.35 for entities, 0 for documents and storylines.",
    )
    story_similarity_floor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Two items whose documents tell different stories become less similar: if the "
        "similarity of the documents' stories is below this floor, the items' similarity is "
        "reduced. Higher separates more items; 0 switches it off. Unset: 0.85 for events and "
        "entities, 0 for documents and storylines.",
    )
    story_penalty_factor: float = Field(
        1.5,
        ge=0,
        le=10,
        description="Strength of the reduction below `evidence.story_similarity_floor`: the "
        "items' similarity is reduced by this factor x (floor - similarity of the stories). "
        "Higher separates more. No effect where the floor is 0.",
    )
    document_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Discount for similar documents: the similarity of two items is reduced by "
        "this weight x the similarity of their documents. Set it where clusters follow the "
        "documents rather than the items; higher separates items of similar documents more. 0: no "
        "discount.",
    )
    sentence_penalty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Reduction of the similarity of two items that stand in the same sentence of "
        "a document: one sentence seldom names the same thing twice. 0: none. Unset: 0.1 for "
        "events and entities, 0 for documents and storylines.",
    )
    domain_penalty: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Reduction of the similarity of two items whose domains are known and differ. "
        "Higher separates domains more; 0: none.",
    )
    event_type_penalty: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Reduction of the similarity of two items whose event types are known and "
        "differ. Higher separates event types more; 0: none.",
    )
    check: bool = Field(
        True,
        description="Whether evidence counts only as far as the vectors bear it out: metadata that "
        "contradict the most similar items (documents that are digests or batches, one mention for "
        "all events) are damped or ignored, and an alert is raised. False: everything counts as it "
        "is set.",
    )


class TemporalSettings(_Group):
    """Time: whether dates separate items.

    An undated item may be linked with any other.
    """

    decay: bool = Field(
        False,
        description="Whether the similarity of two items shrinks with the days between them.",
    )
    decay_days: float | None = Field(
        None,
        gt=0,
        description="Only with decay: days after which a similarity has shrunk to 37% (1/e). Fewer "
        "days separate faster. Unset: learned from the days between the most similar items; there "
        "is no decay where these are no nearer in time than others (dates of a crawl).",
    )
    window_days: float | None = Field(
        None,
        gt=0,
        description="Items more days apart than this are never linked directly; a chain of items "
        "between them may still join them. Unset: no limit.",
    )
    max_gap_days: float | None = Field(
        None,
        gt=0,
        description="Longest pause, in days without any item, inside a cluster. "
        "`temporal.on_gap` decides what a longer pause does. Unset: no limit.",
    )
    on_gap: Literal["split", "penalise"] = Field(
        "split",
        description="Only with `temporal.max_gap_days`: `split` divides a cluster at a longer "
        "pause; `penalise` keeps it and multiplies its members' probabilities by max_gap_days / "
        "pause.",
    )


class AgglomerativeSettings(_Group):
    """Agglomerative clustering: only with `algorithm=agglomerative`, or where `auto` takes it.

    It merges the most similar clusters step by step. `clusters`, `cut_similarity` or
    `distance_threshold` sets where merging stops: at most one of them. With none of them it stops
    where the mean silhouette, a measure of the clusters' separation, is highest.
    """

    linkage: Literal["auto", "average", "complete", "single", "ward"] = Field(
        "auto",
        description="Which two clusters are merged next. `average`: those with the highest mean "
        "similarity of their items; `complete`: by the least similar pair, which gives the "
        "tightest clusters; `single`: by the most similar pair, which gives the loosest; `ward`: "
        "those whose union scatters least about its centre, which gives clusters of even width. "
        "`auto` computes average and ward, and takes ward where both find about as many clusters.",
    )
    clusters: int | None = Field(
        None,
        ge=1,
        description="Only with agglomerative clustering: merging stops at this number of clusters "
        "(for entities: of each entity type; with scope=domain: of each domain). Unset: the "
        "number follows from the data.",
    )
    cut_similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only with agglomerative clustering: merging stops when no two clusters are "
        "at least this similar. Higher gives more and tighter clusters. Not with linkage ward. "
        "Unset: the cut follows from the data.",
    )
    distance_threshold: float | None = Field(
        None,
        ge=0,
        description="Limit of merging as a distance instead of `agglomerative.cut_similarity`; the "
        "only one of the two that linkage ward takes. Similarity .8 is distance .63, .5 is 1.0 "
        "(sqrt(2 - 2 x similarity)); with ward, between two large clusters it is larger. Lower "
        "gives more and tighter clusters. Unset: the cut follows from the data.",
    )
    max_component: int = Field(
        20_000,
        ge=2,
        description="Only with linkage complete: most different vectors that are compared each "
        "with each; memory is 4 bytes a pair (20,000 vectors: 1.6 GB). A larger connected group "
        "of items is refused.",
    )
    lone_deviations: float | None = Field(
        None,
        ge=0,
        description="An item stands alone, as an outlier, if no other item resembles it more than "
        "unrelated items resemble each other: by this many standard deviations of the similarity "
        "of unrelated pairs above its mode. Higher leaves more items alone; 0 none, not even "
        "pairs that are too unlike for a story. Unset: 5.5 "
        "where the cut follows from the data, 0 where one of the limits of merging is set.",
    )
    trim_size: int = Field(
        10,
        ge=1,
        description="Clusters of up to this many items lose members that are too dissimilar (see "
        "`agglomerative.trim_similarity`); larger clusters keep theirs. 1 removes none.",
    )
    trim_similarity: float = Field(
        0.33,
        ge=-1,
        le=1,
        description="A member of a small cluster becomes an outlier if its mean similarity to the "
        "other members is below this. Higher removes more members.",
    )

    @property
    def least_similarity(self) -> float | None:
        """The threshold as a similarity, None where the caller gave none."""
        if self.distance_threshold is not None:
            return 1 - self.distance_threshold**2 / 2
        return self.cut_similarity


class KmeansSettings(_Group):
    """k-means: only with `algorithm=kmeans`."""

    k: int | None = Field(
        None,
        ge=1,
        description="Only with algorithm=kmeans: number of clusters (for entities: of each entity "
        "type; with scope=domain: of each domain). Unset: estimated on a sample.",
    )
    estimate: Literal["silhouette", "elbow"] = Field(
        "silhouette",
        description="Where `kmeans.k` is unset, how it is estimated: `silhouette` takes the number "
        "whose clusters are best separated, `elbow` the one after which more clusters reduce the "
        "squared error little.",
    )
    mini_batch_above: int = Field(
        50_000,
        ge=0,
        description="With more different vectors than this, k-means works on random batches: "
        "faster, and the clusters are slightly less exact.",
    )
    trim_size: int = Field(
        10,
        ge=1,
        description="Clusters of up to this many items lose members that are too dissimilar (see "
        "`kmeans.trim_similarity`); larger clusters keep theirs. 1 removes none.",
    )
    trim_similarity: float = Field(
        0.33,
        ge=-1,
        le=1,
        description="A member of a small cluster becomes an outlier if its mean similarity to the "
        "other members is below this. Higher removes more members.",
    )


class LabelPropagationSettings(_Group):
    """Label propagation: only with `algorithm=label_propagation`, or where `auto` takes it."""

    edge_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Only with label propagation: two items are linked if they are at least this "
        "similar. Higher gives more and smaller clusters. Unset: 0.6 for events, 0.55 for "
        "entities; for documents and storylines the value whose clusters are best separated.",
    )
    neighbours: int = Field(
        30,
        ge=1,
        le=512,
        description="Strongest links kept for each item. More give larger clusters. At most "
        "`neighbours.k` have an effect.",
    )


class HdbscanSettings(_Group):
    """HDBSCAN: only with `algorithm=hdbscan`.

    It finds dense groups of items; items outside of them are outliers (Campello, Moulavi, Sander
    2013). Distances are Euclidean, sqrt(2 - 2 x similarity).
    """

    min_cluster_size: int = Field(
        5,
        ge=2,
        description="Only with algorithm=hdbscan: fewest items of a cluster. Higher gives fewer "
        "and larger clusters, and more outliers.",
    )
    min_samples: int = Field(
        3,
        ge=1,
        description="Neighbours that an item must have nearby to count as dense. Higher gives "
        "more outliers. At most `neighbours.k`.",
    )
    cluster_selection_epsilon: float = Field(
        0.0,
        ge=0,
        le=2,
        description="Clusters nearer to each other than this Euclidean distance are not divided. "
        "Higher gives fewer, larger clusters; 0: no such limit.",
    )
    cluster_selection_method: Literal["eom", "leaf"] = Field(
        "eom",
        description="`eom` (excess of mass) prefers large, stable clusters; `leaf` gives many "
        "small ones of similar size.",
    )
    allow_single_cluster: bool = Field(
        False, description="Whether all items may form one single cluster."
    )


class TwoStageSettings(HdbscanSettings):
    """HDBSCAN in two stages: only with `algorithm=two_stage`.

    k-means divides the items into cells, HDBSCAN clusters each cell, and clusters that lie in
    several cells are joined again.
    """

    min_cluster_size: int = Field(
        5,
        ge=2,
        description="Only with algorithm=two_stage: fewest items of a cluster. Higher gives fewer "
        "and larger clusters, and more outliers.",
    )
    cell_size: int = Field(
        2000,
        ge=10,
        description="Mean number of different vectors in a cell. Larger cells are more exact and "
        "slower. With fewer vectors than this there is one cell.",
    )


class OutlierSettings(_Group):
    """Outliers: what becomes of items that the algorithm put into no cluster."""

    policy: Literal["skip", "nearest", "individual", "target"] = Field(
        "skip",
        description="Items that the algorithm put into no cluster: `skip` leaves them out; "
        "`nearest` adds each to its nearest cluster if it is similar enough "
        "(`outliers.threshold`); `individual` leaves them out and marks them to be tagged one by "
        "one; `target` adds the most similar ones until `outliers.target_share` is reached.",
    )
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Only with outliers.policy=nearest: least similarity of an outlier and its "
        "nearest cluster. Higher adds fewer outliers.",
    )
    target_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Only with outliers.policy=target, and required there: largest share of all "
        "items that stays outside of clusters (0.1 is a tenth). Lower adds more outliers.",
    )


class PartsSettings(_Group):
    """Parts: how a level is divided into parallel `cluster` tasks.

    A task is a domain (events, storylines), an entity type (entities) or a range (documents). The
    tasks change the speed, not the clusters.
    """

    by: Literal["domain", "event_type", "domain_event_type"] = Field(
        "domain",
        description="For events: a `cluster` task is a `domain`, an `event_type`, or an event type "
        "of a domain (`domain_event_type`). With scope=domain each of these is clustered "
        "separately. The other levels have no event types, and ignore this.",
    )
    max_count: int = Field(
        24,
        ge=1,
        le=1000,
        description="Most parallel `cluster` tasks of a run. With fewer, more domains or types "
        "share a task, and large ones are cut less.",
    )
    min_rows: int = Field(
        100,
        ge=1,
        description="Fewest items of a domain or type for a `cluster` task of its own; smaller "
        "ones share a task, `other domains (n)`. Higher gives fewer tasks: each starts a process, "
        "about 2 seconds of processor time.",
    )
    max_rows: int = Field(
        10_000,
        ge=1,
        description="Most items of a `cluster` task: a larger domain, type or level is cut, as far "
        "as `parts.max_count` leaves room. Where the search runs in groups (above "
        "`neighbours.exact_rows`), it is at least 98,304. Lower gives more tasks of less time.",
    )


class MergeSettings(_Group):
    """What becomes of clusters after the clustering: joined across domains, by their names."""

    names: bool = Field(
        default=True,
        description="Entities only: clusters of one name are joined, pronouns go to what they "
        "stand for, and clusters with contradicting names or numbers are cut. "
        "`false` leaves clusters as the algorithm found them.",
    )

    join: Literal["never", "mutual_best"] = Field(
        "never",
        description="Only with scope=domain: `mutual_best` joins two clusters of different domains "
        "if each is the other's most similar cluster; `never` keeps domains apart.",
    )
    join_similarity: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Only with merge.join=mutual_best: least similarity of the centroids of two "
        "clusters that are joined. Higher joins fewer.",
    )


class IdentitySettings(_Group):
    """Lasting ids: which cluster of this run is which cluster of the runs before."""

    look_back: int = Field(
        7,
        ge=1,
        le=30,
        description="Number of published runs in which a cluster is looked for: one that is "
        "missing from some of them returns with its id, one that is missing from all has ended. "
        "More keep the ids of stories that pause, and need more space.",
    )


class IncrementalSettings(_Group):
    """Incremental runs: only with `mode=incremental` or `mode=auto`."""

    vote_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Least similarity of a new item and the cluster that its nearest neighbours "
        "vote for. Higher leaves more new items to be clustered among themselves. Unset: the value "
        "at which the vote repeats most memberships of the run before.",
    )
    max_new_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Only with mode=auto: a full run is made if more than this share of the items "
        "has come since the last full one. On headlines split by time, a fifth assigned so left an "
        "agreement (ARI) of .94 with a full run. Lower makes full runs more often.",
    )
    max_quality_drop: float = Field(
        0.05,
        ge=0,
        le=2,
        description="Only with mode=auto: a full run is made if silhouette or modularity has "
        "fallen by more than this since the last full one; half of what raises a drift alert.",
    )
    max_age_days: float = Field(
        7.0,
        gt=0,
        description="Only with mode=auto: a full run is made if the last full one is older. A week "
        "bounds how long clusters that have grown together, or apart, stay as they are.",
    )


class LabelSettings(_Group):
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


class LlmSettings(_Group):
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


class TagSettings(_Group):
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


class TrendSettings(_Group):
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


class MapSettings(_Group):
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


class PublishSettings(_Group):
    """Quality gate: conditions for publishing a run.

    A run that fails one is kept and reported, but readers keep the previous run.
    """

    allow_empty: bool = Field(
        False, description="Whether a run without any item or any cluster may be published."
    )
    min_items: int = Field(
        0, ge=0, description="Publish only if at least this many items were read. 0: any number."
    )
    min_clusters: int = Field(
        0,
        ge=0,
        description="Publish only if there are at least this many clusters. 0: any number.",
    )
    min_coverage: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Publish only if at least this share of the items is in a cluster (0.5 is "
        "half). 0: any share. Unset: 0.2 for events and entities, 0.1 for documents and "
        "storylines, any share with fewer than 1,000 items.",
    )
    max_largest_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Publish only if the largest cluster holds at most this share of all items "
        "that are in clusters. 1: any share.",
    )
    max_coverage_drop: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Holds a run back in which far fewer items are in clusters than usual: the "
        "largest fall of the coverage, as a share of the median of the level's previous published "
        "runs (0.5: to half of it). Needs 3 previous runs and 1,000 items. 1: no fall holds a run "
        "back. Not on the command line of the steps, which has no previous runs.",
    )
    max_drift: float | None = Field(
        None,
        ge=1,
        description="Holds a run back that differs too much from the level's previous ones. 1: as "
        "soon as a drift alert is raised; 2: at twice that difference, and so on. The duration "
        "does not count. Unset: drift never holds a run back. Not on the command line of the "
        "steps, which has no previous runs.",
    )


class AlertSettings(_Group):
    """Alerts: when a run's metrics are reported to be looked at; they never stop a run.

    A limit alert compares a metric with a fixed value, a drift alert with the level's previous
    published runs.
    """

    min_silhouette: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Alert if the mean silhouette, from -1 (wrong clusters) to 1 (well "
        "separated), is below this. Unset: 0.2 for documents and storylines, 0.15 for events and "
        "entities.",
    )
    max_raw_outlier_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Alert if more than this share of the items are outliers, counted before the "
        "outlier policy. Unset: 0.5 for documents and entities, 0.6 for events, 0.3 for "
        "storylines.",
    )
    min_evidence_factor: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Alert if less than this share of a piece of evidence (mentions, stories, "
        "dates and so on) counts, because the vectors do not bear it out. See `evidence.check`.",
    )
    max_coverage_drop: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Alert if the share of the items in clusters falls by more than this share of "
        "the median of at least 3 previous published runs (0.25: from 0.8 to below 0.6). Longer "
        "histories are also watched for smaller changes, see `alerts.min_share_change`.",
    )
    min_tags_per_item: float | None = Field(
        None,
        ge=0,
        description="Alert if the items have fewer tags than this on average. Unset: 2 for "
        "documents; none for the other levels, whose items have a domain at most. Where no item "
        "has a tag and none is listed there is no alert.",
    )
    history: int = Field(
        30,
        ge=3,
        le=365,
        description="Number of the level's last published runs that drift is measured against.",
    )
    min_history: int = Field(
        7,
        ge=3,
        le=365,
        description="Fewest previous published runs for drift alerts; with fewer there are none.",
    )
    deviations: float = Field(
        5.0,
        ge=1,
        description="Drift alert if a metric differs from the median of the previous runs by more "
        "than this many of their standard deviations (estimated from their median absolute "
        "deviation). Higher gives fewer alerts.",
    )
    min_change: float = Field(
        0.3,
        ge=0,
        description="Smallest change of items, clusters, mean size or duration that raises a "
        "drift alert, as a share of the median (0.3 is 30%). Higher gives fewer alerts.",
    )
    min_share_change: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Smallest change of coverage, outlier share or silhouette that raises a drift "
        "alert, as a difference (0.1: from 0.6 to 0.7). Higher gives fewer alerts.",
    )


class RunSettings(_Group):
    """Everything a caller may choose for a run of one level."""

    algorithm: AlgorithmName = Field(
        "auto",
        description="Clustering algorithm. `auto` takes agglomerative for up to 100,000 documents "
        "or storylines and label_propagation for more; for events and entities always "
        "label_propagation. The report names the algorithm and the reason.",
    )
    mode: Literal["full", "incremental", "auto"] = Field(
        "full",
        description="`full` clusters all items anew. `incremental` keeps the clusters of the "
        "level's last published run and works on what is new, changed or gone since, in a fraction "
        "of the time; where that run cannot be continued, it is a full run. `auto` is incremental, "
        "and full where a limit of `incremental` is passed. The report names the mode taken and "
        "the reason.",
    )
    scope: Literal["level", "domain"] = Field(
        "level",
        description="`level` clusters all items together; `domain` clusters each domain "
        "separately, which needs less memory (for events and storylines, which have domains).",
    )
    allow_partial: bool = Field(
        False,
        description="Only with scope=domain: true publishes the other domains although a part "
        "failed, and counts its items as unassigned; false stops the run.",
    )
    input: InputSettings = Field(default_factory=InputSettings)
    filter: FilterSettings = Field(default_factory=FilterSettings)
    neighbours: NeighbourSettings = Field(default_factory=NeighbourSettings)
    evidence: EvidenceSettings = Field(default_factory=EvidenceSettings)
    temporal: TemporalSettings = Field(default_factory=TemporalSettings)
    agglomerative: AgglomerativeSettings = Field(default_factory=AgglomerativeSettings)
    hdbscan: HdbscanSettings = Field(default_factory=HdbscanSettings)
    kmeans: KmeansSettings = Field(default_factory=KmeansSettings)
    label_propagation: LabelPropagationSettings = Field(default_factory=LabelPropagationSettings)
    two_stage: TwoStageSettings = Field(default_factory=TwoStageSettings)
    outliers: OutlierSettings = Field(default_factory=OutlierSettings)
    parts: PartsSettings = Field(default_factory=PartsSettings)
    merge: MergeSettings = Field(default_factory=MergeSettings)
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    incremental: IncrementalSettings = Field(default_factory=IncrementalSettings)
    label: LabelSettings = Field(default_factory=LabelSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    tags: TagSettings = Field(default_factory=TagSettings)
    trends: TrendSettings = Field(default_factory=TrendSettings)
    map: MapSettings = Field(default_factory=MapSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)

    @model_validator(mode="before")
    @classmethod
    def _accept_old_names(cls, given: Any) -> Any:
        """Read what an earlier version stored; `run_settings` has renamed what a caller gave."""
        if not isinstance(given, Mapping):
            return given
        current, problems = with_current_names(given, warn=False)
        if problems:
            raise ValueError("; ".join(problems))
        return current

    @model_validator(mode="after")
    def _refuse_impossible_pairs(self) -> Self:
        if problems := list(_impossible_pairs(self)):
            raise ValueError("; ".join(problems))
        return self


def _impossible_pairs(settings: RunSettings) -> Iterable[str]:
    if settings.input.table is not None and settings.input.source != "postgres":
        yield (
            f"input.table={settings.input.table} needs input.source=postgres (it is "
            f"{settings.input.source}): set that or drop input.table"
        )
    if settings.scope == "level" and settings.allow_partial:
        yield (
            "allow_partial=true needs scope=domain: at level scope a missing part leaves no "
            "right answer. Set scope=domain or drop allow_partial"
        )
    if settings.scope == "level" and settings.merge.join != "never":
        yield (
            f"merge.join={settings.merge.join} needs scope=domain: at level scope nothing is "
            "torn apart. Set scope=domain or merge.join=never"
        )
    if settings.neighbours.device == "gpu" and settings.temporal.window_days is not None:
        yield (
            f"temporal.window_days={settings.temporal.window_days:g} cannot be applied on a GPU: "
            "set neighbours.device=auto or drop temporal.window_days"
        )
    since, until = settings.filter.since, settings.filter.until
    if since is not None and until is not None and since > until:
        yield (
            f"filter.since={since.isoformat()} lies after filter.until={until.isoformat()}: no "
            "item can pass both. Exchange them or drop one"
        )
    for name, group in (("hdbscan", settings.hdbscan), ("two_stage", settings.two_stage)):
        if settings.neighbours.k < group.min_samples:
            yield (
                f"{name}.min_samples={group.min_samples} exceeds "
                f"neighbours.k={settings.neighbours.k}: the graph holds too few neighbours for the "
                f"core distance. Raise neighbours.k or lower {name}.min_samples"
            )
    yield from _impossible_cuts(settings.agglomerative)
    yield from _impossible_targets(settings.outliers)
    if settings.alerts.min_history > settings.alerts.history:
        yield (
            f"alerts.min_history={settings.alerts.min_history} exceeds alerts.history="
            f"{settings.alerts.history}: no run would ever be compared. Exchange them or drop one"
        )


def _impossible_cuts(agglomerative: AgglomerativeSettings) -> Iterable[str]:
    ways = ("clusters", "cut_similarity", "distance_threshold")
    given = [f"agglomerative.{way}" for way in ways if getattr(agglomerative, way) is not None]
    if len(given) > 1:
        yield f"{' and '.join(given)} each say where merging stops: give one of them"
    if agglomerative.linkage == "ward" and agglomerative.cut_similarity is not None:
        yield (
            "agglomerative.cut_similarity is no measure of Ward's: set "
            "agglomerative.distance_threshold or agglomerative.clusters, or another linkage"
        )


def _impossible_targets(outliers: OutlierSettings) -> Iterable[str]:
    if (outliers.policy == "target") != (outliers.target_share is not None):
        yield (
            f"outliers.policy={outliers.policy} and outliers.target_share="
            f"{outliers.target_share}: the policy `target` and a share go together. Set both or "
            "neither"
        )


def run_settings(*sources: Mapping[str, Any] | None) -> RunSettings:
    """Build the settings of a run from nested or dotted mappings, later ones winning.

    Old names of settings are accepted, with one warning each (`clustering_tasks.settings.renamed`).

    Raises:
        SettingsError: naming every wrong value, unknown key and impossible pair at once.
    """
    merged: dict[str, Any] = {}
    problems: list[str] = []
    for source in sources:
        current, found = with_current_names(nested(source or {}))
        _merge(merged, current)
        problems += found
    try:
        settings = RunSettings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_refusal([*problems, *_explain(error)])) from None
    if problems:
        raise SettingsError(_refusal(problems))
    return settings


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"hdbscan.min_samples": 3}` into `{"hdbscan": {"min_samples": 3}}`, at any depth."""
    result: dict[str, Any] = {}
    for path, value in flat.items():
        value = nested(value) if isinstance(value, Mapping) else value
        for name in reversed(str(path).split(".")):
            value = {name: value}
        _merge(result, value)
    return result


def dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of each setting: what `nested` puts together."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def assignments(pairs: Iterable[str]) -> dict[str, str]:
    """Read the command line's `a.b=c` pairs; the model turns the values into numbers.

    Raises:
        SettingsError: naming every pair without an equals sign.
    """
    pairs = list(pairs)
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise SettingsError(f"--set takes name=value, for example scope=domain; got {wrong}")
    return dict(pair.split("=", 1) for pair in pairs)


def _merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    for name, value in other.items():
        if isinstance(value, Mapping) and name in into:
            if not isinstance(into[name], dict):
                raise SettingsError(
                    f"settings refused:\n  - {name}: given both as a group and as the value "
                    f"{into[name]!r}; give its settings, like {name}.{next(iter(value), '...')}"
                )
            _merge(into[name], value)
        else:
            into[name] = dict(value) if isinstance(value, Mapping) else value


def _refusal(problems: Iterable[str]) -> str:
    return "\n".join(["settings refused:", *(f"  - {line}" for line in problems)])


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown setting; known are {_siblings(problem['loc'])}"
        elif problem["loc"]:
            message = f"{message} (got {problem['input']!r})"
        yield f"{where}: {message}"


def _siblings(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = RunSettings
    for name in location[:-1]:
        annotation = model.model_fields[str(name)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return ", ".join(model.model_fields)
