"""What names say of clusters of mentions, after the clustering and before ids are given.

Mentions of one entity lie apart where its stories do, and a pronoun's vector is its sentence's. So
clusters with contradicting names or numbers are cut, clusters of one name joined, and pronouns put
to what they stand for.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.background import DEVIATIONS, background
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.incremental.base import Base
from clustering_tasks.steps.merge.antecedents import antecedents
from clustering_tasks.steps.merge.appositions import nouns_of
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.entity_cuts import cut_contradictions
from clustering_tasks.steps.merge.entity_joins import (
    Named,
    grouped,
    joined,
    links,
    named_clusters,
)
from clustering_tasks.steps.merge.entity_pronouns import (
    of_one_pronoun,
    pronouns_of,
    renamed,
    to_antecedents,
)
from clustering_tasks.steps.merge.mentioned import Mentioned
from clustering_tasks.workspace.artefacts import Metric, Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.vector_files import VectorFile

REASONS = (
    *("same_name", "short_name", "acronym", "pronouns"),
    *("different_names", "different_numbers"),
    *("apposition", "one_pronoun", "antecedent"),
)
_SAMPLE = 512
_SMALLEST = 2
_FOUND = np.float32(0.5)  # the most that an outlier policy gives: no edge speaks for it


@dataclass(frozen=True)
class Reconciled:
    """Clusters as their names have them.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps; negative ones as before, and NOISE for
            nodes that a cut leaves alone.
        reason: (n,) int32 number in `REASONS` of why a node is where it is, -1 where the algorithm
            put it there.
        metrics: clusters joined or cut off, by reason; of `antecedent` the nodes.
    """

    labels: I32
    reason: I32
    metrics: dict[str, Metric]

    def probabilities(self, before: I32, probabilities: F32) -> F32:
        """Return the probabilities, (n,): 0 for what is alone now, `_FOUND` for what was alone."""
        lost, found = (before >= 0) & (self.labels < 0), (before < 0) & (self.labels >= 0)
        return np.select([lost, found], [np.float32(0), _FOUND], probabilities)


def reconcile(
    labels: I32, known: Mentioned, nodes: Nodes, vectors: VectorFile, story_floor: float
) -> Reconciled:
    """Cut and join the clusters of a level of mentions.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        known: of the nodes.
        nodes: of the level.
        vectors: of the snapshot.
        story_floor: least cosine of two stories that are one.
    """
    reason = np.full(len(labels), -1, dtype=np.int32)
    labels, left = cut_contradictions(labels, known, nodes, vectors)
    for name, gone in left.items():
        reason[gone] = REASONS.index(name)
    counts = {name: len(np.unique(labels[gone])) for name, gone in left.items()}
    labels = _without_single(labels, nodes.weight)
    named = named_clusters(labels, known)
    found = list(links(named, known, story_floor))
    group, reasons = joined(named, found, nodes, vectors, _least_similarity(nodes, vectors))
    for number, name in reasons.items():
        each = named[number]
        labels[each.members] = named[group[number]].cluster
        reason[each.members] = REASONS.index(name)
    counts |= {name: list(reasons.values()).count(name) for name in REASONS[:3]}
    labels, placed = _place_pronouns(labels, reason, grouped(named, group), known, story_floor)
    labels = _without_single(labels, nodes.weight)
    reason[labels < 0] = -1
    counts |= placed
    return Reconciled(_numbered(labels), reason, {f"reconciled.{n}": c for n, c in counts.items()})


def _least_similarity(nodes: Nodes, vectors: VectorFile) -> float:
    """Return the cosine that mentions of unrelated things do not reach; -1 where none is known."""
    chance = background(vectors.take(nodes.sampled_rows(_SAMPLE)))
    return -1.0 if chance is None else chance.beyond(DEVIATIONS)


def _place_pronouns(
    labels: I32, reason: I32, named: list[Named], known: Mentioned, story_floor: float
) -> tuple[I32, dict[str, int]]:
    """Put nouns beside a name and pronouns to it, and together what pronouns show to be one.

    Returns:
        labels, changed, as `reason` is; clusters that were moved and pronouns, by reason.
    """
    of = pronouns_of(labels, named, known)
    target = np.arange(int(labels.max(initial=-1)) + 1, dtype=np.int32)
    target[list(of)] = list(of.values())
    labels = _moved(labels, reason, "pronouns", target)
    nouns = nouns_of(labels, named, known)
    labels = _moved(labels, reason, "apposition", nouns)
    stands = antecedents(known)
    group = of_one_pronoun(labels, stands, named, known, story_floor)
    labels = _moved(labels, reason, "one_pronoun", group)
    labels, gone = to_antecedents(labels, stands, renamed(named, labels), known)
    reason[gone] = REASONS.index("antecedent")
    counts = {"pronouns": len(of), "antecedent": len(gone)}
    for name, each in (("apposition", nouns), ("one_pronoun", group)):
        counts[name] = int((each != np.arange(len(each))).sum())
    return labels, counts


def _moved(labels: I32, reason: I32, name: str, target: I32) -> I32:
    """Return labels with each cluster as its target, (c,); enters the reason where they differ."""
    after = np.where(labels >= 0, np.append(target, -1)[labels], labels).astype(np.int32)
    reason[after != labels] = REASONS.index(name)
    return after


def _without_single(labels: I32, weight: I32) -> I32:
    """Make noise of clusters of one item."""
    inside = labels >= 0
    sizes = np.bincount(labels[inside], weight[inside], minlength=int(labels.max(initial=-1)) + 1)
    return np.where(inside & (np.append(sizes, 0)[labels] < _SMALLEST), NOISE, labels)


def _numbered(labels: I32) -> I32:
    """Number clusters from 0 without gaps, in their order; negative labels stay."""
    there = np.unique(labels[labels >= 0])
    number = np.searchsorted(there, labels).astype(np.int32)
    return np.where(labels >= 0, number, labels).astype(np.int32)


def former_reasons(base: Base, plan: Result) -> I32:
    """Read why nodes are where they are in the base's clustering: (n,), -1 for new ones."""
    with plan.path("former").open("rb") as file:
        node: I32 = np.load(file, allow_pickle=False)
    words = read_columns(base.merge.path("assignments"), ["reason"])["reason"].to_pylist()
    codes = [REASONS.index(word) if word else -1 for word in words]
    of_node = np.array(codes, dtype=np.int32)[load_nodes(base.plan.path("nodes")).row]
    return np.where(node >= 0, np.append(of_node, np.int32(-1))[node], np.int32(-1))


def as_words(reason: I32) -> "pd.Series[str]":
    """Return the words of reasons, (n,), null for -1."""
    words = np.array([*REASONS, ""], dtype=object)[reason]
    return pd.Series(words, dtype="str").where(pd.Series(reason >= 0))
