"""The clustering algorithms behind one interface: a block of the neighbour graph to a partition.

A new one is a function here and a line in `ALGORITHMS`; its settings are a group of `RunSettings`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clustering_tasks.choice import Choice
from clustering_tasks.engine.condensed_tree import condense, select
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.engine.linkage import average_linkage
from clustering_tasks.engine.membership import share_inside
from clustering_tasks.engine.silhouette_cut import LEAST, Cut, choose_cut, trim_small
from clustering_tasks.engine.smoothing import THRESHOLD, smooth
from clustering_tasks.engine.spanning_tree import core_distances, spanning_tree
from clustering_tasks.evidence import edge_similarity
from clustering_tasks.features import DocumentVectors
from clustering_tasks.settings import RunSettings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Block:
    """A block of the neighbour graph, its nodes numbered from 0.

    Attributes:
        vectors: (n, d) unit vectors that the graph was built on.
        ids: (n, k) int32 neighbours, nearest first, -1 for none.
        distances: (n, k) float32 Euclidean distances.
        weight: (n,) int32 items per node.
        mentions: (n) words that name each node.
        documents: vectors of the nodes' documents.
    """

    vectors: Floats
    ids: Ints
    distances: Floats
    weight: Ints
    mentions: list[str | None]
    documents: DocumentVectors


@dataclass(frozen=True)
class Partition:
    """What an algorithm found.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps, each of at least two items; -1 is noise.
        probabilities: (n,) float32 membership, 0 for noise.
        outlier_scores: (n,) float32, NaN where the algorithm has none.
        tree: the hierarchy by the names of its arrays, kept for other cuts; `nodes` (2, e) holds
            node numbers.
        facts: what the algorithm chose itself, for the report.
    """

    labels: Ints
    probabilities: Floats
    outlier_scores: Floats
    tree: Mapping[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    facts: Mapping[str, float | None] = field(default_factory=dict)


def hdbscan(block: Block, settings: RunSettings, _choice: Choice) -> Partition:
    """HDBSCAN on the graph; the tree is the minimum spanning tree of mutual reachability."""
    own = settings.hdbscan
    core = core_distances(block.ids, block.distances, block.weight, own.min_samples)
    edges = spanning_tree(block.vectors, block.ids, block.distances, core)
    selection = select(
        condense(edges, block.weight, own.min_cluster_size),
        own.cluster_selection_method,
        own.cluster_selection_epsilon,
        own.allow_single_cluster,
    )
    tree = {
        "nodes": np.stack([edges.first, edges.second]),
        "reachability": edges.reachability,
        "distance": edges.distance,
    }
    return Partition(selection.labels, selection.probabilities, selection.outlier_scores, tree)


def agglomerative(block: Block, settings: RunSettings, _choice: Choice) -> Partition:
    """Average linkage on smoothed vectors, cut where the silhouette is highest."""
    own = settings.agglomerative
    smoothed = smooth(block.vectors, block.ids, block.distances, block.weight)
    linkage = average_linkage(smoothed, block.ids, block.weight, LEAST)
    if own.cut_similarity is None:
        cut = choose_cut(linkage, smoothed, block.ids, block.weight)
    else:
        labels = linkage.cut(len(block.weight), own.cut_similarity)
        cut = Cut(labels, own.cut_similarity, None)
    labels = trim_small(cut.labels, block.vectors, block.weight, own.trim_size, own.trim_similarity)
    cosine = 1 - np.square(block.distances) / 2
    strength = np.square(np.maximum(cosine - THRESHOLD, 0))
    return _partition(
        block,
        labels,
        strength.astype(np.float32),
        {"nodes": np.stack([linkage.first, linkage.second]), "similarity": linkage.similarity},
        {"cut_similarity": cut.similarity, "cut_silhouette": cut.silhouette},
    )


def label_propagation(block: Block, settings: RunSettings, choice: Choice) -> Partition:
    """Communities of the graph whose edges carry all evidence."""
    similarity = edge_similarity(
        block.ids, block.distances, block.mentions, block.documents, choice
    )
    labels = propagate(
        block.ids,
        similarity,
        block.weight,
        choice.edge_similarity,
        settings.label_propagation.neighbours,
    )
    strength = np.maximum(similarity - choice.edge_similarity, 0)
    return _partition(block, labels, strength, {}, {})


ALGORITHMS: dict[str, Callable[[Block, RunSettings, Choice], Partition]] = {
    "agglomerative": agglomerative,
    "hdbscan": hdbscan,
    "label_propagation": label_propagation,
}


def _partition(
    block: Block,
    labels: Ints,
    strength: Floats,
    tree: Mapping[str, npt.NDArray[np.generic]],
    facts: Mapping[str, float | None],
) -> Partition:
    """Number clusters without gaps; those of one item are noise."""
    sizes = np.bincount(labels[labels >= 0], block.weight[labels >= 0], minlength=1)
    kept = np.where(labels >= 0, sizes[labels] > 1, False)
    numbered = np.full(len(labels), -1, dtype=np.int32)
    numbered[kept] = np.unique(labels[kept], return_inverse=True)[1]
    return Partition(
        labels=numbered,
        probabilities=share_inside(numbered, block.ids, strength, block.weight),
        outlier_scores=np.full(len(labels), np.nan, dtype=np.float32),
        tree=tree,
        facts=facts,
    )
