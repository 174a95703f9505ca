"""Step `cluster`: one part's rows of the level's neighbour graph."""

import numpy as np
import structlog

from clustering_tasks.arrays import I64
from clustering_tasks.engine.cells import probe_count
from clustering_tasks.engine.gpu import Device, has_gpu, make_index, propose
from clustering_tasks.engine.neighbours import Cells, Neighbours, all_cells, measured, search_rows
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.errors import BadInputError
from clustering_tasks.graph.cell_order import load_cells
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.graph.time_ranges import read_window
from clustering_tasks.settings.run import NeighbourSettings
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Result,
    Run,
    artefact_key,
    part_name,
    perform,
)
from clustering_tasks.workspace.vector_files import FileRows, open_vectors

log = structlog.get_logger()


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
    device: Device = "gpu" if run.settings.neighbours.device == "auto" and has_gpu() else "cpu"
    searches: dict[str, None] = {}
    found = []
    nodes = load_nodes(plan.path("nodes"))
    bounds, block_of = nodes.block_bounds(), nodes.block[own]
    cells = load_cells(plan.path("cells"))
    for block in np.unique(block_of).tolist():
        rows = slice(*bounds[block : block + 2].tolist())
        queries = own[block_of == block]
        neighbours, how = _search(run, plan, queries, rows, cells.get(block), device)
        found.append(neighbours)
        searches[how] = None
    k = run.settings.neighbours.k
    with attempt.new_file("graph", "graph.npz").open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            nodes=own.astype(np.int32),
            ids=np.concatenate([np.empty((0, k), np.int32), *(f.ids for f in found)]),
            distances=np.concatenate([np.empty((0, k), np.float32), *(f.distances for f in found)]),
        )
    name = plan.parts[part].name if plan.parts else None
    attempt.metrics = {
        "part": part,
        "name": name,
        "nodes": len(own),
        "plan": plan.key,
        "search": " ".join(searches) or None,
    }


def _search(
    run: Run, plan: Result, queries: I64, rows: slice, cells: Cells | None, device: Device
) -> tuple[Neighbours, str]:
    """Search some nodes of one block; the ids returned are those of nodes.

    Args:
        run: says how.
        plan: holds the features.
        queries: (m,) nodes of the block, ascending.
        rows: nodes of the block.
        cells: of the block, None where it is searched exactly.
        device: where.

    Returns:
        the neighbours of the queries, and how they were found: `exact`, `cells` or `gpu`.
    """
    first, last = rows.start, rows.stop
    own = queries - first
    settings = run.settings.neighbours
    window = read_window(plan, run.settings.temporal, rows)
    with open_vectors(plan.path("features")) as file:
        vectors = FileRows(file, first, last)
        found, how = None, "gpu"
        if device == "gpu" and window is None:  # an index knows nothing of dates
            found = on_gpu(vectors, own, settings, device)
        if found is None:
            how = "exact" if cells is None else "cells"
            among = cells or all_cells(len(vectors))
            found = search_rows(vectors, among, own, settings.k, window)
    return _of_nodes(found, first), how


def on_gpu(
    vectors: Vectors, rows: I64, settings: NeighbourSettings, device: Device
) -> Neighbours | None:
    """Search some rows on a GPU; None when its memory does not suffice.

    Args:
        vectors: of the block.
        rows: (m,) the queries.
        settings: k, probes and precision.
        device: `gpu`; the tests do the same on a CPU.
    """
    try:
        index = make_index(
            vectors, probe_count(len(vectors), settings.probes), settings.float16, device
        )
        proposed = propose(index, vectors, rows, settings.k)
    except MemoryError as error:
        log.warning("GPU out of memory, the CPU takes over", error=str(error))
        return None
    return measured(vectors, rows, proposed.ids, settings.k)


def _of_nodes(local: Neighbours, first: int) -> Neighbours:
    ids = np.where(local.ids >= 0, local.ids + np.int32(first), np.int32(-1))
    return Neighbours(ids, local.distances)
