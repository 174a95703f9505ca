"""The neighbour graph of a level, put together from what the parts found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from clustering_tasks.algorithms.partition import Block
from clustering_tasks.artefacts import Result
from clustering_tasks.choice import Choice
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.facts import node_facts
from clustering_tasks.nodes import Nodes
from clustering_tasks.vectors import open_vectors


@dataclass
class Graph:
    """The neighbour graph of a level.

    Attributes:
        ids: (n, k) int32 nodes, nearest first, -1 for none.
        distances: (n, k) float32.
        complete: (n,) whether the node's part was there.
    """

    ids: npt.NDArray[np.int32]
    distances: npt.NDArray[np.float32]
    complete: npt.NDArray[np.bool_]


def read_graph(nodes: int, k: int, parts: Iterable[Result]) -> Graph:
    """Read the blocks of the graph that the parts wrote."""
    graph = Graph(
        ids=np.full((nodes, k), -1, dtype=np.int32),
        distances=np.full((nodes, k), np.inf, dtype=np.float32),
        complete=np.zeros(nodes, dtype=bool),
    )
    for result in parts:
        with result.path("graph").open("rb") as file, np.load(file, allow_pickle=False) as part:
            offset = 0
            ids, distances = part["ids"], part["distances"]
            for start, stop in zip(part["start"], part["stop"], strict=True):
                rows = slice(offset, offset + stop - start)
                graph.ids[start:stop], graph.distances[start:stop] = ids[rows], distances[rows]
                graph.complete[start:stop] = True
                offset += stop - start
    return graph


def blocks(
    snapshot: Result, plan: Result, nodes: Nodes, graph: Graph, choice: Choice
) -> Iterator[tuple[slice, Block | None]]:
    """Yield the nodes of each block and the block, with all evidence on its edges.

    The block is None where one of its parts is missing.
    """
    facts = node_facts(snapshot, plan, nodes, choice.weights) if choice.weights.any() else None
    with open_vectors(plan.path("features")) as features:
        for first, last in pairwise(nodes.block_bounds().tolist()):
            rows = slice(first, last)
            if not graph.complete[rows].all():
                yield rows, None
                continue
            ids = graph.ids[rows]
            ids = np.where(ids >= 0, ids - np.int32(first), np.int32(-1))
            distances, span = graph.distances[rows], None
            if facts is not None:
                ids, distances = with_evidence(ids, distances, facts.part(rows), choice.weights)
                span = facts.span[rows]
            yield rows, Block(features.read(first, last), ids, distances, nodes.weight[rows], span)
