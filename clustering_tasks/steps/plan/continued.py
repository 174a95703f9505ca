"""The nodes of a run that continues another: which of them are the base's, with its cells."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.neighbours import Cells
from clustering_tasks.engine.unit_rows import Digests
from clustering_tasks.graph.cell_order import KnownCells, load_cells
from clustering_tasks.graph.features import Features
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.graph.reuse import (
    NodeKeys,
    load_node_keys,
    node_digests,
    same_blocks,
    same_nodes,
)
from clustering_tasks.incremental.base import Base
from clustering_tasks.workspace.artefacts import Metric


@dataclass(frozen=True)
class Continued:
    """What a run's nodes are to its base.

    Attributes:
        nodes: of the run.
        features: of them, made as the base made its.
        former: (m,) the base's node that each is, -1 for new ones.
        cells: of the base.
        count: nodes of the base.
    """

    nodes: Nodes
    features: Features
    former: I32
    cells: KnownCells
    count: int

    def ordered(self, order: I64 | None) -> "Continued":
        """Return it in the order that the nodes got."""
        return self if order is None else replace(self, former=self.former[order])

    def save(self, path: UPath) -> None:
        """Write `former`."""
        with path.open("wb") as file:
            np.save(file, self.former, allow_pickle=False)

    def counts(self, nodes: Nodes) -> dict[str, Metric]:
        """Count nodes that are new, and those of the base that are gone."""
        known = int((self.former >= 0).sum())
        return {"new_nodes": len(nodes.row) - known, "gone_nodes": self.count - known}


def continued(
    base: Base,
    features: Features,
    nodes: Nodes,
    names: npt.NDArray[np.str_],
    of_row: Digests,
    facts: npt.NDArray[np.uint64] | None,
) -> Continued:
    """Find the base's nodes among those of a run.

    Args:
        base: of the run.
        features: of the nodes, nothing taken off.
        nodes: of the run.
        of_row: (n, 2) digests of the snapshot's vectors.
        names: (b,) of its blocks.
        facts: (n,) digests of what evidence reads of the items; None: nothing.
    """
    keys, before = (
        load_node_keys(base.plan.path("node_keys")),
        load_nodes(base.plan.path("nodes")),
    )
    features = replace(features, mean=keys.mean, context_weight=keys.context_weight)
    digests = node_digests(of_row, nodes, features, facts)
    blocks = same_blocks(names, keys.block_names)
    former = same_nodes(digests, blocks[nodes.block], keys.digests, before.block)
    cells = _known(keys, load_cells(base.plan.path("cells")), before, blocks, former)
    return Continued(nodes, features, former, cells, len(before.row))


def _known(
    keys: NodeKeys, cells: dict[int, Cells], before: Nodes, blocks: I64, former: I32
) -> KnownCells:
    """Describe the base's cells by the numbers of the run's blocks and nodes."""
    number = {int(old): block for block, old in enumerate(blocks) if old >= 0}
    first = before.block_bounds()[before.block[former]] if len(before.row) else former
    return KnownCells(
        centres={number[old]: own for old, own in keys.centres.items() if old in number},
        probes={
            number[old]: own.probes
            for old, own in cells.items()
            if old in number and own.probes is not None
        },
        row=np.where(former >= 0, former - first, -1).astype(np.int32),
        small=frozenset(number[old] for old in number if old not in cells),
    )
