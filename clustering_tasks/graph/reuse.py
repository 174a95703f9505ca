"""What a graph leaves behind for the next one, which takes over the rows of what has not changed.

A node is known again by what its features are made of and by what evidence reads of its first
item, whatever its id. So that a vector that has not changed has the same features, what all items
together decide (the mean that is taken off, the share of the context, the cells) stays that of the
last full run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.text_digests import digest_texts
from clustering_tasks.engine.unit_rows import Digests, digest_rows
from clustering_tasks.graph.features import Features
from clustering_tasks.graph.neighbour_graph import Graph
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.array_files import open_arrays
from clustering_tasks.workspace.columns import read_columns

# A row of the graph that has lost more than this share of its neighbours is searched again. Below,
# the rest are still the nearest of those that stayed, and new ones are offered to it.
_LOST = 0.25
_ROWS = 65_536
# Odd, so that no two digests have the same product.
_FACTOR, _MISSING = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True)
class NodeKeys:
    """By what the next graph knows the nodes of this one again, and what it keeps of it.

    Attributes:
        digests: (m, 2) of the nodes.
        block_names: (b,) of the blocks.
        mean: (d,) that was taken off the vectors.
        context_weight: share of the context in a vector.
        centres: (c, d) of the cells, by block.
    """

    digests: Digests
    block_names: npt.NDArray[np.str_]
    mean: F32
    context_weight: float
    centres: Mapping[int, F32]

    def save(self, path: UPath) -> None:
        """Write them to an `.npz` file."""
        with path.open("wb") as file:
            np.savez(
                file,
                allow_pickle=False,
                digests=self.digests,
                block_names=self.block_names,
                mean=self.mean,
                context_weight=np.float64(self.context_weight),
                **{f"centres-{block}": own for block, own in self.centres.items()},
            )


def load_node_keys(path: UPath) -> NodeKeys:
    """Read what `NodeKeys.save` wrote."""
    with open_arrays(path) as arrays:
        blocks = [int(name.split("-")[1]) for name in arrays if name.startswith("centres")]
        return NodeKeys(
            digests=arrays["digests"],
            block_names=arrays["block_names"],
            mean=arrays["mean"],
            context_weight=float(arrays["context_weight"]),
            centres={block: arrays[f"centres-{block}"] for block in blocks},
        )


def fact_digests(items: UPath, columns: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Make a digest of some columns of the items: (n,) uint64."""
    mixed: npt.NDArray[np.uint64] = np.zeros((), dtype=np.uint64)
    for column in columns:
        values = read_columns(items, [column])[column]
        missing = values.is_null().to_numpy(zero_copy_only=False)
        mixed = (mixed * _FACTOR) ^ np.where(missing, _MISSING, _value_digests(values))
    return mixed


def _value_digests(values: pa.Array) -> npt.NDArray[np.uint64]:
    """Make a digest of each text or number of a column, anything where there is none."""
    if not pa.types.is_string(values.type):
        numbers = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        return np.asarray(numbers.astype(np.uint64) * _FACTOR)
    _, offsets, texts = values.buffers()
    bounds = np.frombuffer(offsets, np.int32)[values.offset :][: len(values) + 1]
    return digest_texts(bounds, texts or b"")


def node_digests(
    of_row: Digests, nodes: Nodes, features: Features, facts: npt.NDArray[np.uint64] | None
) -> Digests:
    """Make a digest of what each node's features are made of, and of its facts: (m, 2).

    Features of one mean and one share of the context are the same where this digest is.

    Args:
        of_row: (n, 2) of the snapshot's vectors.
        nodes: of the level.
        features: of the nodes.
        facts: (n,) what evidence reads of the items; None: nothing.
    """
    mixed = of_row[nodes.row]
    of_node = features.documents.of_node
    known = np.flatnonzero(of_node >= 0)
    if features.context_weight and len(known):
        context = digest_rows(features.documents.vectors)[of_node[known]]
        mixed[known] = (mixed[known] * _FACTOR) ^ context
    if facts is not None:
        mixed[:, 0] ^= facts[nodes.row]
    return mixed


def find_digests(digests: Digests, before: Digests) -> I64:
    """Return the row of each digest, (m, 2), among others, (b, 2): (m,), -1 where it is none."""
    if not len(before):
        return np.full(len(digests), -1, dtype=np.int64)
    order = np.argsort(before[:, 0], kind="stable")
    at = np.searchsorted(before[order, 0], digests[:, 0])
    there = order[np.minimum(at, len(order) - 1)]
    return np.where((before[there] == digests).all(axis=1), there, -1)


def same_blocks(names: npt.NDArray[np.str_], before: npt.NDArray[np.str_]) -> I64:
    """Return the former number of each block, (b,), -1 for new ones."""
    number = {name: block for block, name in enumerate(before.tolist())}
    return np.array([number.get(name, -1) for name in names.tolist()], dtype=np.int64)


def same_nodes(digests: Digests, block: I64, before: Digests, block_before: I32) -> I32:
    """Return for each node the former node that it is, each once, -1 for new ones: (m,).

    Args:
        digests: (m, 2) of the nodes.
        block: (m,) their former blocks, -1 for new ones.
        before: (b, 2) of the former nodes.
        block_before: (b,) their blocks.
    """
    found = find_digests(digests, before).astype(np.int32)
    found[np.append(block_before, np.int32(-1))[found] != block] = -1
    _, first = np.unique(found, return_index=True)
    once = np.zeros(len(found), dtype=bool)
    once[first] = True
    return np.where(once, found, np.int32(-1))


@dataclass(frozen=True)
class ReusedRows:
    """The rows of a former graph, in the numbers of a new one.

    Attributes:
        graph: of the new one's nodes; rows of new nodes are empty.
        search: (m,) whether a node has to look for its neighbours.
        short: (m,) whether a node has lost some of them.
    """

    graph: Graph
    search: Mask
    short: Mask


def reused_rows(before: Graph, former: I32) -> ReusedRows:
    """Take over the rows of the nodes that have not changed, without those that are gone.

    Args:
        before: the former graph, of b nodes.
        former: (m,) former node of each node, -1 for new ones.
    """
    count, k = len(former), before.ids.shape[1]
    number = np.full(len(before.ids) + 1, -1, dtype=np.int32)  # the last stands for none
    kept = np.flatnonzero(former >= 0)
    number[former[kept]] = kept
    ids = np.full((count, k), -1, dtype=np.int32)
    distances = np.full((count, k), np.inf, dtype=np.float32)
    search, short = former < 0, np.zeros(count, dtype=bool)
    for start in range(0, len(kept), _ROWS):
        rows = kept[start : start + _ROWS]
        old = before.ids[former[rows]]
        ids[rows], distances[rows] = _closed_up(number[old], before.distances[former[rows]])
        there, left = (old >= 0).sum(axis=1), (ids[rows] >= 0).sum(axis=1)
        search[rows], short[rows] = left < (1 - _LOST) * there, left < there
    return ReusedRows(Graph(ids, distances, np.ones(count, dtype=bool)), search, short)


def _closed_up(ids: I32, distances: F32) -> tuple[I32, F32]:
    """Move what is left of each row to its beginning."""
    gaps = np.flatnonzero((np.diff((ids < 0).astype(np.int8), axis=1) < 0).any(axis=1))
    order = np.argsort(ids[gaps] < 0, axis=1, kind="stable")
    ids[gaps] = np.take_along_axis(ids[gaps], order, axis=1)
    distances[gaps] = np.take_along_axis(distances[gaps], order, axis=1)
    distances[ids < 0] = np.inf
    return ids, distances
