"""Where each node's row lies in the file of features: rows of one cell of the search together.

A block up to `neighbours.exact_rows` nodes is searched exactly and keeps its order. A larger one is
cut into cells, and every node gets the cells that it is compared with.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.cells import (
    bounds_of,
    cell_count,
    nearest_of_some,
    probe_count,
    sample_step,
    train_cells,
)
from clustering_tasks.engine.neighbours import Cells
from clustering_tasks.graph.features import Features
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.groups.graph import NeighbourSettings
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.vector_files import VectorFile, new_vectors


@dataclass(frozen=True)
class CellOrder:
    """Nodes in the order of the file of features, their features, and the large blocks' cells.

    Attributes:
        nodes: in this order.
        features: of them.
        cells: of the large blocks.
        centres: (c, d) of their cells.
        order: (m,) former number of each node; None: as they were.
    """

    nodes: Nodes
    features: Features
    cells: Mapping[int, Cells]
    centres: Mapping[int, F32] = field(default_factory=dict)
    order: I64 | None = None


@dataclass(frozen=True)
class KnownCells:
    """Cells of a former graph, which nodes that have not changed keep.

    Attributes:
        centres: (c, d) by block.
        probes: (b, p) int16 cells of each former node, by block; row i is that of the block's i-th.
        row: (m,) int32 row in its block's probes of each node, -1 for new ones.
        small: blocks that had no cells.
    """

    centres: Mapping[int, F32]
    probes: Mapping[int, npt.NDArray[np.int16]]
    row: I32
    small: frozenset[int]


def order_by_cell(
    features: Features, nodes: Nodes, settings: NeighbourSettings, known: KnownCells | None = None
) -> CellOrder:
    """Cut large blocks into cells and order their nodes by cell.

    Args:
        features: of the nodes.
        nodes: of the level.
        settings: say which blocks are large, and how many cells are probed.
        known: cells of a former graph: its blocks keep them, or do without.
    """
    bounds = nodes.block_bounds()
    large = np.flatnonzero(np.diff(bounds) > settings.exact_rows)
    former = {} if known is None else dict(known.centres)
    passed = former.keys() | (frozenset() if known is None else known.small)
    large = large[[block not in passed for block in large.tolist()]]
    if not len(large) and not former:
        return CellOrder(nodes, features, {})
    centres = (_train(features, bounds, large) if len(large) else {}) | former
    counts = {
        block: min(probe_count(int(bounds[block + 1] - bounds[block]), settings.probes), len(own))
        for block, own in centres.items()
    }
    if known is None:
        probes = _probe(features, bounds, centres, counts)
    else:
        counts |= {block: own.shape[1] for block, own in known.probes.items()}
        probes = _probe(features, bounds, centres, counts, _new_rows(known, nodes, centres))
        _enter_known(probes, known, nodes)
    order = np.lexsort((nodes.row, probes[:, 0], nodes.block))
    cells = {}
    for block in sorted(centres):
        own = probes[order[bounds[block] : bounds[block + 1]]]
        own = own[:, : counts[block]]
        cells[block] = Cells(bounds_of(own[:, 0], len(centres[block])), own)
    nodes = nodes.sorted_by(order)
    return CellOrder(nodes, features.of(nodes, order), cells, centres, order)


def _new_rows(known: KnownCells, nodes: Nodes, centres: Iterable[int]) -> I64:
    """Rows of the nodes of blocks in cells whose cells are not known, ascending."""
    there = np.isin(nodes.block, list(known.probes)) & (known.row >= 0)
    return np.sort(nodes.row[np.isin(nodes.block, list(centres)) & ~there])


def _enter_known(probes: npt.NDArray[np.int16], known: KnownCells, nodes: Nodes) -> None:
    for block, own in known.probes.items():
        here = np.flatnonzero((nodes.block == block) & (known.row >= 0))
        probes[here, : own.shape[1]] = own[known.row[here]]


def write_features(path: UPath, layout: CellOrder) -> None:
    """Write the features in the order of the nodes, (m, d) float32."""
    with new_vectors(path, _shape(layout)) as file:
        deque(layout.features.each(file.write), maxlen=0)


def write_continued(path: UPath, layout: CellOrder, former: I32, before: VectorFile) -> None:
    """Write the features in the order of the nodes, those of former nodes as they were.

    Args:
        path: of the new file.
        layout: m nodes.
        former: (m,) row of each in the former file, -1 for new ones.
        before: the former file.
    """
    node = np.full(before.shape[0], -1, dtype=np.int64)
    old = np.flatnonzero(former >= 0)
    node[former[old]] = old
    with new_vectors(path, _shape(layout)) as file:
        for start, block in before.blocks():
            own = node[start : start + len(block)]
            there = np.flatnonzero(own >= 0)
            file.write(own[there], block if len(there) == len(own) else block[there])
        new = np.sort(layout.nodes.row[former < 0])
        deque(layout.features.each(file.write, new), maxlen=0)


def _shape(layout: CellOrder) -> tuple[int, int]:
    return len(layout.nodes.row), layout.features.file.shape[1]


def save_cells(path: UPath, cells: Mapping[int, Cells]) -> None:
    """Write the cells of the large blocks."""
    arrays = {f"bounds-{block}": own.bounds for block, own in cells.items()}
    probes = {f"probes-{b}": own.probes for b, own in cells.items() if own.probes is not None}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **probes)


def load_cells(path: UPath) -> dict[int, Cells]:
    """Read what `save_cells` wrote."""
    with open_arrays(path) as arrays:
        blocks = [int(name.split("-")[1]) for name in arrays if name.startswith("bounds")]
        return {b: Cells(arrays[f"bounds-{b}"], arrays[f"probes-{b}"]) for b in blocks}


def _train(features: Features, bounds: I64, large: I64) -> dict[int, F32]:
    """Train each large block's cells on evenly spaced nodes of it."""
    wanted = np.zeros(int(bounds[-1]), dtype=bool)
    for block in large:
        first, last = bounds[block : block + 2].tolist()
        wanted[first : last : sample_step(last - first)] = True
    rows = np.flatnonzero(features.position >= 0)
    rows = rows[wanted[features.position[rows]]]
    sample = features.take(rows)
    order = np.argsort(features.position[rows])
    numbers = features.position[rows][order]
    centres = {}
    for block in large.tolist():
        first, last = np.searchsorted(numbers, bounds[block : block + 2])
        count = cell_count(int(bounds[block + 1] - bounds[block]))
        centres[block] = train_cells(sample[order[first:last]], count)
    return centres


def _probe(
    features: Features,
    bounds: I64,
    centres: Mapping[int, F32],
    counts: Mapping[int, int],
    rows: I64 | None = None,
) -> npt.NDArray[np.int16]:
    """Find the cells of every node of a large block: (m, most of them); 0 for the others.

    Args:
        features: of the m nodes.
        bounds: (b + 1,) of the blocks.
        centres: (c, d) of the cells of large blocks.
        counts: of the cells that a node is compared with.
        rows: of the nodes that are looked at, ascending; default: all.
    """
    cells = np.zeros((int(bounds[-1]), max(counts.values())), dtype=np.int16)
    block_of = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))

    def probe(nodes: I64, vectors: F32) -> None:
        for block, own in centres.items():
            here = np.flatnonzero(block_of[nodes] == block)
            some = vectors if len(here) == len(vectors) else vectors[here]
            found = nearest_of_some(some, own, counts[block])
            cells[nodes[here], : counts[block]] = found

    deque(features.each(probe, rows), maxlen=0)
    return cells
