"""A clustering that goes on from the one before: old memberships stay, new nodes find theirs.

A new node joins the cluster that its nearest neighbours vote for, if it is similar enough to it.
Those that join none are clustered with the earlier noise around them by the run's algorithm, with
the cut that the last full run chose. A cluster with fewer than two items left ends; its member
counts as new.

How similar is enough, and how often the vote is right, shows a sample of the old nodes: each is
assigned by the vote as if it were new.
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
from clustering_tasks.graph.features import load_documents
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.incremental.base import Base
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.learned import Learned, load_learned
from clustering_tasks.steps.merge.some_edges import SomeEdges, some_edges
from clustering_tasks.steps.merge.votes import (
    Ballot,
    ballot,
    join_limit,
    join_one_by_one,
    join_together,
)
from clustering_tasks.workspace.artefacts import Metric, Result, Run
from clustering_tasks.workspace.vector_files import VectorFile, open_vectors

# Old nodes that show how the vote does: its agreement is known to .01 (one standard error).
_SAMPLE = 1024
_SMALLEST = 2

import os

LAB = os.environ.get("LAB", "D")
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
class _Former:
    """The base's clustering, by this run's nodes.

    Attributes:
        labels: (n,) int32 of its core, NOISE for new nodes and for those of ended clusters.
        probabilities: (n,) float32.
        outlier_scores: (n,) float32.
        loose: (n,) nodes that look for a cluster: new ones, and those whose cluster has ended.
        ended: how many clusters have.
        counts: how many there were.
        node: (n,) int32 the base's node, -1 for new ones.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    loose: Mask
    ended: int
    counts: int
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
    labels, probabilities = former.labels.copy(), former.probabilities.copy()
    of_loose = votes.of(loose)
    joined, likeness = join_one_by_one(of_loose, labels, limit)
    probabilities[loose] = np.where(joined >= 0, likeness, probabilities[loose])
    pool = _pool(graph, former, labels)
    anchors = np.empty(0, np.int64)
    if LAB == "D":
        anchors = _anchors(of_loose, labels, pool)
        pool = np.union1d(pool, anchors)
    with open_vectors(plan.path("features")) as features:
        rest = _Rest(run.settings, method, learned)
        found, firm = rest.cluster(edges, graph, nodes, pool, features)
    found = with_new(found, former.loose[pool] & (labels[pool] < 0))
    late = _late(of_loose, nodes, former, labels, pool, found, limit, anchors)
    probabilities[late.rows] = late.likeness
    labels[late.rows] = late.labels
    found = np.where(late.left[pool], found, NOISE).astype(np.int32)
    found = without_gaps(found)
    fresh = found >= 0
    labels[pool[fresh]] = former.counts + found[fresh]
    probabilities[pool[fresh]] = firm[fresh]
    in_old = loose[(labels[loose] >= 0) & (labels[loose] < former.counts)]
    counts: dict[str, Metric] = {
        "new_items": int(nodes.weight[former.node < 0].sum()),
        "voted": int(nodes.weight[in_old].sum()),
        "new_since_full": int(base.merge.metrics["new_since_full"] or 0)
        + int(nodes.weight[former.loose].sum()),
        "clustered_anew": int(nodes.weight[pool].sum()),
        "new_clusters": int(found.max(initial=-1)) + 1,
        "ended_clusters": former.ended,
        "changed_memberships": _changed(former, labels, nodes),
        "vote_similarity": None if np.isinf(limit) else float(limit),
        **_agreement(repeated),
    }
    log.info("clustering continued", **counts)
    return Grown(without_gaps(labels), probabilities, former.outlier_scores, learned, counts)


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
        counts=count,
        node=node,
    )


def _learned(base: Base, plan: Result, node: I32) -> Learned:
    known = load_learned(base.merge.path("learned"))
    if known.trust is None or "story_vectors" not in plan.files:
        return known
    stories = load_documents(plan.path("story_vectors"))
    return known.trusting(node, stories.of_node, len(stories.vectors))


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


@dataclass(frozen=True)
class _Late:
    """Nodes that join old clusters after the pool has been clustered.

    Attributes:
        rows: (m,) the nodes.
        labels: (m,) the clusters.
        likeness: (m,) to them.
        left: (n,) nodes that may be in new clusters.
    """

    rows: I64
    labels: I32
    likeness: F32
    left: Mask


