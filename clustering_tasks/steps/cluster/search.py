"""The search for the neighbours of one block's nodes, on the GPUs or the CPU."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import I64
from clustering_tasks.engine.cells import probe_count
from clustering_tasks.engine.gpu import Proposals, batch_rows, build_replicas, propose
from clustering_tasks.engine.neighbours import Cells, Neighbours, all_cells, measured, search_rows
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.graph.coded_cells import open_codes
from clustering_tasks.graph.time_ranges import read_window
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.groups.graph import NeighbourSettings
from clustering_tasks.steps.cluster.gpu_use import GpuUse
from clustering_tasks.steps.cluster.kept_rows import KeptRows, joined, no_neighbours, search_blocks
from clustering_tasks.workspace.artefacts import Result, Run
from clustering_tasks.workspace.vector_files import FileRows, open_vectors


@dataclass(frozen=True)
class PartSearch:
    """How a part is searched.

    Attributes:
        run: says how.
        plan: holds the features, and the codes of blocks of several parts.
        gpus: of the task.
        kept: gets what is found.
        searches: gets the ways in which neighbours were found: `exact`, `cells`, `gpu`.
    """

    run: Run
    plan: Result
    gpus: GpuUse
    kept: KeptRows
    searches: dict[str, None]


def search_block(
    part: PartSearch, block: int, queries: I64, rows: slice, cells: Cells | None
) -> Neighbours:
    """Search some nodes of one block; the ids returned are those of nodes.

    Args:
        part: that is searched.
        block: its number.
        queries: (m,) nodes of the block, ascending.
        rows: nodes of the block.
        cells: of the block, None where it is searched exactly.
    """
    missing = part.kept.missing(queries)
    if not len(missing):
        return part.kept.completed(queries, missing, no_neighbours(part.kept.k))
    found = _search_missing(part, block, missing, rows, cells)
    return part.kept.completed(queries, missing, found)


def _search_missing(
    part: PartSearch, block: int, queries: I64, rows: slice, cells: Cells | None
) -> Neighbours:
    """Search nodes that no earlier try has searched; see `search_block`."""
    first, last = rows.start, rows.stop
    settings = part.run.settings.neighbours
    window = read_window(part.plan, part.run.settings.temporal, rows)
    among = cells or all_cells(last - first)
    with (
        open_vectors(part.plan.path("features")) as file,
        open_codes(part.plan, block, among, file.shape[1]) as coded,
    ):
        vectors = FileRows(file, first, last)

        def search(some: I64) -> Neighbours:
            most = deployment().batch_rows
            return search_rows(vectors, among, some, settings.k, window, coded, most)

        def on_cpu(rest: I64) -> Neighbours:
            way = "exact" if cells is None else "cells"
            part.searches[way] = None
            blocks = []
            for some, found in search_blocks(rest, among, file.shape[1], search):
                part.kept.add(some + first, _of_nodes(found, first), way)
                blocks.append(found)
            return joined(blocks, settings.k)

        local = queries - first
        proposed = propose_on_gpus(vectors, local, settings, part.gpus)
        if proposed is None:
            return _of_nodes(on_cpu(local), first)
        if proposed.done.any():
            part.searches["gpu"] = None
        found = _of_nodes(complete(vectors, proposed, settings.k, on_cpu), first)
    if proposed.done.all():
        part.kept.add(queries, found, "gpu")
    return found


def propose_on_gpus(
    vectors: Vectors, rows: I64, settings: NeighbourSettings, gpus: GpuUse
) -> Proposals | None:
    """Search some rows on the GPUs; None where none can be used.

    Args:
        vectors: of the block.
        rows: (m,) the queries.
        settings: k, probes and precision.
        gpus: of the task.

    Raises:
        ResourcesError: their memory does not suffice, and `neighbours.device=gpu`.
    """
    n, dimension = len(vectors), vectors[:1].shape[1]
    work = gpus.room(n, dimension) if gpus.usable else {}
    if not work:
        return None
    try:
        probes = probe_count(n, settings.probes)
        replicas = build_replicas(vectors, probes, settings.float16, work)
    except MemoryError as error:
        gpus.give_up(str(error))
        return None
    for replica in replicas:
        replica.batch = batch_rows(work[replica.device], dimension, settings.k)
    found = propose(replicas, vectors, rows, settings.k, gpus.read)
    if not found.done.all():
        gpus.give_up("; ".join(found.errors))
    return found


def complete(
    vectors: Vectors, proposed: Proposals, k: int, search_rest: Callable[[I64], Neighbours]
) -> Neighbours:
    """Measure what GPUs proposed, and search the rows that they did not reach.

    Args:
        vectors: of the block.
        proposed: by the GPUs.
        k: neighbours kept.
        search_rest: searches rows.
    """
    done, rows = proposed.done, proposed.rows
    found = measured(vectors, rows[done], proposed.ids[done], k)
    if done.all():
        return found
    rest = search_rest(rows[~done])
    both = Neighbours(np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32))
    for of, part in ((done, found), (~done, rest)):
        both.ids[of], both.distances[of] = part.ids, part.distances
    return both


def _of_nodes(local: Neighbours, first: int) -> Neighbours:
    ids = np.where(local.ids >= 0, local.ids + np.int32(first), np.int32(-1))
    return Neighbours(ids, local.distances)
