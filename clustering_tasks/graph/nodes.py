"""Nodes of the neighbour graph: one for all items that have the same vector and may be linked.

Identical items share a node, so they always share their fate (AL-10). Nodes are sorted by block,
then by the level's own kind (a domain, an entity type), then by row: a block is what may never be
linked with another block. A group is what a reader knows as a unit of work; no order depends on it.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.rows import evenly_spaced
from clustering_tasks.workspace.array_files import read_arrays

_Number = TypeVar("_Number", bound="np.number[Any]")


@dataclass(frozen=True)
class Nodes:
    """The nodes of a level.

    Attributes:
        row: (m,) int64 the row of the snapshot that stands for the node.
        weight: (m,) int32 how many rows it stands for.
        block: (m,) int32, ascending from 0; linked are only nodes of one block.
        group: (m,) int32 index into `group_names`.
        node_of_row: (n,) int32, -1 for rows that a filter leaves out.
        group_names: what the groups are called.
    """

    row: I64
    weight: I32
    block: I32
    group: I32
    node_of_row: I32
    group_names: npt.NDArray[np.str_]

    def block_bounds(self) -> I64:
        """Return the first node of each block, and the number of nodes at the end."""
        blocks = int(self.block[-1]) + 1 if len(self.block) else 0
        return np.searchsorted(self.block, np.arange(blocks + 1)).astype(np.int64)

    def sampled_rows(self, most: int) -> I64:
        """Return at most so many evenly spaced ones of the nodes' rows, ascending."""
        return np.sort(self.row)[evenly_spaced(len(self.row), most)]

    def sorted_by(self, order: I64) -> "Nodes":
        """Number the nodes anew: node i becomes the one that was node `order[i]`."""
        new = np.empty(len(order), dtype=np.int32)
        new[order] = np.arange(len(order), dtype=np.int32)
        there = self.node_of_row >= 0
        return replace(
            self,
            row=self.row[order],
            weight=self.weight[order],
            block=self.block[order],
            group=self.group[order],
            node_of_row=np.where(there, new[self.node_of_row], np.int32(-1)),
        )

    def of_rows(self, values: npt.NDArray[_Number], missing: float) -> npt.NDArray[_Number]:
        """Give every row its node's value: (n,), `missing` to rows that are filtered out."""
        longer = np.full(len(values) + 1, missing, dtype=values.dtype)
        longer[:-1] = values
        return longer[self.node_of_row]

    def save(self, path: UPath) -> None:
        """Write the nodes to an `.npz` file."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **self.__dict__)


def load_nodes(path: UPath) -> Nodes:
    """Read what `Nodes.save` wrote."""
    return Nodes(**read_arrays(path, Nodes.__annotations__))
