"""Settings of a run: what a caller may choose.

One model serves the DAG's form, the REST body and `--set a.b=c` on the command line, and is stored
with every run. `run_settings` is the only way in: it names every problem at once.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.types import Domains, End, Names, Start


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class InputSettings(_Group):
    """What Stage 3's folder must hold."""

    dimension: int = Field(768, ge=2, le=65_536, description="Dimension of the vectors.")
    norm_tolerance: float = Field(
        1e-3, gt=0, le=0.1, description="Largest deviation of a vector's norm from 1."
    )
    copy_attempts: int = Field(
        3, ge=1, le=20, description="Copies tried while Stage 3 changes its folder."
    )
    copy_wait_seconds: float = Field(
        5, ge=0, le=600, description="Pause before the folder is copied again."
    )


class FilterSettings(_Group):
    """Which items take part; the others get the status `filtered`.

    An item must pass every filter that is set. Lists may be given as comma-separated text.
    """

    domains: Domains = Field(None, description="Only these domains, in their short or long form.")
    event_types: Names = Field(None, description="Only these event types, in any case.")
    entity_types: Names = Field(None, description="Only these entity types, in any case.")
    since: Start = Field(
        None,
        description="Only items from this time on, or whose span reaches it: ISO 8601, without a "
        "zone in UTC.",
    )
    until: End = Field(
        None,
        description="Only items up to this time, or whose span begins before; a date alone is the "
        "whole day.",
    )
    keep_undated: bool = Field(
        True, description="Whether undated items pass `since` and `until`: nothing rules them out."
    )
    document_ids: Names = Field(None, description="Only items of these documents.")


class NeighbourSettings(_Group):
    """The neighbour graph."""

    k: int = Field(32, ge=2, le=512, description="Neighbours kept per item.")
    exact_rows: int = Field(
        25_000,
        ge=0,
        description="Most items that may be linked with each other whose neighbours are found "
        "exactly; among more they are looked for in the nearest cells, and the report gives the "
        "recall.",
    )
    probes: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Cells that an item is compared with; `null`: 14 up to 200,000 items, 16 of a "
        "million, so that the recall stays above .95.",
    )
    device: Literal["auto", "cpu"] = Field(
        "auto",
        description="`auto`: a GPU where the task finds one, which then compares everything with "
        "everything; the report says which it was.",
    )
    float16: bool = Field(
        False, description="Whether a GPU keeps the vectors in half precision: twice as many fit."
    )


class EvidenceSettings(_Group):
    """What besides an item's own vector says that two items belong together.

    It changes the similarities of the neighbour graph's edges, for whatever algorithm reads them.
    Unset values are the level's own defaults (see `clustering_tasks.algorithms.method`).
    """

    context: bool = Field(
        True,
        description="Read the level that says more about the items of this one, where Stage 3's "
        "folder has it: storylines for documents, documents for the others.",
    )
    context_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the context in an item's vector; unset: 0.5 for documents and "
        "storylines, 0 for events and entities.",
    )
    mention_weight: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the likeness of two mentions as strings in their similarity; "
        "unset: 0.25 for events, 0.35 for entities, 0 for documents and storylines.",
    )
    gate_similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Items of documents whose stories are less similar than this are less similar "
        "themselves; 0 switches the gate off; unset: 0.85 for events and entities, 0 for documents "
        "and storylines.",
    )
    gate_weight: float = Field(
        1.5, ge=0, le=10, description="By so many times what the stories' similarity lacks."
    )
    document_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the documents' similarity that is taken off the items': what alike "
        "documents explain.",
    )
    sentence_penalty: float | None = Field(
        None,
        ge=0,
        le=1,
        description="What two items in one sentence lose in similarity; unset: 0.1 for events and "
        "entities, 0 for documents and storylines.",
    )
    domain_penalty: float = Field(
        0.0, ge=0, le=1, description="What two items of different known domains lose in similarity."
    )
    event_type_penalty: float = Field(
        0.0,
        ge=0,
        le=1,
        description="What two items of different known event types lose in similarity.",
    )


