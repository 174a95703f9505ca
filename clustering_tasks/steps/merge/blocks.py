"""The blocks of the neighbour graph, as the algorithms get them."""

from collections.abc import Iterator
from itertools import pairwise

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import Method
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.graph.neighbour_graph import Graph, of_block
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import FileRows, open_vectors


def blocks(
    snapshot: Result, plan: Result, nodes: Nodes, graph: Graph, method: Method
) -> Iterator[tuple[slice, Block | None]]:
    """Yield the nodes of each block and the block, with all evidence on its edges.

    The block is None where one of its parts is missing.
    """
    facts = node_facts(snapshot, plan, nodes, method.weights) if method.weights.any() else None
    with open_vectors(plan.path("features")) as features:
        for first, last in pairwise(nodes.block_bounds().tolist()):
            rows = slice(first, last)
            if not graph.complete[rows].all():
                yield rows, None
                continue
            ids, distances, span = of_block(graph, rows), graph.distances[rows], None
            if facts is not None:
                ids, distances = with_evidence(ids, distances, facts.part(rows), method.weights)
                span = facts.span[rows]
            vectors = FileRows(features, first, last)
            yield rows, Block(vectors, ids, distances, nodes.weight[rows], span)
