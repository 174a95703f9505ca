"""Step `cluster`: one part's rows of the level's neighbour graph."""

import numpy as np

from clustering_tasks.artefacts import Attempt, Result, Run, artefact_key, perform
from clustering_tasks.engine.neighbours import Neighbours, all_cells, search
from clustering_tasks.errors import BadInputError
from clustering_tasks.layout import load_cells
from clustering_tasks.nodes import load_nodes
from clustering_tasks.plan import Unit
from clustering_tasks.spans import read_window
from clustering_tasks.storage import read_json
from clustering_tasks.vectors import FileRows, open_vectors


def part_name(part: int) -> str:
    """Name a part's result within its run."""
    return f"cluster-{part}"


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
    found = [neighbours for block in _by_block(units) for neighbours in _search(run, plan, block)]
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
    }


def _by_block(units: list[Unit]) -> list[list[Unit]]:
    blocks = dict.fromkeys(unit.block for unit in units)
    return [[unit for unit in units if unit.block == block] for block in blocks]


def _search(run: Run, plan: Result, units: list[Unit]) -> list[Neighbours]:
    """Search the units of one block; the ids returned are those of nodes."""
    block = units[0].block
    bounds = load_nodes(plan.path("nodes")).block_bounds()
    first, last = int(bounds[block]), int(bounds[block + 1])
    cells = load_cells(plan.path("cells")).get(block) or all_cells(last - first)
    window = read_window(plan, run.settings.temporal, slice(first, last))
    found = []
    with open_vectors(plan.path("features")) as file:
        vectors = FileRows(file, first, last)
        for unit in units:
            start, stop = unit.start - first, unit.stop - first
            local = search(vectors, cells, start, stop, run.settings.neighbours.k, window)
            ids = np.where(local.ids >= 0, local.ids + np.int32(first), np.int32(-1))
            found.append(Neighbours(ids, local.distances))
    return found
