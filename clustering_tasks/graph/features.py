"""The vectors that the neighbour graph is built on: an item's own, with its context mixed in.

A document's title says little; its storylines say what it is about. A storyline's entities recur in
other stories; its document tells them apart. Quality and centroids are computed on the items' own
vectors, undistorted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from upath import UPath

from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.common_part import SAMPLE, shift_without_giants
from clustering_tasks.engine.rows import unit
from clustering_tasks.engine.threads import in_turn, tile_threads
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.array_files import read_arrays
from clustering_tasks.workspace.vector_files import BLOCK_ROWS, VectorFile

_Result = TypeVar("_Result")

# The mean of a few items is what they are about, not what all news shares; it counts in full only
# where many more than this take part in it.
_FEW = 20


@dataclass(frozen=True)
class DocumentVectors:
    """Unit mean of the context's vectors of each document.

    Attributes:
        vectors: (m, d) float32.
        of_node: (n,) int32 row of each node's document, -1 where its context is not known.
    """

    vectors: F32
    of_node: I32

    def save(self, path: UPath) -> None:
        """Write them to an `.npz` file."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, vectors=self.vectors, of_node=self.of_node)


def load_documents(path: UPath) -> DocumentVectors:
    """Read what `DocumentVectors.save` wrote."""
    return DocumentVectors(**read_arrays(path, DocumentVectors.__annotations__))


@dataclass(frozen=True)
class Features:
    """The vectors that the neighbour graph is built on, computed while the snapshot is read.

    Attributes:
        file: the snapshot's vectors.
        position: (n,) int64 node that each row stands for, -1 where it stands for none.
        documents: of the nodes.
        context_weight: share of the context.
        mean: (d,) taken off, zeros for nothing.
    """

    file: VectorFile
    position: I64
    documents: DocumentVectors
    context_weight: float
    mean: F32

    def each(
        self, work: Callable[[I64, F32], _Result], rows: I64 | None = None
    ) -> Iterator[_Result]:
        """Let threads work on numbers of nodes, (m,), and their unit vectors, (m, d).

        Args:
            work: gets them.
            rows: of the snapshot, ascending, that are read; default: all.

        Yields:
            what `work` returns, in the snapshot's order.
        """

        def on(part: tuple[I64, F32]) -> _Result:
            some, block = part
            nodes = self.position[some]
            here = np.flatnonzero(nodes >= 0)
            vectors = block if len(here) == len(block) else block[here]
            return work(nodes[here], self._featured(vectors, nodes[here]))

        with tile_threads() as pool:
            yield from in_turn(pool, on, self._blocks(rows))

    def _blocks(self, rows: I64 | None) -> Iterator[tuple[I64, F32]]:
        if rows is None:
            for start, block in self.file.blocks():
                yield np.arange(start, start + len(block)), block
            return
        for start in range(0, len(rows), BLOCK_ROWS):
            some = rows[start : start + BLOCK_ROWS]
            yield some, self.file.take(some)

    def take(self, rows: I64) -> F32:
        """Compute the unit vectors of some rows of the snapshot, ascending: (m, d)."""
        return self._featured(self.file.take(rows), self.position[rows])

    def of(self, nodes: Nodes, order: I64) -> "Features":
        """Renumber: `nodes` are the same ones in another order, node i was node `order[i]`."""
        documents = replace(self.documents, of_node=self.documents.of_node[order])
        return replace(self, position=_position(nodes), documents=documents)

    def _featured(self, vectors: F32, nodes: I64) -> F32:
        of_node = self.documents.of_node[nodes]
        known = np.flatnonzero(of_node >= 0)
        if self.context_weight and len(known):
            own = np.float32(1 - self.context_weight)
            about = self.documents.vectors[of_node[known]]
            vectors[known] = unit(own * vectors[known] + (1 - own) * about)
        return unit(vectors - self.mean) if self.mean.any() else vectors


def make_features(
    file: VectorFile, nodes: Nodes, documents: DocumentVectors, method: Method
) -> Features:
    """Prepare the features of nodes, nothing taken off."""
    nothing = np.zeros(file.shape[1], dtype=np.float32)
    return Features(file, _position(nodes), documents, method.context_weight, nothing)


def centred(features: Features, nodes: Nodes) -> Features:
    """Take off what all items share; reads all vectors once."""
    return replace(features, mean=_mean(features, nodes))


def _position(nodes: Nodes) -> I64:
    position = np.full(len(nodes.node_of_row), -1, dtype=np.int64)
    position[nodes.row] = np.arange(len(nodes.row))
    return position


def _mean(features: Features, nodes: Nodes) -> F32:
    def total_of(found: I64, vectors: F32) -> F64:
        return np.asarray(nodes.weight[found].astype(np.float64) @ vectors)

    rows = nodes.sampled_rows(SAMPLE)
    shift = shift_without_giants(features.take(rows), nodes.weight[features.position[rows]])
    if shift is None:
        return features.mean
    total = sum(features.each(total_of), np.zeros(features.file.shape[1]))
    return shrunk_mean(total, int(nodes.weight.sum()), shift)


def shrunk_mean(total: F64, items: int, shift: F64) -> F32:
    """Return the mean that is taken off: of few items, little of it.

    Args:
        total: (d,) sum of the items' vectors.
        items: that it is of.
        shift: (d,) of the mean, without giant stories.
    """
    mean: F32 = ((total + items * shift) / (items + _FEW)).astype(np.float32)
    return mean
