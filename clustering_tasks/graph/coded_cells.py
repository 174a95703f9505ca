"""The codes of blocks that several parts search: `plan` computes them once for all parts.

`codes.bin` holds the panels of cell after cell, `code_weights.npz` the rest. What a part reads is
bit by bit what it would compute from the vectors; it reads a quarter of their bytes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

import numpy as np
from upath import UPath

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.codes import Panels, aligned, padded
from clustering_tasks.engine.integer_tiles import COLUMNS
from clustering_tasks.engine.neighbours import Cells, all_cells, code_cells
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.storage import read_exactly
from clustering_tasks.workspace.vector_files import FileRows, VectorFile


def shared_blocks(nodes: Nodes, part_of_node: I32, cells: Mapping[int, Cells]) -> dict[int, Cells]:
    """Find the blocks that several parts search, with the cells in which they do.

    Args:
        nodes: of the level.
        part_of_node: (m,) the part of each node.
        cells: of the blocks that are not searched exactly.
    """
    bounds = nodes.block_bounds().tolist()
    return {
        block: cells.get(block) or all_cells(last - first)
        for block, (first, last) in enumerate(pairwise(bounds))
        if len(np.unique(part_of_node[first:last])) > 1
    }


def write_codes(
    numbers: UPath, weights: UPath, features: VectorFile, nodes: Nodes, blocks: Mapping[int, Cells]
) -> None:
    """Write the codes of some blocks.

    Args:
        numbers: new file of the panels.
        weights: new file of the rest.
        features: of all nodes.
        nodes: of the level.
        blocks: that are written, with their cells.
    """
    bounds = nodes.block_bounds()
    arrays: dict[str, I64 | F32] = {}
    with numbers.open("wb") as file:
        for block, cells in blocks.items():
            rows = FileRows(features, *bounds[block : block + 2].tolist())
            arrays[f"start-{block}"] = np.array([file.tell()], np.int64)
            own = list(_written(file, rows, cells))
            arrays[f"weights-{block}"] = np.concatenate([panels.weights for panels in own])
            arrays[f"errors-{block}"] = np.array([panels.error for panels in own], np.float32)
    with weights.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _written(file: BinaryIO, rows: FileRows, cells: Cells) -> Iterator[Panels]:
    """Write a block's panels; yield them without their numbers."""
    nothing = np.empty((0, 0), np.uint8)
    for panels in code_cells(rows, cells):
        if panels.numbers.size:  # a memoryview of nothing cannot be cast
            file.write(panels.numbers.data.cast("B"))
        yield panels._replace(numbers=nothing)


@dataclass(frozen=True)
class CodedBlock:
    """The codes of one block, read cell by cell.

    Attributes:
        file: of the panels.
        start: where in it those of the block begin.
        bounds: (c + 1,) first row of each cell, and the number of rows.
        panel: (c + 1,) first panel of each cell, and the number of panels.
        width: bytes of a panel.
        weights: (panels * 32,) float32.
        errors: (c,) float32 largest error of each cell.
    """

    file: BinaryIO
    start: int
    bounds: I64
    panel: I64
    width: int
    weights: F32
    errors: F32

    def panels(self, number: int) -> Panels:
        """Read the panels of a cell."""
        first, last = self.panel[number : number + 2].tolist()
        numbers = aligned(last - first, self.width)
        if numbers.size:  # a memoryview of nothing cannot be cast
            self.file.seek(self.start + first * self.width)
            read_exactly(self.file, numbers.data.cast("B"))
        weights = self.weights[first * COLUMNS : last * COLUMNS]
        return Panels(
            numbers,
            weights,
            int(self.bounds[number + 1] - self.bounds[number]),
            float(weights.max(initial=0)),
            float(self.errors[number]),
        )


@contextmanager
def open_codes(
    plan: Result, block: int, cells: Cells, dimension: int
) -> Iterator[CodedBlock | None]:
    """Open the codes of a block; None where one part searches it alone."""
    with open_arrays(plan.path("code_weights")) as arrays:
        coded = f"start-{block}" in arrays
        if coded:
            start, weights, errors = (
                arrays[f"{name}-{block}"] for name in ("start", "weights", "errors")
            )
    if not coded:
        yield None
        return
    counts = -(-np.diff(cells.bounds) // COLUMNS)
    with plan.path("codes").open("rb") as file:
        yield CodedBlock(
            file=file,
            start=int(start[0]),
            bounds=cells.bounds,
            panel=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            width=padded(dimension) * COLUMNS,
            weights=weights,
            errors=errors,
        )
