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

from clustering_tasks.algorithms.interface import Block
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
from clustering_tasks.steps.merge.outlier_policy import by_vote
from clustering_tasks.steps.merge.some_edges import SomeEdges, some_edges
from clustering_tasks.workspace.artefacts import Metric, Result, Run
from clustering_tasks.workspace.vector_files import VectorFile, open_vectors

# Old nodes that show how the vote does: its agreement is known to .01 (one standard error).
_SAMPLE = 1024
_SMALLEST = 2

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
    offered, similarity = _vote(edges, graph, former.labels, seen)
    test = np.searchsorted(seen, sample)
    limit = _limit(run.settings, former.labels[sample], offered[test], similarity[test])
    repeated = np.where(similarity[test] >= limit, offered[test], NOISE) == former.labels[sample]
    at = np.searchsorted(seen, loose)
    joins = (similarity[at] >= limit) & (offered[at] >= 0)
    labels, probabilities = former.labels.copy(), former.probabilities.copy()
    labels[loose[joins]] = offered[at[joins]]
    probabilities[loose[joins]] = np.clip(similarity[at[joins]], 0, 1)
    pool = _pool(graph, former, labels)
    with open_vectors(plan.path("features")) as features:
        rest = _Rest(run.settings, method, learned)
        found, firm = rest.cluster(edges, graph, nodes, pool, features)
    found = _with_new(found, former.loose[pool])
    fresh = found >= 0
    labels[pool[fresh]] = former.counts + found[fresh]
    probabilities[pool[fresh]] = firm[fresh]
    voted = int(nodes.weight[loose[joins]].sum())
    counts: dict[str, Metric] = {
        "new_items": int(nodes.weight[former.node < 0].sum()),
        "voted": voted,
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


def _vote(edges: SomeEdges, graph: Graph, labels: I32, rows: I64) -> tuple[I32, F32]:
    """Let the neighbours of some nodes vote: the cluster, -1 for none, and the similarity."""
    ids, distances = edges.of(graph, rows)
    nothing = np.empty((0, 0), np.float32)
    block = Block(nothing, ids, distances, np.ones(len(ids), np.int32))
    voter, similarity = by_vote(block, labels, np.arange(len(rows)))
    return np.where(voter >= 0, labels[voter], NOISE).astype(np.int32), similarity


def _limit(settings: RunSettings, labels: I32, offered: I32, similarity: F32) -> float:
    """Return the similarity from which a node joins: where the vote repeats most of the sample.

    Args:
        settings: may set it.
        labels: (s,) clusters of the sample, NOISE for none.
        offered: (s,) clusters that the vote offers.
        similarity: (s,) of the node and that cluster.
    """
    if settings.incremental.vote_similarity is not None:
        return settings.incremental.vote_similarity
    asked = np.flatnonzero(offered >= 0)
    if not len(asked):
        return np.inf
    order = asked[np.argsort(-similarity[asked], kind="stable")]
    # joining at this similarity and above: what is right then less what was right before
    gain = np.cumsum((offered[order] == labels[order]).astype(int) - (labels[order] == NOISE))
    last = len(gain) - 1 - int(np.argmax(gain[::-1]))
    return float(similarity[order[last]]) if gain[last] > 0 else np.inf


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


def _with_new(found: I32, loose: Mask) -> I32:
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