def _late(
    votes: Ballot,
    nodes: Nodes,
    former: _Former,
    labels: I32,
    pool: I64,
    found: I32,
    limit: float,
    anchors: I64,
) -> _Late:
    """Let clusters of the pool join old ones together, and single nodes alone."""
    open_ = former.loose[pool] & (labels[pool] < 0)
    rows = pool[open_]
    group = found[open_]
    offered, similarity = votes.of(rows).count(labels)
    grouped = group >= 0
    heirs = join_together(
        group[grouped], nodes.weight[rows[grouped]], offered[grouped], similarity[grouped], limit
    )
    if LAB == "D":
        held = np.isin(pool, anchors) & (found >= 0)
        heirs = join_together(
            found[held], nodes.weight[pool[held]], labels[pool[held]], np.ones(int(held.sum())), 0.0
        )
        heirs = np.append(
            heirs, np.full(int(found.max(initial=-1)) + 1 - len(heirs), NOISE)
        ).astype(np.int32)
    if LAB == "A":
        heirs = np.full(int(found.max(initial=-1)) + 1, NOISE, np.int32)
    alone = np.where(similarity >= limit, offered, NOISE)
    joins = np.where(grouped, np.append(heirs, NOISE)[group], alone)
    left = np.ones(len(labels), dtype=bool)
    left[pool[(found >= 0) & (np.append(heirs, NOISE)[found] >= 0)]] = False
    now = joins >= 0
    return _Late(rows[now], joins[now].astype(np.int32), np.clip(similarity[now], 0, 1), left)


def _anchors(loose: Ballot, labels: I32, pool: I64) -> I64:
    """Return members of old clusters that vote on the pool's loose nodes."""
    pending = loose.of(np.intersect1d(loose.rows, pool))
    ids = np.where(
        (pending.block.ids >= 0) & (labels[pending.block.ids] >= 0), pending.block.ids, -1
    )
    order = np.argsort(ids < 0, axis=1, kind="stable")[:, :5]
    found = np.unique(np.take_along_axis(ids, order, 1))
    return found[found >= 0].astype(np.int64)


def _pool(graph: Graph, former: _Former, labels: I32) -> I64:
    """Return the nodes to be clustered: loose ones that joined nothing, and noise beside them."""
    left = np.flatnonzero(former.loose & (labels < 0))
    beside = np.unique(graph.ids[left])
    beside = beside[beside >= 0]
    beside = beside[labels[beside] < 0]
    return np.union1d(left, beside).astype(np.int64)


@dataclass(frozen=True)
class _Rest:
    """What joined nothing, and how it is clustered."""

    settings: RunSettings
    method: Method
    learned: Learned

    def cluster(
        self, edges: SomeEdges, graph: Graph, nodes: Nodes, pool: I64, features: VectorFile
    ) -> tuple[I32, F32]:
        """Cluster a pool of nodes: (p,) clusters from 0, NOISE for none, and probabilities."""
        labels = np.full(len(pool), NOISE, dtype=np.int32)
        firm, count = np.zeros(len(pool), dtype=np.float32), 0
        traits = ALGORITHMS[self.method.algorithm]
        settings, method = self._as_before()
        apart = np.where(self._accompanied(graph, nodes, pool), nodes.block[pool], NOISE)
        for block in np.unique(apart[apart >= 0]):
            here = np.flatnonzero(apart == block)
            if len(here) < _SMALLEST:
                continue
            part = edges.block(graph, nodes, pool[here], features)
            found = traits.load()(part, settings, method)
            labels[here] = np.where(found.labels >= 0, found.labels + count, NOISE)
            firm[here] = found.probabilities
            count = int(labels.max(initial=-1)) + 1
        return labels, firm

    def _as_before(self) -> tuple[RunSettings, Method]:
        """Keep what the last full run chose: on a few nodes it would be something else."""
        traits, facts = ALGORITHMS[self.method.algorithm], self.learned.facts
        group = getattr(self.settings, traits.name)
        kept = group.model_copy(update={name: facts.get(name) for name in traits.keeps})
        settings = self.settings.model_copy(update={traits.name: kept})
        edge = facts.get("edge_similarity")
        least = float(edge) if isinstance(edge, float | int) else self.method.edge_similarity
        return settings, replace(self.method, edge_similarity=least)

    def _accompanied(self, graph: Graph, nodes: Nodes, pool: I64) -> Mask:
        """Tell which nodes some other resembles more than chance has it."""
        floor = self.learned.facts.get("lone_similarity")
        if not isinstance(floor, float):
            return np.ones(len(pool), dtype=bool)
        nearest = 1 - np.square(graph.distances[pool, 0]) / 2
        return np.asarray((nearest >= floor) | (nodes.weight[pool] > 1))


def with_new(found: I32, loose: Mask) -> I32:
    """Keep the clusters that have a loose node, numbered without gaps: old noise forms none."""
    kept = np.isin(found, found[loose & (found >= 0)])
    return without_gaps(np.where(kept, found, NOISE).astype(np.int32))


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


def without_gaps(labels: I32) -> I32:
    """Number clusters from 0 without gaps, in their order; NOISE stays."""
    result = np.full(len(labels), NOISE, dtype=np.int32)
    there = labels >= 0
    result[there] = np.unique(labels[there], return_inverse=True)[1]
    return result