class TemporalSettings(_Group):
    """What dates say. An undated item is neutral: it may be linked with any other."""

    decay: bool = Field(
        False, description="Whether similarity decays with the days between two items."
    )
    decay_days: float = Field(
        7, gt=0, description="Days after which it has decayed to 1/e, pair by pair."
    )
    window_days: float | None = Field(
        None,
        gt=0,
        description="Items further apart than this are never linked directly; unset: any may be.",
    )
    max_gap_days: float | None = Field(
        None,
        gt=0,
        description="Longest time in a cluster that none of its items covers; unset: any.",
    )
    on_gap: Literal["split", "penalise"] = Field(
        "split",
        description="Whether a cluster with a longer gap is split there, or its items' "
        "probabilities are multiplied by max_gap_days / gap.",
    )


class AgglomerativeSettings(_Group):
    """Linkage on smoothed vectors, with one of three ways to say where it ends, or none of them.

    Then it ends where the silhouette is highest.
    """

    linkage: Literal["auto", "average", "complete", "single", "ward"] = Field(
        "auto",
        description="How similar two clusters are: the mean of their pairs, the least, the "
        "greatest, or by how little their merge adds to the squared error. `auto`: average or, "
        "where both find about as many clusters, ward.",
    )
    clusters: int | None = Field(
        None, ge=1, description="Number of clusters of each block at which merging stops."
    )
    cut_similarity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Similarity of two clusters at which merging stops; not for ward.",
    )
    distance_threshold: float | None = Field(
        None,
        ge=0,
        description="The same as a Euclidean distance, sqrt(2 - 2 similarity); for ward Ward's.",
    )
    max_component: int = Field(
        20_000,
        ge=2,
        description="Different vectors that complete linkage compares all with all at most; 4 "
        "bytes a pair.",
    )
    trim_size: int = Field(
        10, ge=1, description="Clusters up to this size lose members that are hardly similar."
    )
    trim_similarity: float = Field(
        0.33, ge=-1, le=1, description="Mean similarity to the others below which one is lost."
    )

    @property
    def least_similarity(self) -> float | None:
        """The threshold as a similarity, None where the caller gave none."""
        if self.distance_threshold is not None:
            return 1 - self.distance_threshold**2 / 2
        return self.cut_similarity


class KmeansSettings(_Group):
    """Spherical k-means on smoothed vectors."""

    k: int | None = Field(
        None, ge=1, description="Clusters of each block; unset: estimated on a sample."
    )
    estimate: Literal["silhouette", "elbow"] = Field(
        "silhouette",
        description="How k is estimated: by the highest simplified silhouette, or by the knee of "
        "the inertia.",
    )
    mini_batch_above: int = Field(
        50_000, ge=0, description="With more different vectors, they are taken in mini-batches."
    )
    trim_size: int = Field(
        10, ge=1, description="Clusters up to this size lose members that are hardly similar."
    )
    trim_similarity: float = Field(
        0.33, ge=-1, le=1, description="Mean similarity to the others below which one is lost."
    )


class LabelPropagationSettings(_Group):
    """Label propagation on the neighbour graph."""

    edge_similarity: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Least similarity of an edge; unset: 0.6 for events, 0.55 for entities; for "
        "the others the one whose communities have the highest silhouette.",
    )
    neighbours: int = Field(30, ge=1, le=512, description="Strongest edges kept per item.")


class HdbscanSettings(_Group):
    """HDBSCAN (Campello, Moulavi, Sander 2013), on the cosine's Euclidean equivalent."""

    min_cluster_size: int = Field(5, ge=2, description="Smallest cluster.")
    min_samples: int = Field(
        3, ge=1, description="Neighbours, without the item itself, that its core distance spans."
    )
    cluster_selection_epsilon: float = Field(
        0.0, ge=0, le=2, description="Clusters closer than this Euclidean distance stay together."
    )
    cluster_selection_method: Literal["eom", "leaf"] = Field(
        "eom", description="Excess of mass, or the leaves of the tree."
    )
    allow_single_cluster: bool = Field(False, description="Whether everything may be one cluster.")


