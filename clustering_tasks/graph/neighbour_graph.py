"""The neighbour graph of a level, put together from what the parts found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from upath import UPath

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.approximation import Recall, link_back, recall
from clustering_tasks.engine.descent import descend
from clustering_tasks.engine.neighbours import Neighbours
from clustering_tasks.graph.cell_order import load_cells
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.time_ranges import read_window
from clustering_tasks.settings.groups.graph import TemporalSettings
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import FileRows, open_vectors


@dataclass
class Graph:
    """The neighbour graph of a level.

    Attributes:
        ids: (n, k) int32 nodes, nearest first, -1 for none.
        distances: (n, k) float32.
        complete: (n,) whether the node's part was there.
    """

    ids: I32
    distances: F32
    complete: Mask


def read_graph(nodes: int, k: int, parts: Iterable[Result]) -> Graph:
    """Read the blocks of the graph that the parts wrote."""
    graph = Graph(
        ids=np.full((nodes, k), -1, dtype=np.int32),
        distances=np.full((nodes, k), np.inf, dtype=np.float32),
        complete=np.zeros(nodes, dtype=bool),
    )
    for result in parts:
        with open_arrays(result.path("graph")) as part:
            own = part["nodes"]
            graph.ids[own], graph.distances[own] = part["ids"], part["distances"]
            graph.complete[own] = True
    return graph


def last_word(merge: Result, parts: Sequence[Result]) -> Sequence[Result]:
    """Return whose rows are the graph's: the parts', or `merge`'s where it has mended them."""
    return [merge] if "graph" in merge.files else parts


def mend(graph: Graph, plan: Result, nodes: Nodes, temporal: TemporalSettings) -> list[slice]:
    """Mend what an approximate search missed, by what other rows found.

    Returns:
        the nodes of each block that was searched so, if none of its parts is missing.
    """
    approximate = list(_approximate(graph, plan, nodes))
    if approximate:
        with open_vectors(plan.path("features")) as features:
            for rows in approximate:
                vectors = FileRows(features, rows.start, rows.stop)
                linked = link_back(of_block(graph, rows), graph.distances[rows])
                window = read_window(plan, temporal, rows)
                found = descend(vectors, Neighbours(*linked), window)
                ids, distances = link_back(found.ids, found.distances)
                graph.distances[rows] = distances
                graph.ids[rows] = np.where(ids >= 0, ids + np.int32(rows.start), -1)
    return approximate


def write_rows(path: UPath, nodes: I64, ids: I32, distances: F32) -> None:
    """Write rows of a graph, which `read_graph` reads.

    Args:
        path: of the new file.
        nodes: (m,) whose rows they are.
        ids: (m, k) their neighbours.
        distances: (m, k).
    """
    with path.open("wb") as file:
        own = nodes.astype(np.int32)
        np.savez(file, allow_pickle=False, nodes=own, ids=ids, distances=distances)


def measure_recall(
    graph: Graph, plan: Result, approximate: list[slice], temporal: TemporalSettings
) -> Recall | None:
    """Measure the recall of the largest block that `mend` returned; None if there is none."""
    if not approximate:
        return None
    rows = max(approximate, key=lambda rows: rows.stop - rows.start)
    with open_vectors(plan.path("features")) as features:
        vectors = FileRows(features, rows.start, rows.stop)
        return recall(vectors, of_block(graph, rows), window=read_window(plan, temporal, rows))


def _approximate(graph: Graph, plan: Result, nodes: Nodes) -> Iterator[slice]:
    bounds = nodes.block_bounds()
    for block in load_cells(plan.path("cells")):
        rows = slice(int(bounds[block]), int(bounds[block + 1]))
        if graph.complete[rows].all():
            yield rows


def of_block(graph: Graph, rows: slice) -> I32:
    """Return the neighbours of a block's nodes by their numbers within it."""
    ids = graph.ids[rows]
    return np.where(ids >= 0, ids - np.int32(rows.start), np.int32(-1))
