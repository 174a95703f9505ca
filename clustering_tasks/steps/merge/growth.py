"""A clustering that goes on from the one before: old memberships stay, new nodes find theirs.

A new node joins the cluster that its nearest neighbours vote for, if it is similar enough to it.
Those that join none are clustered with what is around them by the run's algorithm, with the cut
that the last full run chose. A cluster with fewer than two items left ends; its member counts as
new.

How similar is enough, and how often the vote is right, shows a sample of the old nodes: each is
assigned by the vote as if it were new.

A small level is clustered anew instead, and what is around the new nodes taken over
(`clustering_tasks.steps.merge.adoption`): there a few items move the cut of the whole.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import structlog

from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.rows import evenly_spaced
from clustering_tasks.evidence.check import CheckedEvidence
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.incremental.base import Base
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.merge.adoption import adopt
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.learned import Learned, load_learned
from clustering_tasks.steps.merge.leftover import (
    AsBefore,
    heirs,
    leftover,
    placed,
    without_gaps,
)
from clustering_tasks.steps.merge.some_edges import some_edges
from clustering_tasks.steps.merge.votes import (
    Ballot,
    ballot,
    join_limit,
    join_one_by_one,
)
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Metric, Result, Run
from clustering_tasks.workspace.vector_files import open_vectors

# Old nodes that show how the vote does: its agreement is known to .01 (one standard error).
_SAMPLE = 1024
_SMALLEST = 2
# Share of the old items that may leave their clusters where a level is clustered anew. Readers know
# the clusters; without this bound 1.3 % left at most in a batch of wikinews, 1.9 % in a full run.
_MOST_MOVED = 0.01

log = structlog.get_logger()


@dataclass(frozen=True)
class Grown:
    """A clustering of all nodes, and what became of the base's.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps, NOISE for none.
        probabilities: (n,) float32.
        outlier_scores: (n,) float32, NaN where there is none.
        learned: what the next run may go on with.
        metrics: of the report.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    learned: Learned
    metrics: dict[str, Metric]


@dataclass(frozen=True)
class Anew:
    """A level clustered anew.

    Attributes:
        labels: (n,) int32 clusters, negative for none.
        probabilities: (n,) float32.
        outlier_scores: (n,) float32, NaN where there are none.
        learned: what the next run may go on with.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    learned: Learned


@dataclass(frozen=True)
class _Former:
    """The base's clustering, by this run's nodes.

    Attributes:
        labels: (n,) int32 of its core, NOISE for new nodes and for those of ended clusters.
        probabilities: (n,) float32.
        outlier_scores: (n,) float32.
        loose: (n,) nodes that look for a cluster: new ones, and those whose cluster has ended.
        ended: how many clusters have.
        count: how many there were.
        node: (n,) int32 the base's node, -1 for new ones.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    loose: Mask
    ended: int
    count: int
    node: I32


def grow(
    run: Run,
    method: Method,
    base: Base,
    snapshot: Result,
    plan: Result,
    nodes: Nodes,
    graph: Graph,
) -> Grown:
    """Go on from the base's clustering.

    Args:
        run: that does.
        method: of it.
        base: of it.
        snapshot: of the level.
        plan: of the run.
        nodes: of the level.
        graph: of the level.
    """
    former = _former(base, plan, nodes)
    learned = _learned(base, plan, former.node)
    loose, sample = np.flatnonzero(former.loose), _sample(former)
    seen = np.union1d(loose, sample)
    around = np.union1d(seen, graph.ids[seen][graph.ids[seen] >= 0]).astype(np.int64)
    edges = some_edges(snapshot, plan, nodes, around, learned)
    votes = ballot(seen, *edges.of(graph, seen))
    limit, repeated = _tested(run.settings, votes.of(sample), former.labels)
    labels, of_loose = former.labels.copy(), votes.of(loose)
    join_one_by_one(of_loose, labels, limit)
    rest = leftover(graph, of_loose, labels)
    with open_vectors(plan.path("features")) as features:
        as_before = AsBefore(run.settings, method, learned)
        group, firm = as_before.cluster(rest, edges, graph, nodes, features)
    labels[rest.rows] = placed(rest, group, nodes.weight[rest.rows], former.count)
    _join_alone(of_loose, labels, limit)
    probabilities = former.probabilities.copy()
    joined = loose[labels[loose] >= 0]
    probabilities[joined] = np.clip(of_loose.of(joined).nearest_fellow(labels), 0, 1)
    fresh = (labels[rest.rows] >= former.count) & (group >= 0)
    probabilities[rest.rows[fresh]] = firm[fresh]
    counts = _counts(base, former, labels, nodes) | {
        "clustered_anew": int(nodes.weight[rest.rows[rest.cluster < 0]].sum()),
        "vote_similarity": None if np.isinf(limit) else float(limit),
        **_agreement(repeated),
    }
    log.info("clustering continued", **counts)
    return Grown(without_gaps(labels), probabilities, former.outlier_scores, learned, counts)


def renew(base: Base, plan: Result, nodes: Nodes, anew: Anew) -> Grown:
    """Go on from the base's clustering with what the level clustered anew has around new nodes.

    Args:
        base: of the run.
        plan: of the run.
        nodes: of the level.
        anew: the level clustered anew.
    """
    former = _former(base, plan, nodes)
    most = int(_MOST_MOVED * nodes.weight[former.node >= 0].sum())
    found = adopt(former.labels, anew.labels, former.loose, nodes.weight, former.count, most)
    fresh = found.taken | former.loose
    counts = _counts(base, former, found.labels, nodes) | {
        "clustered_anew": int(nodes.weight.sum()),
        "vote_similarity": None,
        "vote_agreement": None,
        "vote_agreement_error": None,
        "elsewhere_anew": _elsewhere(found.labels, anew.labels, nodes.weight),
    }
    log.info("clustering continued", **counts)
    return Grown(
        labels=without_gaps(found.labels),
        probabilities=np.where(
            found.labels < 0, 0, np.where(fresh, anew.probabilities, former.probabilities)
        ).astype(np.float32),
        outlier_scores=np.where(fresh, anew.outlier_scores, former.outlier_scores),
        learned=anew.learned,
        metrics=counts,
    )


