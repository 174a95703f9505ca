"""The method of a run: what it does where its caller left the choice open.

`plan` resolves it once and records it with the run; `merge` reads the record.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from clustering_tasks.errors import BadInputError, SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import Level
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.settings.types import given_or
from clustering_tasks.workspace.artefacts import Run
from clustering_tasks.workspace.storage import read_json, to_json, write_atomically

_RECORD = "method.json"  # in a run's folder
# The hierarchy holds two copies of its vectors. Above, communities of the graph, which hold none,
# find nearly as good clusters (docs/ALGORITHMS.md).
LARGE = 100_000
# What evidence leaves of the similarity of two mentions of one thing. Stories have no such number:
# it is chosen on the graph.
_EDGE_SIMILARITY = {"events": 0.6, "entities": 0.55}


# Where the graph cannot be asked.
_DECAY_DAYS = 90.0


@dataclass(frozen=True)
class Weights:
    """How much each piece of evidence on edges counts; 0 or None: not at all.

    Attributes:
        mention_weight: share of the likeness of two mentions in the similarity of an edge.
        document_weight: of what the documents' likeness takes off.
        story_similarity_floor: similarity of two documents' stories below which that of their items
            is reduced.
        story_penalty_factor: the reduction is this factor x (floor - similarity of the stories).
        sentence_penalty: what two mentions in one sentence lose.
        domain_penalty: what two known, different domains lose.
        event_type_penalty: what two known, different event types lose.
        decay_days: after which similarity has fallen to 1/e.
        learned_decay: whether `decay_days` is learned from the graph, which is also what decides
            whether the dates are evidence at all.
        window_days: further apart, there is no edge.
    """

    mention_weight: float = 0.0
    document_weight: float = 0.0
    story_similarity_floor: float = 0.0
    story_penalty_factor: float = 0.0
    sentence_penalty: float = 0.0
    domain_penalty: float = 0.0
    event_type_penalty: float = 0.0
    decay_days: float | None = None
    learned_decay: bool = False
    window_days: float | None = None

    def with_decay(self, days: float | None) -> "Weights":
        """Set the decay that was learned; None: dates are no evidence."""
        return replace(self, decay_days=days, learned_decay=False)

    def any(self) -> bool:
        """Tell whether anything but the vectors counts."""
        return self != Weights(story_penalty_factor=self.story_penalty_factor)


@dataclass(frozen=True)
class Method:
    """The method of a run, nothing left open.

    Attributes:
        algorithm: one of `clustering_tasks.settings.algorithms.ALGORITHMS`.
        reason: why, for the report.
        centred: whether the mean vector is taken off. What all items of a collection share says
            nothing about which belong together.
        context_weight: share of the context in an item's vector.
        edge_similarity: of label propagation; None: chosen on the graph.
        weights: of the evidence on edges.
    """

    algorithm: str
    reason: str
    centred: bool
    context_weight: float
    edge_similarity: float | None
    weights: Weights

    def record(self) -> dict[str, Any]:
        """Return the method as JSON types, for keys and reports."""
        return asdict(self)


def resolve_method(settings: RunSettings, level: Level, items: int) -> Method:
    """Decide what `settings` leave open.

    Documents and storylines are about stories of any size, from pairs to hundreds: a hierarchy
    whose cut is chosen on the data. Events and entities are mentions of one thing each, in small
    groups; there evidence on edges decides (the words of the mention, the likeness of the
    documents), and communities of the graph that remains follow it best.

    Args:
        settings: the caller's.
        level: of the run.
        items: their number.

    Raises:
        SettingsError: a filter is set that none of the level's items can pass.
    """
    refuse_filters(settings, level)
    mentions = level.name in ("events", "entities")
    algorithm, reason = settings.algorithm, "asked for"
    if algorithm == "auto" and mentions:
        algorithm, reason = "label_propagation", f"{level.name} are mentions: evidence on edges"
    elif algorithm == "auto" and items <= LARGE:
        algorithm, reason = "agglomerative", f"{level.name} form stories: the cut adapts to them"
    elif algorithm == "auto":
        algorithm = "label_propagation"
        reason = f"{items} items, more than {LARGE}: communities need no copy of the vectors"
    traits = ALGORITHMS[algorithm]
    plain = not traits.uses_evidence
    return Method(
        algorithm=algorithm,
        reason=reason,
        centred=traits.centred == "always" or (traits.centred == "stories" and not mentions),
        context_weight=given_or(
            settings.evidence.context_weight, 0.0 if mentions or plain else 0.5
        ),
        edge_similarity=given_or(
            settings.label_propagation.edge_similarity, _EDGE_SIMILARITY.get(level.name)
        ),
        weights=_weights(settings, _PLAIN if plain else _WEIGHTS.get(level.name, _PLAIN)),
    )


def record_method(run: Run, method: Method) -> None:
    """Write the method into the run's folder, for `merge`."""
    write_atomically(run.folder / _RECORD, to_json(method.record()))


def recorded_method(run: Run) -> Method:
    """Read what `record_method` wrote.

    Raises:
        BadInputError: when the run has no method: `plan` has not been performed.
    """
    path = run.folder / _RECORD
    if not path.exists():
        raise BadInputError(
            f"run {run.job_id} has no {path}: perform (or clear) `plan` first. A run that an "
            "earlier version began is cleared from `snapshot` on"
        )
    record = read_json(path)
    return Method(**record | {"weights": Weights(**record["weights"])})


def refuse_filters(settings: RunSettings, level: Level) -> None:
    """Refuse filters that none of a level's items can pass.

    Raises:
        SettingsError: naming them, and the level's own.
    """
    lists = ("domains", "event_types", "entity_types")
    wrong = [
        f"filter.{name}"
        for name in lists
        if name not in level.filtered_by and getattr(settings.filter, name) is not None
    ]
    if wrong:
        can = ", ".join(f"filter.{name}" for name in (*level.filtered_by, "document_ids", "since"))
        raise SettingsError(
            f"settings refused: {level.name} have nothing that {' and '.join(wrong)} could match, "
            f"so none would be left. Leave it out for this level; it can be filtered by {can} and "
            "filter.until"
        )


_PLAIN = Weights()
# On ecbplus, whole, halved by topics and thinned to few documents a story, the default is inside a
# plateau of mean B-cubed F1 in each of them (docs/ALGORITHMS.md has the figures).
_WEIGHTS = {
    # an event's mention is only the word that tells of it, an entity's is its name
    "events": Weights(mention_weight=0.25, story_similarity_floor=0.85, sentence_penalty=0.1),
    "entities": Weights(mention_weight=0.35, story_similarity_floor=0.85, sentence_penalty=0.1),
}


def _weights(settings: RunSettings, default: Weights) -> Weights:
    evidence, temporal = settings.evidence, settings.temporal
    learned = temporal.decay and evidence.check and temporal.decay_days is None
    return Weights(
        mention_weight=given_or(evidence.mention_weight, default.mention_weight),
        document_weight=evidence.document_weight,
        story_similarity_floor=given_or(
            evidence.story_similarity_floor, default.story_similarity_floor
        ),
        story_penalty_factor=evidence.story_penalty_factor,
        sentence_penalty=given_or(evidence.sentence_penalty, default.sentence_penalty),
        domain_penalty=evidence.domain_penalty,
        event_type_penalty=evidence.event_type_penalty,
        decay_days=given_or(temporal.decay_days, _DECAY_DAYS)
        if temporal.decay and not learned
        else None,
        learned_decay=learned,
        window_days=temporal.window_days,
    )
