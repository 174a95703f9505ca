"""Step `cluster`: one part's rows of the level's neighbour graph."""

from collections.abc import Callable

import numpy as np

from clustering_tasks.arrays import I64
from clustering_tasks.engine.cells import probe_count
from clustering_tasks.engine.gpu import Proposals, batch_rows, build_replicas, propose
from clustering_tasks.engine.neighbours import Cells, Neighbours, all_cells, measured, search_rows
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.errors import BadInputError
from clustering_tasks.graph.cell_order import load_cells
from clustering_tasks.graph.coded_cells import open_codes
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.graph.time_ranges import read_window
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.run import NeighbourSettings
from clustering_tasks.steps.cluster.former_rows import enter, former_rows
from clustering_tasks.steps.cluster.gpu_use import GpuUse, gpu_use
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Result,
    Run,
    artefact_key,
    part_name,
    perform,
)
from clustering_tasks.workspace.vector_files import FileRows, open_vectors


def cluster(run: Run, part: int) -> Result:
    """Find the neighbours of one part's nodes.

    Raises:
        BadInputError: when the plan has no such part.
    """
    plan = run.result("plan")
    if part not in range(len(plan.parts or [])):
        raise BadInputError(
            f"run {run.job_id} has {len(plan.parts or [])} parts, there is no part {part}"
        )
    read = {
        **run.settings.neighbours.model_dump(),
        "window_days": run.settings.temporal.window_days,
    }
    key = artefact_key("cluster", [plan], read, part)
    return perform(
        run, "cluster", key, lambda attempt: _cluster(run, plan, part, attempt), part_name(part)
    )


def _cluster(run: Run, plan: Result, part: int, attempt: Attempt) -> None:
    with plan.path("part_of_node").open("rb") as file:
        own = np.flatnonzero(np.load(file, allow_pickle=False) == part)
    gpus = gpu_use(run)
    searches: dict[str, None] = {}
    found = []
    nodes = load_nodes(plan.path("nodes"))
    bounds, block_of = nodes.block_bounds(), nodes.block[own]
    cells = load_cells(plan.path("cells"))
    former = former_rows(run, plan)
    if former is not None:
        own, block_of = own[former.search[own]], block_of[former.search[own]]
    for block in np.unique(block_of).tolist():
        rows = slice(*bounds[block : block + 2].tolist())
        queries = own[block_of == block]
        found.append(_search(run, plan, block, queries, rows, cells.get(block), gpus, searches))
    attempt.gpus = gpus.close() or None
    searched = len(own)
    graph = _joined(found, run.settings.neighbours.k)
    if former is not None:
        graph = enter(former, own, graph, bounds)
        own = np.arange(len(nodes.row))
    with attempt.new_file("graph", "graph.npz").open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            nodes=own.astype(np.int32),
            ids=graph.ids,
            distances=graph.distances,
        )
    name = plan.parts[part].name if plan.parts else None
    attempt.metrics = {
        "part": part,
        "name": name,
        "nodes": len(own),
        "searched": searched,
        "plan": plan.key,
        "search": " ".join(searches) or None,
        "gpu_reason": gpus.reason,
        "batch_rows": deployment().batch_rows,
    }


def _joined(found: list[Neighbours], k: int) -> Neighbours:
    return Neighbours(
        np.concatenate([np.empty((0, k), np.int32), *(f.ids for f in found)]),
        np.concatenate([np.empty((0, k), np.float32), *(f.distances for f in found)]),
    )


def _search(
    run: Run,
    plan: Result,
    block: int,
    queries: I64,
    rows: slice,
    cells: Cells | None,
    gpus: GpuUse,
    searches: dict[str, None],
) -> Neighbours:
    """Search some nodes of one block; the ids returned are those of nodes.

    Args:
        run: says how.
        plan: holds the features, and the codes of blocks of several parts.
        block: its number.
        queries: (m,) nodes of the block, ascending.
        rows: nodes of the block.
        cells: of the block, None where it is searched exactly.
        gpus: of the task.
        searches: gets the ways in which neighbours were found: `exact`, `cells`, `gpu`.
    """
    first, last = rows.start, rows.stop
    own = queries - first
    k = run.settings.neighbours.k
    window = read_window(plan, run.settings.temporal, rows)
    among = cells or all_cells(last - first)
    with (
        open_vectors(plan.path("features")) as file,
        open_codes(plan, block, among, file.shape[1]) as coded,
    ):
        vectors = FileRows(file, first, last)

        def on_cpu(rest: I64) -> Neighbours:
            searches["exact" if cells is None else "cells"] = None
            return search_rows(vectors, among, rest, k, window, coded, deployment().batch_rows)

        proposed = propose_on_gpus(vectors, own, run.settings.neighbours, gpus)
        if proposed is None:
            return _of_nodes(on_cpu(own), first)
        if proposed.done.any():
            searches["gpu"] = None
        return _of_nodes(complete(vectors, proposed, k, on_cpu), first)


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
