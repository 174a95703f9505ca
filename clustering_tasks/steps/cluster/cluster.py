"""Step `cluster`: one part's rows of the level's neighbour graph."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.graph.cell_order import load_cells
from clustering_tasks.graph.neighbour_graph import write_rows
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.steps.cluster.former_rows import enter, former_rows
from clustering_tasks.steps.cluster.gpu_use import gpu_use
from clustering_tasks.steps.cluster.kept_rows import joined, read_kept
from clustering_tasks.steps.cluster.search import PartSearch, search_block
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Result,
    Run,
    artefact_key,
    part_name,
    perform,
)
from clustering_tasks.workspace.checkpoints import (
    Checkpoint,
    checkpoint_folder,
    kept,
    remove_checkpoint,
)


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
    folder = checkpoint_folder(run.folder, part_name(part))

    def work(attempt: Attempt) -> None:
        with _open_checkpoint(folder, key) as checkpoint:
            _cluster(run, plan, part, attempt, checkpoint)

    result = perform(run, "cluster", key, work, part_name(part))
    remove_checkpoint(folder)
    return result


@contextmanager
def _open_checkpoint(folder: UPath, key: str) -> Iterator[Checkpoint | None]:
    """Open the checkpoint of a part; None where the installation wants none."""
    seconds = deployment().checkpoint_seconds
    if not seconds:
        yield None
        return
    with kept(Checkpoint(folder, key, seconds / 2)) as checkpoint:
        yield checkpoint


def _cluster(
    run: Run, plan: Result, part: int, attempt: Attempt, checkpoint: Checkpoint | None
) -> None:
    with plan.path("part_of_node").open("rb") as file:
        own = np.flatnonzero(np.load(file, allow_pickle=False) == part)
    gpus = gpu_use(run)
    found = []
    nodes = load_nodes(plan.path("nodes"))
    bounds, block_of = nodes.block_bounds(), nodes.block[own]
    cells = load_cells(plan.path("cells"))
    former = former_rows(run, plan)
    if former is not None:
        own, block_of = own[former.search[own]], block_of[former.search[own]]
    kept_rows = read_kept(checkpoint, own, len(nodes.row), run.settings.neighbours.k)
    search = PartSearch(run, plan, gpus, kept_rows, dict.fromkeys(kept_rows.searches))
    for block in np.unique(block_of).tolist():
        rows = slice(*bounds[block : block + 2].tolist())
        queries = own[block_of == block]
        found.append(search_block(search, block, queries, rows, cells.get(block)))
    attempt.gpus = gpus.close() or None
    searched = len(own)
    graph = joined(found, run.settings.neighbours.k)
    if former is not None:
        graph = enter(former, own, graph)
        own = np.arange(len(nodes.row))
    write_rows(attempt.new_file("graph", "graph.npz"), own, graph.ids, graph.distances)
    name = plan.parts[part].name if plan.parts else None
    attempt.metrics = {
        "part": part,
        "name": name,
        "nodes": len(own),
        "searched": searched,
        "nodes_from_checkpoint": len(kept_rows.nodes),
        "blocks_from_checkpoint": kept_rows.blocks,
        "plan": plan.key,
        "search": " ".join(search.searches) or None,
        "gpu_reason": gpus.reason,
        "batch_rows": deployment().batch_rows,
    }
