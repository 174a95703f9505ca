"""Parts of a level, one for each mapped `cluster` task.

A part is a union of whole tiles of nodes. What the search finds for a node does not depend on the
others that it is searched with: one part or fifty give the same bits.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clustering_tasks.engine.neighbours import BATCH_ROWS, PROBING_TILE_ROWS, TILE_ROWS
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.run import PartsSettings


@dataclass(frozen=True)
class Unit:
    """A range of nodes of one group: whole tiles, searched against all nodes of their block."""

    block: int
    start: int
    stop: int
    name: str


def make_parts(
    nodes: Nodes, settings: PartsSettings, in_cells: Collection[int] = ()
) -> Iterator[list[Unit]]:
    """Put the units together into at most `max_count` parts of at least `min_rows` nodes.

    Yields at least one part: a level without items has one without units.

    Args:
        nodes: of the level.
        settings: see above.
        in_cells: the blocks that are searched in cells, with larger tiles.
    """
    min_rows = max(settings.min_rows, math.ceil(len(nodes.row) / settings.max_count))
    part: list[Unit] = []
    rest = len(nodes.row)
    for unit in _units(nodes, min_rows, in_cells):
        part.append(unit)
        size = sum(unit.stop - unit.start for unit in part)
        if size >= min_rows and rest - size >= settings.min_rows:
            yield part
            part, rest = [], rest - size
    yield part


def _units(nodes: Nodes, min_rows: int, in_cells: Collection[int]) -> Iterator[Unit]:
    """Cut each group into ranges of whole tiles with about `min_rows` nodes."""
    change = np.flatnonzero(np.diff(nodes.block) | np.diff(nodes.group)) + 1
    bounds = [0, *change.tolist(), len(nodes.row)]
    for start, stop in pairwise(bounds):
        if start == stop:
            continue
        step = _step(stop - start, min_rows, nodes.block[start] in in_cells)
        name = str(nodes.group_names[nodes.group[start]])
        for first in range(start, stop, step):
            last = min(first + step, stop)
            whole = last - first == stop - start
            rows = "" if whole else f" {first - start}-{last - start - 1}"
            yield Unit(int(nodes.block[start]), first, last, name + rows)


def _step(rows: int, min_rows: int, in_cells: bool) -> int:
    """Rows of a unit: whole tiles of at least `min_rows` rows."""
    if not in_cells:
        return max(math.ceil(min_rows / TILE_ROWS), 1) * TILE_ROWS
    # Few units, all of a size: each reads all rows of the block, twice.
    units = math.ceil(rows / max(min_rows, BATCH_ROWS))
    return math.ceil(rows / units / PROBING_TILE_ROWS) * PROBING_TILE_ROWS


def part_title(part: Iterable[Unit]) -> str:
    """Name what a part holds, for the graph in the UI."""
    names = list(dict.fromkeys(unit.name for unit in part))
    shown = ", ".join(names[:2])
    return f"{shown} and {len(names) - 2} more" if len(names) > 2 else shown or "nothing"


def part_items(part: Iterable[Unit], nodes: Nodes) -> int:
    """Count the items of a part."""
    return sum(int(nodes.weight[unit.start : unit.stop].sum()) for unit in part)
