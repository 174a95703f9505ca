"""Rows of the neighbour graph that a run takes over from its base, and what new rows offer them."""

import numpy as np

from clustering_tasks.arrays import I64
from clustering_tasks.engine.approximation import link_changed
from clustering_tasks.engine.neighbours import Neighbours
from clustering_tasks.graph.neighbour_graph import last_word, read_graph
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.graph.reuse import ReusedRows, reused_rows
from clustering_tasks.incremental.base import load_base
from clustering_tasks.workspace.artefacts import Result, Run


def former_rows(run: Run, plan: Result) -> ReusedRows | None:
    """Read the rows of what has not changed since the base; None where the run has none.

    Raises:
        BadInputError: when an artefact of the base is gone.
    """
    base = load_base(run, plan)
    if base is None:
        return None
    with plan.path("former").open("rb") as file:
        former = np.load(file, allow_pickle=False)
    nodes = len(load_nodes(base.plan.path("nodes")).row)
    found = last_word(base.merge, base.parts)
    return reused_rows(read_graph(nodes, run.settings.neighbours.k, found), former)


def enter(rows: ReusedRows, searched: I64, found: Neighbours) -> Neighbours:
    """Put the found rows beside those taken over, and offer each edge to its other end.

    An old row so gets what is new and has it among its nearest.

    Args:
        rows: taken over.
        searched: (m,) nodes that were searched.
        found: their neighbours.
    """
    graph = rows.graph
    graph.ids[searched], graph.distances[searched] = found.ids, found.distances
    link_changed(graph.ids, graph.distances, rows.search, rows.short)
    return Neighbours(graph.ids, graph.distances)
