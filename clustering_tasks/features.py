"""The vectors that the neighbour graph is built on: an item's own, with its context mixed in.

A document's title says little; its storylines say what it is about. A storyline's entities recur in
other stories; its document tells them apart. Quality and centroids are computed on the items' own
vectors, undistorted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.artefacts import Result
from clustering_tasks.choice import Choice
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.nodes import Nodes
from clustering_tasks.vectors import Matrix, VectorFile, open_vectors, write_vectors

_ROWS = 65_536
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

    vectors: Matrix
    of_node: npt.NDArray[np.int32]

    def save(self, path: UPath) -> None:
        """Write them to an `.npz` file."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, vectors=self.vectors, of_node=self.of_node)


def load_documents(path: UPath) -> DocumentVectors:
    """Read what `DocumentVectors.save` wrote."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return DocumentVectors(arrays["vectors"], arrays["of_node"])


def document_vectors(document_ids: "pd.Series[str]", context: Result | None) -> DocumentVectors:
    """Average the context's vectors by document.

    Args:
        document_ids: of each node, None where it has none.
        context: the snapshot of the level that is the context, None where there is none.
    """
    if context is None:
        nothing = np.full(len(document_ids), -1, dtype=np.int32)
        return DocumentVectors(np.empty((0, 0), np.float32), nothing)
    with context.path("items").open("rb") as file:
        ids = pq.read_table(file, columns=["document_id"])["document_id"].to_pandas()
    codes, documents = pd.factorize(ids, sort=True)
    labels = codes.astype(np.int32)
    with open_vectors(context.path("vectors")) as file:
        sums = cluster_sums(file.blocks(), labels, len(documents), file.shape[1])
    known = pd.Index(documents).get_indexer(pd.Index(document_ids))
    of_node = np.where(document_ids.isna(), -1, known).astype(np.int32)
    return DocumentVectors(sums.centroids, of_node)


def write_features(
    path: UPath, snapshot: Result, nodes: Nodes, documents: DocumentVectors, choice: Choice
) -> None:
    """Write the features of all nodes, in their order: (n, d) unit vectors, a block at a time."""
    with open_vectors(snapshot.path("vectors")) as file:
        mean = _mean(file, nodes, documents, choice) if choice.centred else None
        blocks = (
            _unit(block if mean is None else block - mean)
            for block in _mixed(file, nodes, documents, choice)
        )
        write_vectors(path, (len(nodes.row), file.shape[1]), blocks)


def _mixed(
    file: VectorFile, nodes: Nodes, documents: DocumentVectors, choice: Choice
) -> Iterator[Matrix]:
    for start in range(0, len(nodes.row), _ROWS):
        block = file.take(nodes.row[start : start + _ROWS])
        of_node = documents.of_node[start : start + _ROWS]
        known = np.flatnonzero(of_node >= 0)
        if choice.context_weight and len(known):
            own = np.float32(1 - choice.context_weight)
            block[known] = own * block[known] + (1 - own) * documents.vectors[of_node[known]]
        yield _unit(block)


def _mean(
    file: VectorFile, nodes: Nodes, documents: DocumentVectors, choice: Choice
) -> npt.NDArray[np.float32]:
    total = np.zeros(file.shape[1])
    start = 0
    for block in _mixed(file, nodes, documents, choice):
        total += nodes.weight[start : start + len(block)] @ block.astype(np.float64)
        start += len(block)
    mean: npt.NDArray[np.float32] = (total / (nodes.weight.sum() + _FEW)).astype(np.float32)
    return mean


def _unit(block: Matrix) -> Matrix:
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    return np.asarray(block / np.maximum(lengths, np.float32(1e-12)))
