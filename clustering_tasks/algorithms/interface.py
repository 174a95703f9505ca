"""What an algorithm gets and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.decay import Decay, decay_of
from clustering_tasks.engine.membership import share_inside
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.workspace.artefacts import Metric


@dataclass(frozen=True)
class Block:
    """A block of the neighbour graph, its nodes numbered from 0.

    Attributes:
        vectors: (n, d) unit vectors that the graph was built on, read when they are asked for.
        ids: (n, k) int32 neighbours, nearest first, -1 for none.
        distances: (n, k) float32, sqrt(2 - 2 s) of the edges' similarity s: the Euclidean distance
            where there is no evidence but the vectors.
        weight: (n,) int32 items per node.
        span: (n, 2) float64 first and last time in days, NaN for undated; None where dates do not
            matter.
        decay_days: after which similarity has fallen to 1/e; None: it does not decay.
    """

    vectors: Vectors
    ids: I32
    distances: F32
    weight: I32
    span: F64 | None = None
    decay_days: float | None = None

    @property
    def decay(self) -> Decay:
        """Decay of the similarity of nodes that are days apart."""
        return decay_of(self.span, self.decay_days)

    @property
    def similarity(self) -> F32:
        """Similarity of the edges: (n, k), -inf where there is none."""
        similarity = 1 - np.square(self.distances) / 2
        return np.where(self.ids >= 0, similarity, -np.inf).astype(np.float32)

    def part(self, rows: I64) -> "Block":
        """Some rows, (m,) ascending, numbered anew, and the edges among them."""
        number = np.full(len(self.weight) + 1, -1, dtype=np.int32)  # the last stands for none
        number[rows] = np.arange(len(rows), dtype=np.int32)
        ids = number[self.ids[rows]]
        distances = np.where(ids >= 0, self.distances[rows], np.float32(np.inf))
        order = np.argsort(ids < 0, axis=1, kind="stable")  # neighbours first, as they were
        return Block(
            self.vectors[rows],
            np.take_along_axis(ids, order, axis=1),
            np.take_along_axis(distances, order, axis=1),
            self.weight[rows],
            None if self.span is None else self.span[rows],
            self.decay_days,
        )


@dataclass(frozen=True)
class FlatClustering:
    """What an algorithm found.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps, each of at least two items; -1 is noise.
        probabilities: (n,) float32 membership, 0 for noise.
        outlier_scores: (n,) float32, NaN where the algorithm has none.
        tree: the hierarchy by the names of its arrays, kept for other cuts; `nodes` (2, e) holds
            node numbers.
        facts: what the algorithm chose itself, for the report.
    """

    labels: I32
    probabilities: F32
    outlier_scores: F32
    tree: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    facts: Mapping[str, Metric] = field(default_factory=dict)


def numbered(labels: I32, weight: I32) -> I32:
    """Number clusters without gaps; those of one item become noise.

    Args:
        labels: (n,) any numbers from 0, negative for noise.
        weight: (n,) items per node.
    """
    sizes = np.bincount(labels[labels >= 0], weight[labels >= 0], minlength=1)
    kept = np.where(labels >= 0, sizes[labels] > 1, False)
    result = np.full(len(labels), -1, dtype=np.int32)
    result[kept] = np.unique(labels[kept], return_inverse=True)[1]
    return result


def graph_clustering(
    block: Block,
    labels: I32,
    strength: F32,
    tree: Mapping[str, npt.NDArray[np.generic]] | None = None,
    facts: Mapping[str, Metric] | None = None,
) -> FlatClustering:
    """Describe clusters whose membership is the share of edge weight inside them.

    Args:
        block: what was clustered.
        labels: (n,) any numbers from 0, negative for noise.
        strength: (n, k) non-negative weights of the edges.
        tree: see `FlatClustering`.
        facts: see `FlatClustering`.
    """
    own = numbered(labels, block.weight)
    return FlatClustering(
        labels=own,
        probabilities=share_inside(own, block.ids, strength, block.weight),
        outlier_scores=np.full(len(labels), np.nan, dtype=np.float32),
        tree=tree or {},
        facts=facts or {},
    )
