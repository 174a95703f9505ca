"""The blocks of the neighbour graph, as the algorithms get them."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import Method
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.check import CheckedEvidence, as_set, check_evidence
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.graph.neighbour_graph import Graph, of_block
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.time_ranges import read_time_ranges
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import FileRows, open_vectors


def evidence(
    snapshot: Result, plan: Result, nodes: Nodes, graph: Graph, method: Method, *, check: bool
) -> CheckedEvidence | None:
    """Read the evidence of a level, None where nothing but the vectors counts.

    Args:
        snapshot: of the level.
        plan: of the run.
        nodes: of the level.
        graph: all of it: the check is the same for any parts and blocks.
        method: says what counts.
        check: whether the graph decides how far.
    """
    weights = method.weights
    if weights.learned_decay and not _dated(plan):
        weights = weights.with_decay(None)
    if not weights.any():
        return None
    facts = node_facts(snapshot, plan, nodes, weights)
    if not check:
        return as_set(facts, weights)
    return check_evidence(graph.ids, graph.distances, facts, weights)


def _dated(plan: Result) -> bool:
    return bool(np.isfinite(read_time_ranges(plan)).any())


def blocks(
    plan: Result, nodes: Nodes, graph: Graph, known: CheckedEvidence | None
) -> Iterator[tuple[slice, Block | None]]:
    """Yield the nodes of each block and the block, with all evidence on its edges.

    The block is None where one of its parts is missing.
    """
    with open_vectors(plan.path("features")) as features:
        for first, last in pairwise(nodes.block_bounds().tolist()):
            rows = slice(first, last)
            if not graph.complete[rows].all():
                yield rows, None
                continue
            ids, distances = of_block(graph, rows), graph.distances[rows]
            span, decay_days = None, None
            if known is not None:
                facts = known.facts.part(rows)
                ids, distances = with_evidence(ids, distances, facts, known.weights)
                span, decay_days = facts.span, known.weights.decay_days
            vectors = FileRows(features, first, last)
            yield rows, Block(vectors, ids, distances, nodes.weight[rows], span, decay_days)