def _counts(base: Base, former: _Former, labels: I32, nodes: Nodes) -> dict[str, Metric]:
    goes_on = np.unique(labels[labels >= 0])
    kept = int((goes_on < former.count).sum())
    voted = former.loose & (labels >= 0) & (labels < former.count)
    return {
        "new_items": int(nodes.weight[former.node < 0].sum()),
        "voted": int(nodes.weight[voted].sum()),
        "new_since_full": int(base.merge.metrics["new_since_full"] or 0)
        + int(nodes.weight[former.loose].sum()),
        "new_clusters": len(goes_on) - kept,
        "ended_clusters": former.count - kept,
        "changed_memberships": _changed(former, labels, nodes),
    }


def _elsewhere(labels: I32, anew: I32, weight: I32) -> float:
    """Share of the items that are in no cluster that goes with theirs of the level anew.

    A cluster goes with the one anew that has most of its items.
    """
    heir = np.append(heirs(labels, anew, weight), NOISE)[labels]
    differs = np.where(labels >= 0, heir != anew, anew >= 0)
    return float(weight[differs].sum() / max(int(weight.sum()), 1))


def _former(base: Base, plan: Result, nodes: Nodes) -> _Former:
    with plan.path("former").open("rb") as file:
        node: I32 = np.load(file, allow_pickle=False)
    before = load_nodes(base.plan.path("nodes"))
    columns = ["cluster", "assignment", "probability", "outlier_score"]
    with base.merge.path("assignments").open("rb") as file:
        assigned = pd.read_parquet(file, columns=columns).iloc[before.row]
    in_core = (assigned["assignment"] == "core").to_numpy(bool, na_value=False)
    core = np.where(in_core, assigned["cluster"].fillna(NOISE).to_numpy(np.int32), NOISE)
    old = node >= 0
    labels = np.where(old, np.append(core, NOISE)[node], NOISE).astype(np.int32)
    count = int(core.max(initial=-1)) + 1
    clustered = labels >= 0
    sizes = np.bincount(labels[clustered], nodes.weight[clustered], minlength=count)
    over = np.append(sizes < _SMALLEST, False)  # the last stands for noise
    probability, score = (
        np.where(old, np.append(assigned[name].to_numpy(np.float32), np.nan)[node], missing)
        for name, missing in (("probability", 0.0), ("outlier_score", np.nan))
    )
    ended = over[labels]
    return _Former(
        labels=np.where(ended, NOISE, labels).astype(np.int32),
        probabilities=np.where(ended | (labels < 0), 0, probability).astype(np.float32),
        outlier_scores=score.astype(np.float32),
        loose=~old | ended,
        ended=int(over.sum()),
        count=count,
        node=node,
    )


def _learned(base: Base, plan: Result, node: I32) -> Learned:
    known = load_learned(base.merge.path("learned"))
    if known.trust is None or "story_vectors" not in plan.files:
        return known
    with open_arrays(plan.path("story_vectors")) as stories:  # not the vectors themselves
        return known.trusting(node, stories["of_node"], len(stories["digests"]))


def _sample(former: _Former) -> I64:
    """Draw evenly spaced ones of the old nodes, ascending."""
    old = np.flatnonzero(~former.loose)
    return old[evenly_spaced(len(old), _SAMPLE)] if len(old) else old


def _tested(settings: RunSettings, sample: Ballot, labels: I32) -> tuple[float, Mask]:
    """Return the similarity from which nodes join, and where the vote repeats the sample."""
    own = labels[sample.rows]
    offered, similarity = sample.count(labels)
    limit = join_limit(settings.incremental, own, offered, similarity)
    return limit, np.where(similarity >= limit, offered, NOISE) == own


def _join_alone(loose: Ballot, labels: I32, limit: float) -> None:
    """Let nodes that are in no cluster yet join what their neighbours vote for."""
    left = loose.rows[labels[loose.rows] < 0]
    offered, similarity = loose.of(left).count(labels)
    labels[left] = np.where(similarity >= limit, offered, NOISE)


def _changed(former: _Former, labels: I32, nodes: Nodes) -> int:
    """Count the old items that are elsewhere than they were."""
    moved = (former.node >= 0) & (former.loose | (labels != former.labels))
    return int(nodes.weight[moved].sum())


def _agreement(repeated: Mask) -> dict[str, Metric]:
    """Return the share of the sample that the vote put where it was, and its standard error."""
    if not len(repeated):
        return {"vote_agreement": None, "vote_agreement_error": None}
    share = float(repeated.mean())
    error = float(np.sqrt(share * (1 - share) / len(repeated)))
    return {"vote_agreement": share, "vote_agreement_error": error}


def known_evidence(
    snapshot: Result, plan: Result, nodes: Nodes, learned: Learned
) -> CheckedEvidence | None:
    """Read the evidence of all nodes, as far as the base found that it holds."""
    if learned.weights is None:
        return None
    facts = node_facts(snapshot, plan, nodes, learned.weights)
    return CheckedEvidence(replace(facts, trust=learned.trust), learned.weights, {})
