"""Making the nodes of a level from the snapshot's rows, and naming their blocks and groups.

Beside `graph.nodes`, which every step reads: `cluster` begins without pandas.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustering_tasks.arrays import I64, Mask
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.settings.groups.graph import PART_FIELDS
from clustering_tasks.settings.levels import UNKNOWN_DOMAIN, Level
from clustering_tasks.settings.run import RunSettings

_MISSING = "unknown"


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
