"""Nodes of the neighbour graph: one for all items that have the same vector and may be linked.

Identical items share a node, so they always share their fate (AL-10). Nodes are sorted by block,
then by group, then by row: a block is what may never be linked with another block, a group what a
reader knows as a unit of work (a domain, an entity type).
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from upath import UPath

from clustering_tasks.levels import UNKNOWN_DOMAIN, Level
from clustering_tasks.settings import RunSettings

_MISSING = "unknown"
_Number = TypeVar("_Number", bound="np.number[Any]")


@dataclass(frozen=True)
class Nodes:
    """The nodes of a level.

    Attributes:
        row: (m,) int64 the row of the snapshot that stands for the node.
        weight: (m,) int32 how many rows it stands for.
        block: (m,) int32, ascending from 0; linked are only nodes of one block.
        group: (m,) int32 index into `group_names`, ascending within a block.
        node_of_row: (n,) int32, -1 for rows that a filter leaves out.
        group_names: what the groups are called.
    """

    row: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int32]
    block: npt.NDArray[np.int32]
    group: npt.NDArray[np.int32]
    node_of_row: npt.NDArray[np.int32]
    group_names: npt.NDArray[np.str_]

    def block_bounds(self) -> npt.NDArray[np.int64]:
        """Return the first node of each block, and the number of nodes at the end."""
        blocks = int(self.block[-1]) + 1 if len(self.block) else 0
        return np.searchsorted(self.block, np.arange(blocks + 1)).astype(np.int64)

    def sorted_by(self, order: npt.NDArray[np.int64]) -> "Nodes":
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
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Nodes(**{name: arrays[name] for name in Nodes.__annotations__})


def make_nodes(
    items: pd.DataFrame,
    level: Level,
    settings: RunSettings,
    kept: npt.NDArray[np.bool_] | None = None,
) -> Nodes:
    """Put identical vectors of one block together.

    Args:
        items: the snapshot's rows, with `twin`, `domain`, `event_type` and `entity_type`.
        level: says what parts and blocks the level.
        settings: `scope` and `partition.by` add to the blocks.
        kept: (n,) rows that take part; default: all.
    """
    rows = pd.DataFrame({"twin": items["twin"]})
    rows["block"] = _blocks(items, level, settings)
    rows["group"] = _values(items, level.parts_by) if level.parts_by else level.name
    if settings.scope == "partition" and level.parts_by != "entity_type":
        rows["group"] = rows["block"]
    rows = rows if kept is None else rows[kept]
    first = rows.drop_duplicates(["block", "twin"])
    first = first.assign(row=first.index).sort_values(["block", "group", "row"])
    keys = pd.MultiIndex.from_frame(first[["block", "twin"]])
    node_of_kept = keys.get_indexer(pd.MultiIndex.from_frame(rows[["block", "twin"]]))
    node_of_row = np.full(len(items), -1, dtype=np.int32)
    node_of_row[rows.index] = node_of_kept
    names = np.array(sorted(set(first["group"])), dtype=np.str_)
    return Nodes(
        row=first["row"].to_numpy(np.int64),
        weight=np.bincount(node_of_kept, minlength=len(first)).astype(np.int32),
        block=first["block"].rank(method="dense").to_numpy().astype(np.int32) - np.int32(1),
        group=np.searchsorted(names, first["group"].to_numpy(dtype=np.str_)).astype(np.int32),
        node_of_row=node_of_row,
        group_names=names,
    )


def _blocks(items: pd.DataFrame, level: Level, settings: RunSettings) -> "pd.Series[str]":
    fields = [level.blocked_by] if level.blocked_by else []
    if settings.scope == "partition" and level.parts_by == "domain":
        fields += ["domain", "event_type"][: 2 if settings.partition.by != "domain" else 1]
    block = pd.Series("", index=items.index, dtype=object)
    for field in fields:
        block = block.where(block == "", block + " ") + _values(items, field)
    return block


def _values(items: pd.DataFrame, field: str) -> "pd.Series[Any]":
    return items[field].fillna(UNKNOWN_DOMAIN if field == "domain" else _MISSING).astype(object)
