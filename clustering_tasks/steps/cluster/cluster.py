"""Step `cluster`: one part's rows of the level's neighbour graph."""

from collections.abc import Callable, Iterator

import numpy as np

from clustering_tasks.engine.cells import probe_count
from clustering_tasks.engine.gpu import Proposals, batch_rows, build_replicas, propose
from clustering_tasks.engine.neighbours import Cells, Neighbours, all_cells, measured, search_ranges
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.errors import BadInputError
from clustering_tasks.graph.cell_order import load_cells
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.graph.parts import Unit
from clustering_tasks.graph.time_ranges import read_window
from clustering_tasks.settings.run import NeighbourSettings
from clustering_tasks.steps.cluster.gpu_use import GpuUse, gpu_use
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Result,
    Run,
    artefact_key,
    part_name,
    perform,
)
from clustering_tasks.workspace.storage import read_json
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
    units = [Unit(**unit) for unit in read_json(plan.path("parts"))[part]]
    gpus = gpu_use(run)
    searches: dict[str, None] = {}
    found = []
    bounds = load_nodes(plan.path("nodes")).block_bounds()
    cells = load_cells(plan.path("cells"))
    for block in _by_block(units):
        number = block[0].block
        rows = slice(*bounds[number : number + 2].tolist())
        found += _search(run, plan, block, rows, cells.get(number), gpus, searches)
    attempt.gpus = gpus.close() or None
    k = run.settings.neighbours.k
    with attempt.new_file("graph", "graph.npz").open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            start=np.array([unit.start for unit in units], dtype=np.int64),
            stop=np.array([unit.stop for unit in units], dtype=np.int64),
            ids=np.concatenate([np.empty((0, k), np.int32), *(f.ids for f in found)]),
            distances=np.concatenate([np.empty((0, k), np.float32), *(f.distances for f in found)]),
        )
    name = plan.parts[part].name if plan.parts else None
    attempt.metrics = {
        "part": part,
        "name": name,
        "nodes": sum(u.stop - u.start for u in units),
        "plan": plan.key,
        "search": " ".join(searches) or None,
        "gpu_reason": gpus.reason,
    }


def _by_block(units: list[Unit]) -> list[list[Unit]]:
    blocks = dict.fromkeys(unit.block for unit in units)
    return [[unit for unit in units if unit.block == block] for block in blocks]


def _search(
    run: Run,
    plan: Result,
    units: list[Unit],
    rows: slice,
    cells: Cells | None,
    gpus: GpuUse,
    searches: dict[str, None],
) -> list[Neighbours]:
    """Search the units of one block; the ids returned are those of nodes.

    Args:
        run: says how.
        plan: holds the features.
        units: of the part, all of one block.
        rows: nodes of the block.
        cells: of the block, None where it is searched exactly.
        gpus: of the task.
        searches: gets the ways in which neighbours were found: `exact`, `cells`, `gpu`.
    """
    first, last = rows.start, rows.stop
    ranges = list(_joined([(unit.start - first, unit.stop - first) for unit in units]))
    k = run.settings.neighbours.k
    window = read_window(plan, run.settings.temporal, rows)
    with open_vectors(plan.path("features")) as file:
        vectors = FileRows(file, first, last)

        def on_cpu(rest: list[tuple[int, int]]) -> Neighbours:
            searches["exact" if cells is None else "cells"] = None
            return search_ranges(vectors, cells or all_cells(len(vectors)), rest, k, window)

        proposed = propose_on_gpus(vectors, ranges, run.settings.neighbours, gpus)
        if any(part.done.any() for part in proposed):
            searches["gpu"] = None
        found = complete(vectors, proposed, k, on_cpu) if proposed else [on_cpu(ranges)]
    return [_of_nodes(local, first) for local in found]


def _joined(ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join ranges that follow each other: for each one all rows are read."""
    start, stop = ranges[0]
    for first, last in ranges[1:]:
        if first != stop:
            yield start, stop
            start = first
        stop = last
    yield start, stop


def propose_on_gpus(
    vectors: Vectors, ranges: list[tuple[int, int]], settings: NeighbourSettings, gpus: GpuUse
) -> list[Proposals]:
    """Search ranges of rows on the GPUs; nothing is returned where none can be used.

    Args:
        vectors: of the block.
        ranges: start and stop of each.
        settings: k, probes and precision.
        gpus: of the task.

    Raises:
        ResourcesError: their memory does not suffice, and `neighbours.device=gpu`.
    """
    n, dimension = len(vectors), vectors[:1].shape[1]
    work = gpus.room(n, dimension) if gpus.usable else {}
    if not work:
        return []
    try:
        probes = probe_count(n, settings.probes)
        replicas = build_replicas(vectors, probes, settings.float16, work)
    except MemoryError as error:
        gpus.give_up(str(error))
        return []
    for replica in replicas:
        replica.batch = batch_rows(work[replica.device], dimension, settings.k)
    found = [propose(replicas, vectors, a, b, settings.k, gpus.read) for a, b in ranges]
    if not all(part.done.all() for part in found):
        gpus.give_up("; ".join(error for part in found for error in part.errors))
    return found


def complete(
    vectors: Vectors,
    proposed: list[Proposals],
    k: int,
    search_rest: Callable[[list[tuple[int, int]]], Neighbours],
) -> list[Neighbours]:
    """Measure what GPUs proposed, and search the rows that they did not reach.

    Args:
        vectors: of the block.
        proposed: by the GPUs.
        k: neighbours kept.
        search_rest: searches ranges of rows.
    """
    runs = [(part, *run) for part in proposed for run in part.runs()]
    missed = [(start, stop) for _, start, stop, done in runs if not done]
    rest = iter(_by_range(search_rest(missed), missed) if missed else [])
    return [
        measured(vectors, start, part.ids[start - part.start : stop - part.start], k)
        if done
        else next(rest)
        for part, start, stop, done in runs
    ]


def _by_range(found: Neighbours, ranges: list[tuple[int, int]]) -> Iterator[Neighbours]:
    at = 0
    for start, stop in ranges:
        rows = slice(at, at + stop - start)
        yield Neighbours(found.ids[rows], found.distances[rows])
        at = rows.stop


def _of_nodes(local: Neighbours, first: int) -> Neighbours:
    ids = np.where(local.ids >= 0, local.ids + np.int32(first), np.int32(-1))
    return Neighbours(ids, local.distances)
