"""Nodes of the neighbour graph: one for all items that have the same vector and may be linked.

Identical items share a node, so they always share their fate (AL-10). Nodes are sorted by block,
then by the level's own kind (a domain, an entity type), then by row: a block is what may never be
linked with another block. A group is what a reader knows as a unit of work; no order depends on it.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from upath import UPath

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.engine.rows import evenly_spaced
from clustering_tasks.settings.levels import UNKNOWN_DOMAIN, Level
from clustering_tasks.settings.run import PART_FIELDS, RunSettings
from clustering_tasks.workspace.array_files import read_arrays

_MISSING = "unknown"
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


def make_nodes(
    items: pd.DataFrame,
    level: Level,
    settings: RunSettings,
    kept: Mask | None = None,
) -> Nodes:
    """Put identical vectors of one block together.

    Args:
        items: the snapshot's rows, with `first_identical_row`, `domain`, `event_type` and
            `entity_type`.
        level: says what parts and blocks the level.
        settings: `parts.by` makes the groups; with `scope=domain` they are blocks.
        kept: (n,) rows that take part; default: all.
    """
    block, _ = _named(items, _block_fields(level, settings), "")
    group, group_names = _named(items, part_fields(level, settings), level.name)
    kind, _ = _named(items, [level.parts_by] if level.parts_by else [], "")
    rows = np.arange(len(items)) if kept is None else np.flatnonzero(kept)
    keys = block[rows] * len(items) + items["first_identical_row"].to_numpy(np.int64)[rows]
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    row = rows[first]  # np.unique returns the first of equals, and rows ascend
    order = np.lexsort((row, kind[row], block[row]))
    node_of_row = np.full(len(items), -1, dtype=np.int32)
    node_of_row[rows] = np.argsort(order)[number]
    row = row[order]
    groups, group_of_node = np.unique(group[row], return_inverse=True)
    return Nodes(
        row=row,
        weight=np.bincount(number, minlength=len(row))[order].astype(np.int32),
        block=np.unique(block[row], return_inverse=True)[1].astype(np.int32),
        group=group_of_node.astype(np.int32),
        node_of_row=node_of_row,
        group_names=group_names[groups],
    )


def block_names(
    items: pd.DataFrame, level: Level, settings: RunSettings, nodes: Nodes
) -> npt.NDArray[np.str_]:
    """Return what the items of each block have in common: (b,) texts.

    Args:
        items: as `make_nodes` got them.
        level: as above.
        settings: as above.
        nodes: that it made.
    """
    code, names = _named(items, _block_fields(level, settings), "")
    return names[code[nodes.row[nodes.block_bounds()[:-1]]]]


def part_fields(level: Level, settings: RunSettings) -> list[str]:
    """Name the fields whose values are the groups of a level; none: it is one group."""
    if "event_types" in level.filtered_by:
        return list(PART_FIELDS[settings.parts.by])
    return [level.parts_by] if level.parts_by else []


def _block_fields(level: Level, settings: RunSettings) -> list[str]:
    if level.blocked_by or settings.scope != "domain":
        return [level.blocked_by] if level.blocked_by else []
    return part_fields(level, settings)


def _named(
    items: pd.DataFrame, fields: list[str], nothing: str
) -> tuple[I64, npt.NDArray[np.str_]]:
    """Number the rows by what they have in some fields: (n,) numbers, and what each one means.

    Numbers are in the order of the texts. Without fields all rows are called `nothing`.
    """
    codes = np.zeros(len(items), dtype=np.int64)
    texts = [nothing]
    for at, field in enumerate(fields):
        missing = UNKNOWN_DOMAIN if field == "domain" else _MISSING
        own, values = pd.factorize(items[field].fillna(missing))
        known, codes = np.unique(codes * len(values) + own, return_inverse=True)
        pairs = (divmod(int(code), len(values)) for code in known)
        texts = [f"{texts[a]} {values[b]}" if at else str(values[b]) for a, b in pairs]
    names, order = np.unique(np.array(texts, dtype=np.str_), return_inverse=True)
    return order.astype(np.int64)[codes], names
