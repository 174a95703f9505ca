"""The neighbour graph, what its edges are worth, and the parts in which it is made."""

from typing import Literal

from pydantic import Field

from clustering_tasks.settings.groups.base import Group

# The fields of an event whose values are its part.
PART_FIELDS: dict[str, tuple[str, ...]] = {
    "domain": ("domain",),
    "event_type": ("event_type",),
    "domain_event_type": ("domain", "event_type"),
}


class NeighbourSettings(Group):
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


class EvidenceSettings(Group):
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


class TemporalSettings(Group):
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


class PartsSettings(Group):
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


class MergeSettings(Group):
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