class TwoStageSettings(HdbscanSettings):
    """HDBSCAN inside the cells of a k-means; clusters that two cells share are joined again."""

    cell_size: int = Field(
        2000, ge=10, description="Different vectors of a cell, on average; fewer are one cell."
    )


class OutlierSettings(_Group):
    """What becomes of items that the algorithm put into no cluster."""

    policy: Literal["skip", "nearest", "individual", "target"] = Field(
        "skip",
        description="`skip`: they are noise. `nearest`: they join the nearest cluster if it is "
        "similar enough. `individual`: noise, marked to be tagged one by one. `target`: the "
        "nearest ones join until few enough are left.",
    )
    threshold: float = Field(
        0.5, ge=0, le=1, description="With `nearest`: least similarity of an item that joins."
    )
    target_share: float | None = Field(
        None, ge=0, le=1, description="With `target`: largest share of outliers that is left."
    )


class PartitionSettings(_Group):
    """How a level is cut into mapped tasks."""

    by: Literal["domain", "domain_event_type"] = Field(
        "domain",
        description="With scope `partition`: items that differ here are never linked directly.",
    )
    max_parts: int = Field(
        12, ge=1, le=1000, description="Most mapped `cluster` tasks; small parts share one."
    )
    min_part_rows: int = Field(
        2000, ge=1, description="Parts with fewer rows are put together into one task."
    )


class MergeSettings(_Group):
    """What becomes of clusters that a partition tore apart."""

    join: Literal["never", "mutual_best"] = Field(
        "never",
        description="With scope `partition`: whether clusters of different domains are joined when "
        "each is the other's most similar by centroid.",
    )
    join_similarity: float = Field(
        0.8, ge=0, le=1, description="Least cosine of two centroids that may be joined."
    )


class LabelSettings(_Group):
    """Labels, keywords and representatives."""

    keywords: int = Field(10, ge=1, le=50, description="Keywords kept per cluster.")
    representatives: int = Field(3, ge=1, le=50, description="Most central members named.")
    primary_entities: int = Field(10, ge=1, le=100, description="Most frequent entities kept.")


class MapSettings(_Group):
    """The picture of a level that the explorer shows."""

    clusters: int = Field(
        20_000,
        ge=1,
        le=100_000,
        description="Clusters that are laid out by their neighbours, the largest; each other one "
        "lies beside the most similar of these.",
    )
    members: int = Field(
        200_000, ge=0, le=2_000_000, description="Most members drawn, of large clusters more."
    )


class PublishSettings(_Group):
    """The quality gate: a run that fails it is kept and reported, not published."""

    allow_empty: bool = Field(
        False, description="Whether a run without items or clusters is published."
    )
    min_items: int = Field(0, ge=0, description="Least items read.")
    min_clusters: int = Field(0, ge=0, description="Least clusters.")
    min_coverage: float = Field(
        0.0, ge=0, le=1, description="Least share of items that are in a cluster."
    )
    max_largest_share: float = Field(
        1.0, gt=0, le=1, description="Largest share of the clustered items in one cluster."
    )
    max_drift: float | None = Field(
        None,
        ge=1,
        description="Most times the deviation from the level's own history that raises an alert "
        "(see `alerts`), of any metric but the duration; unset: drift holds no run back. Not for "
        "the command line, which knows no history.",
    )


