"""Parts for a GPU: a block is searched by one task, which builds one index of it."""

import math

import numpy as np

from clustering_tasks.arrays import Mask
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.parts import NOTHING, Parts, name_of_group
from clustering_tasks.settings.groups.graph import PartsSettings


def whole_blocks(nodes: Nodes, settings: PartsSettings, groups: str) -> Parts:
    """Put the nodes of each block into one part; small blocks share one.

    Every task builds its own index, so a block cut into parts would be copied to the card by each.

    Args:
        nodes: of the level.
        settings: the size of a part, and the most parts.
        groups: what the groups are, in the plural: names a part of several.
    """
    min_rows = max(settings.min_rows, math.ceil(len(nodes.row) / settings.max_count))
    part_of_block, part, rows = [], 0, 0
    for size in np.diff(nodes.block_bounds()).tolist():
        if rows >= min_rows:
            part, rows = part + 1, 0
        part_of_block.append(part)
        rows += size
    of_node = np.array(part_of_block, dtype=np.int32)[nodes.block]
    names = [_name(nodes, of_node == number, groups) for number in range(part + 1)]
    return Parts(names if len(nodes.row) else [NOTHING], of_node)


def _name(nodes: Nodes, own: Mask, groups: str) -> str:
    found = np.unique(nodes.group[own])
    return name_of_group(nodes, found[0]) if len(found) == 1 else f"{len(found)} {groups}"
