"""Settings that cannot act, because of another setting, the level or the algorithm.

`RULES` is the one table of "this setting acts only where ...". A run names each setting that its
caller has changed and that has no effect, with the reason: in the log of `check_stage3`, in the
report, in `jobs/{id}`, on the dashboard, and on the command lines. A setting with its default value
is never named: a form sends all of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.dotted import dotted
from clustering_tasks.settings.groups.meaning import LlmSettings
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.settings.types import given_or


@dataclass(frozen=True)
class Circumstances:
    """What decides, besides the settings, whether a setting acts.

    Attributes:
        level: of the run.
        algorithm: that the run uses: what `auto` takes, or what the caller named.
        items: of the level; None: not known yet.
        searches: how neighbours were found, among `exact`, `cells` and `gpu`; None: not known yet.
        database: whether the run is loaded into the database, which has the earlier runs.
        map: whether the run draws the map.
        llm: whether a language model can be asked.
    """

    level: Level
    algorithm: str
    items: int | None = None
    searches: frozenset[str] | None = None
    database: bool = True
    map: bool = True
    llm: bool = True


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        names: dotted names of settings; `group.*` is a whole group.
        where: the condition in words: the settings act only where it holds.
        acts: the condition.
        because: what the condition is about, for the reason: dotted names of settings, `level`,
            `algorithm`, `items`.
    """

    names: tuple[str, ...]
    where: str
    acts: Callable[[RunSettings, Circumstances], bool]
    because: tuple[str, ...] = ()

    def reason(self, settings: RunSettings, possible: Sequence[Circumstances]) -> str:
        """Give the reason in a sentence without its subject."""
        facts = [_fact(name, settings, possible) for name in self.because]
        return f"acts only where {self.where}" + (f"; here {', '.join(facts)}" if facts else "")


@dataclass(frozen=True)
class IdleSetting:
    """A setting of the caller's that has no effect in a run.

    Attributes:
        setting: dotted name.
        value: that the caller gave, as JSON.
        reason: why it has no effect.
    """

    setting: str
    value: Any
    reason: str

    def record(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.setting}={_shown(self.value)} has no effect: it {self.reason}"


def idle_settings(settings: RunSettings, *possible: Circumstances) -> list[IdleSetting]:
    """List the settings that differ from their default and have no effect.

    Args:
        settings: of the run.
        possible: the circumstances that are possible, at least one: a setting that acts in one of
            them is not listed.
    """
    return [
        IdleSetting(name, value, rule.reason(settings, possible))
        for name, value in changed(settings)
        for rule in _broken(name, settings, possible)[:1]
    ]


def changed(settings: RunSettings) -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value, as JSON, of each setting that has not its default value."""
    defaults = dict(dotted(RunSettings().model_dump(mode="json")))
    for name, value in dotted(settings.model_dump(mode="json")):
        if value != defaults[name]:
            yield name, value


def known_names() -> list[str]:
    """Return the dotted names of all settings."""
    return [name for name, _ in dotted(RunSettings().model_dump())]


def _broken(name: str, settings: RunSettings, possible: Sequence[Circumstances]) -> list[Rule]:
    """Return the rules of a setting that keep it from acting; none where it can act."""
    rules = list(rules_of(name))
    if any(all(rule.acts(settings, here) for rule in rules) for here in possible):
        return []
    return [rule for rule in rules if not rule.acts(settings, possible[0])]


def rules_of(name: str) -> Iterator[Rule]:
    """Yield the rules of a setting, by its dotted name."""
    group = name.rpartition(".")[0]
    for rule in RULES:
        if name in rule.names or f"{group}.*" in rule.names:
            yield rule


def _fact(name: str, settings: RunSettings, possible: Sequence[Circumstances]) -> str:
    first = possible[0]
    if name == "level":
        return f"the level is {first.level.name}"
    if name == "algorithm":
        taken = " or ".join(dict.fromkeys(here.algorithm for here in possible))
        return f"the algorithm is {taken}" + (
            " (auto takes it)" if settings.algorithm == "auto" else ""
        )
    if name == "items":
        return f"there are {first.items:,} items"
    return f"{name} is {_shown(value_of(settings, name))}"


def value_of(settings: RunSettings, name: str) -> Any:
    """Return the value of a setting by its dotted name."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _algorithm(name: str) -> Rule:
    return Rule(
        (f"{name}.*",),
        f"the algorithm is {name}",
        lambda _, here: here.algorithm == name,
        ("algorithm",),
    )


def _has_domains(here: Circumstances) -> bool:
    return here.level.parts_by == "domain"


_DOMAIN_LEVELS = " or ".join(level.name for level in LEVELS.values() if level.parts_by == "domain")
_SENTENCE_LEVELS = " or ".join(level.name for level in LEVELS.values() if level.sentence_fields)


def _of_mentions(here: Circumstances) -> bool:
    return here.level.name in ("events", "entities")


def _uses_evidence(here: Circumstances) -> bool:
    known = ALGORITHMS.get(here.algorithm)  # None: of a report by another version
    return known is None or known.uses_evidence