class AlertSettings(_Group):
    """Alerts: what a run's metrics give cause to look at; they hold nothing back."""

    min_silhouette: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Least mean silhouette; unset: 0.2 for documents and storylines, 0.15 for "
        "events and entities.",
    )
    max_raw_outlier_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest share of outliers before the outlier policy; unset: 0.5 for documents "
        "and entities, 0.6 for events, 0.3 for storylines.",
    )
    min_tags_per_item: float = Field(
        2.0, ge=0, description="Least tags per item; nothing while there are no tags."
    )
    history: int = Field(
        30,
        ge=3,
        le=365,
        description="Last published runs of the level that a run is compared with.",
    )
    min_history: int = Field(
        7, ge=3, le=365, description="With fewer of them, nothing is said about drift."
    )
    deviations: float = Field(
        5.0,
        ge=1,
        description="Standard deviations from their median that are usual, estimated by their "
        "median absolute deviation.",
    )
    min_change: float = Field(
        0.3,
        ge=0,
        description="Smallest change of items, clusters, mean size and duration that matters, as a "
        "share of the median.",
    )
    min_share_change: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Smallest change of coverage, outlier share and silhouette that matters.",
    )


class RunSettings(_Group):
    """Everything a caller may choose for a run of one level."""

    algorithm: Literal[
        "auto", "agglomerative", "hdbscan", "kmeans", "label_propagation", "two_stage"
    ] = Field(
        "auto",
        description="Clustering algorithm; `auto` chooses by level, the report says why.",
    )
    scope: Literal["level", "partition"] = Field(
        "level",
        description="`level`: one clustering of the whole level. `partition`: domains are "
        "clustered apart.",
    )
    allow_partial: bool = Field(
        False,
        description="With scope `partition`: publish although a part failed; its items count as "
        "unassigned.",
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
    partition: PartitionSettings = Field(default_factory=PartitionSettings)
    merge: MergeSettings = Field(default_factory=MergeSettings)
    label: LabelSettings = Field(default_factory=LabelSettings)
    map: MapSettings = Field(default_factory=MapSettings)
    publish: PublishSettings = Field(default_factory=PublishSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)

    @model_validator(mode="after")
    def _refuse_impossible_pairs(self) -> Self:
        if problems := list(_impossible_pairs(self)):
            raise ValueError("; ".join(problems))
        return self


def _impossible_pairs(settings: RunSettings) -> Iterable[str]:
    if settings.scope == "level" and settings.allow_partial:
        yield (
            "allow_partial=true needs scope=partition: at level scope a missing part leaves no "
            "right answer. Set scope=partition or drop allow_partial"
        )
    if settings.scope == "level" and settings.merge.join != "never":
        yield (
            f"merge.join={settings.merge.join} needs scope=partition: at level scope nothing is "
            "torn apart. Set scope=partition or merge.join=never"
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

    Raises:
        SettingsError: naming every wrong value, unknown key and impossible pair at once.
    """
    merged: dict[str, Any] = {}
    for source in sources:
        _merge(merged, nested(source or {}))
    try:
        return RunSettings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Turn `{"hdbscan.min_samples": 3}` into `{"hdbscan": {"min_samples": 3}}`, at any depth."""
    result: dict[str, Any] = {}
    for dotted, value in flat.items():
        value = nested(value) if isinstance(value, Mapping) else value
        for name in reversed(str(dotted).split(".")):
            value = {name: value}
        _merge(result, value)
    return result


def assignments(pairs: Iterable[str]) -> dict[str, str]:
    """Read the command line's `a.b=c` pairs; the model turns the values into numbers.

    Raises:
        SettingsError: naming every pair without an equals sign.
    """
    pairs = list(pairs)
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise SettingsError(f"--set takes name=value, for example scope=partition; got {wrong}")
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


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "settings"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown setting; known are {_siblings(problem['loc'])}"
        elif problem["loc"]:
            message = f"{message} (got {problem['input']!r})"
        lines.append(f"{where}: {message}")
    return "settings refused:\n" + "\n".join(f"  - {line}" for line in lines)


def _siblings(location: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = RunSettings
    for name in location[:-1]:
        annotation = model.model_fields[str(name)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return ", ".join(model.model_fields)
