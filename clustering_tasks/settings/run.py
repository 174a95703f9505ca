"""Settings of a run: what a caller may choose.

One model serves the DAG's form, the REST body and `--set a.b=c` on the command line, and is stored
with every run. `run_settings` is the only way in: it names every problem at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.dotted import merge_into, nested
from clustering_tasks.settings.groups.base import Group
from clustering_tasks.settings.groups.clustering import (
    AgglomerativeSettings,
    HdbscanSettings,
    KmeansSettings,
    LabelPropagationSettings,
    OutlierSettings,
    TwoStageSettings,
)
from clustering_tasks.settings.groups.continuity import IdentitySettings, IncrementalSettings
from clustering_tasks.settings.groups.graph import (
    EvidenceSettings,
    MergeSettings,
    NeighbourSettings,
    PartsSettings,
    TemporalSettings,
)
from clustering_tasks.settings.groups.meaning import (
    LabelSettings,
    LlmSettings,
    MapSettings,
    TagSettings,
    TrendSettings,
)
from clustering_tasks.settings.groups.publication import AlertSettings, PublishSettings
from clustering_tasks.settings.groups.source import FilterSettings, InputSettings
from clustering_tasks.settings.renamed import with_current_names

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[("auto", *ALGORITHMS)]


class RunSettings(Group):
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
        merge_into(merged, current)
        problems += found
    try:
        settings = RunSettings.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(_refusal([*problems, *_explain(error)])) from None
    if problems:
        raise SettingsError(_refusal(problems))
    return settings


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