def compares_stories(settings: RunSettings, here: Circumstances) -> bool:
    """Tell whether the similarity of two items depends on the stories of their documents."""
    usual = _of_mentions(here) and _uses_evidence(here)
    return given_or(settings.evidence.story_similarity_floor, float(usual)) > 0


def mixes_context(settings: RunSettings, here: Circumstances) -> bool:
    """Tell whether an item's vector has a share of its context's."""
    usual = not _of_mentions(here) and _uses_evidence(here)
    return given_or(settings.evidence.context_weight, float(usual)) > 0


def has_evidence(settings: RunSettings, here: Circumstances) -> bool:
    """Tell whether anything but the vectors counts for the similarity of two items."""
    evidence, temporal = settings.evidence, settings.temporal
    usual = float(_of_mentions(here) and _uses_evidence(here))
    weights = (
        given_or(evidence.mention_weight, usual),
        given_or(evidence.sentence_penalty, usual),
        evidence.document_weight,
        evidence.domain_penalty,
        evidence.event_type_penalty,
        temporal.window_days or 0.0,
        float(temporal.decay),
    )
    return any(weights) or compares_stories(settings, here)


def _torn_apart(settings: RunSettings, here: Circumstances) -> bool:
    """Tell whether there can be two blocks of items that scope=domain keeps apart."""
    one = settings.filter.domains is not None and len(settings.filter.domains) == 1
    return _has_domains(here) and not (one and settings.parts.by == "domain")


def _cuts_alike(settings: RunSettings, here: Circumstances) -> bool:
    """Tell whether the cut is the same in all blocks; a number of clusters has another rule."""
    own = settings.agglomerative
    one = here.level.blocked_by is None or here.algorithm != "agglomerative"
    return one or own.clusters is not None or own.least_similarity is not None


def _trims(name: str) -> Rule:
    return Rule(
        (f"{name}.trim_similarity",),
        f"{name}.trim_size is above 1",
        lambda settings, _: getattr(settings, name).trim_size > 1,
        (f"{name}.trim_size",),
    )


