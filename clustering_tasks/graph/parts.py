"""Parts of a level, one for each mapped `cluster` task.

A part is a set of nodes: a domain, an entity type, a range, or the small groups together. What the
search finds for a node does not depend on the others that it is searched with: one part or fifty
give the same bits.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from heapq import heapify, heapreplace

import numpy as np

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.neighbours import BATCH_ROWS
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.groups.graph import PartsSettings
from clustering_tasks.stage3.text import cut

NOTHING = "nothing"
_NAME_LENGTH = 100  # a kind may be any text; Airflow holds 250 characters of a task's name


@dataclass(frozen=True)
class Parts:
    """The parts of a level, the largest groups first.

    Attributes:
        names: of the parts, from part 0; at least one.
        of_node: (m,) int32 the part of each node.
    """

    names: list[str]
    of_node: I32

    def items(self, nodes: Nodes) -> list[int]:
        """Count the items of each part."""
        counts = np.bincount(self.of_node, nodes.weight, minlength=len(self.names))
        return [int(count) for count in counts]


@dataclass(frozen=True)
class _Unit:
    """A group, or the groups that share a part: what becomes one part or is cut into several.

    Attributes:
        name: of its part.
        nodes: ascending: in a block of cells, nodes of a stretch lie in few cells.
        max_rows: nodes of a part above which a cut is worth it.
    """

    name: str
    nodes: I64
    max_rows: int


def make_parts(
    nodes: Nodes, settings: PartsSettings, others: str, in_cells: Collection[int] = ()
) -> Parts:
    """Give each group a part of its own; put small ones together, cut large ones.

    Args:
        nodes: of the level.
        settings: how many nodes are small and large, and the most parts.
        others: what the groups are, in the plural: the name of the small ones' part.
        in_cells: the blocks that are searched in cells.
    """
    units = _units(nodes, settings, others, frozenset(in_cells))
    of_node = np.zeros(len(nodes.row), dtype=np.int32)
    names: list[str] = []
    for unit, count in zip(units, _counts(units, settings.max_count), strict=True):
        for number, piece in enumerate(np.array_split(unit.nodes, count), 1):
            of_node[piece] = len(names)
            names.append(unit.name if count == 1 else f"{unit.name} {number}/{count}")
    return Parts(names or [NOTHING], of_node)


def _units(
    nodes: Nodes, settings: PartsSettings, others: str, in_cells: frozenset[int]
) -> list[_Unit]:
    by_group = np.argsort(nodes.group, kind="stable").astype(np.int64)
    sizes = np.bincount(nodes.group, minlength=len(nodes.group_names))
    groups = np.split(by_group, np.cumsum(sizes)[:-1])
    largest = np.argsort(-sizes, kind="stable")
    largest = largest[sizes[largest] > 0]
    own = _own_groups(sizes[largest], settings, in_cells)
    if own == len(largest) - 1:
        own += 1  # there is nothing that it could share a part with
    named = [(name_of_group(nodes, group), groups[group]) for group in largest[:own]]
    if shared := len(largest) - own:
        rest = np.sort(np.concatenate([groups[group] for group in largest[own:]]))
        named.append((f"other {others} ({shared})", rest))
    return [_Unit(name, rows, _max_rows(nodes, rows, settings, in_cells)) for name, rows in named]


def _own_groups(sizes: I64, settings: PartsSettings, in_cells: frozenset[int]) -> int:
    """Count the groups that get parts of their own.

    Where there are too many for the parts, the smallest share some too.

    Args:
        sizes: (g,) nodes of each group, descending.
        settings: of the parts.
        in_cells: see `make_parts`.
    """
    own = int((sizes >= settings.min_rows).sum())
    large = max(settings.max_rows, BATCH_ROWS if in_cells else 0)
    large = max(large, math.ceil(sizes.sum() / settings.max_count))
    while own and own + math.ceil(sizes[own:].sum() / large) > settings.max_count:
        own -= 1
    return own


def _max_rows(nodes: Nodes, rows: I64, settings: PartsSettings, in_cells: frozenset[int]) -> int:
    # A part of a block of cells codes nearly all rows of the block, however few queries it has.
    batch = BATCH_ROWS if in_cells.intersection(nodes.block[rows].tolist()) else 0
    return max(settings.max_rows, batch)


def _counts(units: list[_Unit], max_count: int) -> list[int]:
    """Count the parts of each unit: the largest parts are cut while there may be more of them."""
    counts = [1] * len(units)
    if not units:
        return counts
    heap = [_priority(unit, 1, at) for at, unit in enumerate(units)]
    heapify(heap)
    for _ in range(max_count - len(units)):
        rows, number = heap[0]
        if rows == 0:
            break
        counts[-number] += 1
        heapreplace(heap, _priority(units[-number], counts[-number], -number))
    return counts


def _priority(unit: _Unit, count: int, at: int) -> tuple[float, int]:
    rows = len(unit.nodes) / count
    # of equally large ones the last: a group stays whole rather than what others share
    return (-rows if rows > unit.max_rows else 0.0), -at


def name_of_group(nodes: Nodes, group: int) -> str:
    """Return what a group is called, cut where Airflow could not hold it."""
    return cut(str(nodes.group_names[group]), _NAME_LENGTH)
