"""The edges of some nodes, with the evidence that an earlier run found to hold."""

from dataclasses import dataclass, replace

import numpy as np

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.evidence.pairs import NodeFacts
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.steps.merge.learned import Learned
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import PickedRows, VectorFile


@dataclass(frozen=True)
class SomeEdges:
    """Some nodes of a level, and what is known of them.

    Attributes:
        nodes: (m,) int64 numbers in the level.
        number: (n + 1,) int32 place among them of each node of the level, -1 for the others.
        facts: of them; None where nothing but the vectors counts.
        learned: how much evidence counts.
    """

    nodes: I64
    number: I32
    facts: NodeFacts | None
    learned: Learned

    def of(self, graph: Graph, rows: I64, among: I64 | None = None) -> tuple[I32, F32]:
        """Return neighbours and distances of some of the nodes, evidence included: (r, k).

        Args:
            graph: of the level.
            rows: (r,) nodes of the level; their neighbours are among the known ones.
            among: (s,) nodes that may be neighbours, `rows` the first of them; default: all known.

        Returns:
            neighbours by their places in `among`, or by their numbers in the level.
        """
        known = self.nodes if among is None else among
        known = np.concatenate([rows, np.setdiff1d(known, rows, assume_unique=True)])
        place = np.full(len(self.number), -1, dtype=np.int32)
        place[known] = np.arange(len(known), dtype=np.int32)
        ids, distances = place[graph.ids[rows]], graph.distances[rows]
        distances = np.where(ids >= 0, distances, np.float32(np.inf))
        if self.facts is not None and self.learned.weights is not None:
            facts = self.facts.part(self.number[known])
            ids, distances = with_evidence(ids, distances, facts, self.learned.weights)
        else:
            order = np.argsort(ids < 0, axis=1, kind="stable")
            ids = np.take_along_axis(ids, order, axis=1)
            distances = np.take_along_axis(distances, order, axis=1)
        if among is None:
            ids = np.where(ids >= 0, known[ids], -1).astype(np.int32)
        return ids, distances

    def block(self, graph: Graph, nodes: Nodes, rows: I64, features: VectorFile) -> Block:
        """Return some of the nodes, (r,) ascending and of one block, and the edges among them."""
        ids, distances = self.of(graph, rows, among=rows)
        span, decay_days = None, None
        if self.facts is not None and self.learned.weights is not None:
            span = self.facts.span[self.number[rows]]
            decay_days = self.learned.weights.decay_days
        vectors = PickedRows(features, rows)
        return Block(vectors, ids, distances, nodes.weight[rows], span, decay_days)


def some_edges(
    snapshot: Result, plan: Result, nodes: Nodes, wanted: I64, learned: Learned
) -> SomeEdges:
    """Read what evidence needs of some nodes.

    Args:
        snapshot: of the level.
        plan: of the run.
        nodes: of the level.
        wanted: (m,) their numbers, ascending.
        learned: what the run before has learned, in this run's numbers.
    """
    number = np.full(len(nodes.row) + 1, -1, dtype=np.int32)  # the last stands for none
    number[wanted] = np.arange(len(wanted), dtype=np.int32)
    if learned.weights is None or not learned.weights.any():
        return SomeEdges(wanted, number, None, learned)
    there = nodes.node_of_row >= 0
    part = replace(
        nodes,
        row=nodes.row[wanted],
        weight=nodes.weight[wanted],
        block=nodes.block[wanted],
        group=nodes.group[wanted],
        node_of_row=np.where(there, number[nodes.node_of_row], np.int32(-1)),
    )
    facts = node_facts(snapshot, plan, part, learned.weights)
    # dates and documents are read for all nodes of the level
    whole = replace(
        facts,
        span=facts.span[wanted],
        documents=replace(facts.documents, of_node=_some(facts.documents.of_node, wanted, nodes)),
        stories=replace(facts.stories, of_node=_some(facts.stories.of_node, wanted, nodes)),
        trust=learned.trust,
    )
    return SomeEdges(wanted, number, whole, learned)


def _some(of_node: I32, wanted: I64, nodes: Nodes) -> I32:
    return of_node[wanted] if len(of_node) == len(nodes.row) else of_node
