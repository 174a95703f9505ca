"""What a run does where its caller left the choice open; pure: every step finds the same."""

from dataclasses import asdict, dataclass
from typing import Any

from clustering_tasks.levels import Level
from clustering_tasks.settings import RunSettings

# Above, the silhouette's cut and the linkage cost more than the neighbour search.
_LARGE = 100_000


@dataclass(frozen=True)
class Choice:
    """The method of a run, nothing left open.

    Attributes:
        algorithm: one of `clustering_tasks.algorithms.ALGORITHMS`.
        reason: why, for the report.
        centred: whether the mean vector is taken off. What all items of a collection share says
            nothing about which belong together.
        context_weight: share of the context in an item's vector.
        mention_weight: share of string likeness in the similarity of an edge.
        gate_similarity: similarity of two documents below which their items' is lowered.
        edge_similarity: of label propagation.
    """

    algorithm: str
    reason: str
    centred: bool
    context_weight: float
    mention_weight: float
    gate_similarity: float
    edge_similarity: float

    def record(self) -> dict[str, Any]:
        """Return the choice as JSON types, for keys and reports."""
        return asdict(self)


def choose(settings: RunSettings, level: Level, items: int) -> Choice:
    """Decide what `settings` leave open.

    Documents and storylines are about stories of any size, from pairs to hundreds: a hierarchy
    whose cut is chosen on the data. Events and entities are mentions of one thing each, in small
    groups; there evidence on edges decides (the words of the mention, the likeness of the
    documents), and communities of the graph that remains follow it best.

    Args:
        settings: the caller's.
        level: of the run.
        items: their number.
    """
    mentions = level.name in ("events", "entities")
    algorithm, reason = settings.algorithm, "asked for"
    if algorithm == "auto" and mentions:
        algorithm, reason = "label_propagation", f"{level.name} are mentions: evidence on edges"
    elif algorithm == "auto" and items <= _LARGE:
        algorithm, reason = "agglomerative", f"{level.name} form stories: the cut adapts to them"
    elif algorithm == "auto":
        algorithm, reason = "hdbscan", f"{items} items: more than {_LARGE} take too long otherwise"
    evidence = settings.evidence
    evidence = settings.evidence
    plain = algorithm == "hdbscan"
    return Choice(
        algorithm=algorithm,
        reason=reason,
        centred=algorithm == "agglomerative",
        context_weight=_or(evidence.context_weight, 0.0 if mentions or plain else 0.5),
        # an entity's mention is its name, an event's only the word that tells of it
        mention_weight=_or(
            evidence.mention_weight,
            0.0 if plain else {"events": 0.25, "entities": 0.35}.get(level.name, 0.0),
        ),
        gate_similarity=_or(evidence.gate_similarity, 0.7 if mentions and not plain else 0.0),
        edge_similarity=_or(
            settings.label_propagation.edge_similarity,
            {"events": 0.6, "entities": 0.55}.get(level.name, 0.5),
        ),
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