RULES: tuple[Rule, ...] = (
    *map(_algorithm, ALGORITHMS),
    Rule(
        ("scope",), f"the level is {_DOMAIN_LEVELS}", lambda _, here: _has_domains(here), ("level",)
    ),
    Rule(
        ("scope", "merge.join"),
        "items of several domains are clustered, or parts.by is not domain",
        lambda settings, here: _torn_apart(settings, here) or not _has_domains(here),
        ("filter.domains", "parts.by"),
    ),
    Rule(
        ("parts.by",),
        "the level is events",
        lambda _, here: here.level.name == "events",
        ("level",),
    ),
    Rule(
        ("merge.join",),
        f"the level is {_DOMAIN_LEVELS}",
        lambda _, here: _has_domains(here),
        ("level",),
    ),
    Rule(
        ("merge.names",),
        "the level is entities",
        lambda _, here: here.level.name == "entities",
        ("level",),
    ),
    Rule(
        ("merge.join_similarity",),
        "merge.join is mutual_best",
        lambda settings, _: settings.merge.join == "mutual_best",
        ("merge.join",),
    ),
    Rule(
        ("merge.join_similarity",),
        f"the level is {_DOMAIN_LEVELS}",
        lambda _, here: _has_domains(here),
        ("level",),
    ),
    Rule(
        ("input.copy_wait_seconds",),
        "input.copy_attempts is above 1",
        lambda settings, _: settings.input.copy_attempts > 1,
        ("input.copy_attempts",),
    ),
    Rule(
        ("filter.keep_undated",),
        "filter.since or filter.until is set",
        lambda settings, _: (settings.filter.since or settings.filter.until) is not None,
        ("filter.since", "filter.until"),
    ),
    Rule(
        ("neighbours.probes",),
        "there are more items than neighbours.exact_rows",
        lambda settings, here: here.items is None or here.items > settings.neighbours.exact_rows,
        ("items", "neighbours.exact_rows"),
    ),
    Rule(
        ("neighbours.probes",),
        "the neighbour search runs in cells",
        lambda _, here: here.searches is None or "cells" in here.searches,
    ),
    Rule(
        ("neighbours.float16",),
        "neighbours.device is auto",
        lambda settings, _: settings.neighbours.device != "cpu",
        ("neighbours.device",),
    ),
    Rule(
        ("neighbours.float16",),
        "the neighbour search runs on a GPU",
        lambda _, here: here.searches is None or "gpu" in here.searches,
    ),
    Rule(
        ("evidence.context",),
        "evidence.context_weight, evidence.document_weight or evidence.story_similarity_floor is "
        "above 0",
        lambda settings, here: (
            mixes_context(settings, here)
            or compares_stories(settings, here)
            or settings.evidence.document_weight > 0
        ),
        ("algorithm", "level"),
    ),
    Rule(
        ("evidence.context_weight", "evidence.document_weight"),
        "evidence.context is true",
        lambda settings, _: settings.evidence.context,
        ("evidence.context",),
    ),
    Rule(
        ("evidence.story_penalty_factor",),
        "evidence.story_similarity_floor is above 0 (unset: for events and entities, with "
        "agglomerative, kmeans and label_propagation)",
        compares_stories,
        ("evidence.story_similarity_floor", "algorithm", "level"),
    ),
    Rule(
        ("evidence.sentence_penalty",),
        f"the level is {_SENTENCE_LEVELS}",
        lambda _, here: bool(here.level.sentence_fields),
        ("level",),
    ),
    Rule(
        ("evidence.check", "alerts.min_evidence_factor"),
        "a weight or a penalty of `evidence`, temporal.decay or temporal.window_days is set",
        has_evidence,
        ("algorithm", "level"),
    ),
    Rule(
        ("alerts.min_evidence_factor",),
        "evidence.check is true",
        lambda settings, _: settings.evidence.check,
        ("evidence.check",),
    ),
    Rule(
        ("temporal.decay_days",),
        "temporal.decay is true",
        lambda settings, _: settings.temporal.decay,
        ("temporal.decay",),
    ),
    Rule(
        ("temporal.on_gap",),
        "temporal.max_gap_days is set",
        lambda settings, _: settings.temporal.max_gap_days is not None,
        ("temporal.max_gap_days",),
    ),
    Rule(
        ("agglomerative.max_component",),
        "agglomerative.linkage is complete",
        lambda settings, _: settings.agglomerative.linkage == "complete",
        ("agglomerative.linkage",),
    ),
    _trims("agglomerative"),
    _trims("kmeans"),
    Rule(
        ("kmeans.estimate",),
        "kmeans.k is unset",
        lambda settings, _: settings.kmeans.k is None,
        ("kmeans.k",),
    ),
    Rule(
        ("label_propagation.neighbours",),
        "neighbours.k keeps another number of links than with the default",
        lambda settings, _: (
            min(settings.label_propagation.neighbours, settings.neighbours.k)
            != min(RunSettings().label_propagation.neighbours, settings.neighbours.k)
        ),
        ("neighbours.k",),
    ),
    # As `incremental.mode` decides: such a run clusters all anew, whatever it was asked for.
    Rule(
        ("mode", "incremental.*"),
        "scope is level",
        lambda settings, _: settings.scope == "level",
        ("scope",),
    ),
    Rule(
        ("mode", "incremental.*"),
        "the algorithm is not kmeans",
        lambda _, here: here.algorithm != "kmeans",
        ("algorithm",),
    ),
    Rule(
        ("mode", "incremental.*"),
        "agglomerative.clusters is unset",
        lambda settings, here: (
            here.algorithm != "agglomerative" or settings.agglomerative.clusters is None
        ),
        ("agglomerative.clusters",),
    ),
    Rule(
        ("mode", "incremental.*"),
        "agglomerative.cut_similarity or agglomerative.distance_threshold is set, for entities",
        _cuts_alike,
        ("level",),
    ),
    Rule(
        ("incremental.*",),
        "mode is incremental or auto",
        lambda settings, _: settings.mode != "full",
        ("mode",),
    ),
    Rule(
        tuple(f"incremental.max_{limit}" for limit in ("new_share", "quality_drop", "age_days")),
        "mode is auto",
        lambda settings, _: settings.mode == "auto",
        ("mode",),
    ),
    Rule(
        ("outliers.threshold",),
        "outliers.policy is nearest",
        lambda settings, _: settings.outliers.policy == "nearest",
        ("outliers.policy",),
    ),
    Rule(
        ("publish.allow_empty",),
        "publish.min_clusters is 0",
        lambda settings, _: settings.publish.min_clusters == 0,
        ("publish.min_clusters",),
    ),
    Rule(
        ("tags.listed",),
        "tags.sources has categories, tags or text",
        lambda settings, _: settings.tags.sources != ["domains"],
        ("tags.sources",),
    ),
    Rule(
        ("tags.outliers",),
        "tags.listed is set",
        lambda settings, _: settings.tags.listed is not None,
        ("tags.listed",),
    ),
    Rule(
        ("alerts.*", "publish.max_coverage_drop"),
        "the run is loaded into the database, as a DAG does",
        lambda _, here: here.database,
    ),
    Rule(
        ("llm.*",),
        "a DAG makes the run, in an installation with STAGE4_LLM_CONN_ID",
        lambda _, here: here.llm,
    ),
    Rule(
        ("llm.*",),
        "the level is documents, events or storylines",
        lambda _, here: here.level.name != "entities",
        ("level",),
    ),
    Rule(
        tuple(f"llm.{name}" for name in LlmSettings.model_fields if name != "labels"),
        "llm.labels is not false",
        lambda settings, _: settings.llm.labels is not False,
        ("llm.labels",),
    ),
    Rule(("map.*",), "the map is drawn: by a DAG, or with --map", lambda _, here: here.map),
)
