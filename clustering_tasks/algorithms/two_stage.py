"""HDBSCAN inside the cells of a k-means; clusters that cells share are joined again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from clustering_tasks.algorithms.hdbscan import hdbscan
from clustering_tasks.algorithms.interface import Block, FlatClustering, numbered
from clustering_tasks.algorithms.method import Method
from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.engine.joining import View, joined_cells, joined_views, with_nearest
from clustering_tasks.engine.kmeans import kmeans
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.settings.run import RunSettings

_Number = TypeVar("_Number", np.int32, np.float32)


@dataclass(frozen=True)
class Cell:
    """What a cell sees, and what it finds there.

    Attributes:
        rows: (m,) the nodes that it sees: its own and all their neighbours, ascending.
        inside: (m,) which of them are its own.
        found: the flat clustering of these nodes.
    """

    rows: I64
    inside: Mask
    found: FlatClustering

    @property
    def labels(self) -> I32:
        """Labels without the clusters that lie wholly in the border: others know them better."""
        labels = self.found.labels
        return np.where(np.isin(labels, labels[self.inside]), labels, -1).astype(np.int32)

    @property
    def blank(self) -> bool:
        """Whether none of its own nodes is in a cluster."""
        return not (self.found.labels[self.inside] >= 0).any()


def two_stage(block: Block, settings: RunSettings, method: Method) -> FlatClustering:
    """Cluster each cell together with its border; what cells see alike at a border is one cluster.

    The border of a cell are all neighbours of its nodes in other cells. Without them a story that
    is cut by a border would be known to neither side. A story that fills a cell has nothing to
    stand out against: cells that share such a one become one before, and a cell that finds nothing
    is joined with the nearest and looks again.

    Membership and outlier score of a node are its own cell's. The tree holds the cells' spanning
    trees, and the `cell` of each edge.
    """
    own = settings.two_stage
    count = math.ceil(len(block.weight) / own.cell_size)
    # in mini-batches: that borders lie well is no matter, what they cut is joined
    centroids = kmeans(block.vectors, block.weight, count, 0)
    cell_of = nearest_centroids(block.vectors, centroids).ids[:, 0]
    cell_of = joined_cells(block.ids, block.weight, cell_of)
    inner = settings.model_copy(update={"hdbscan": own})
    cells = _clustered(block, cell_of, inner, method)
    while len(cells) > 1 and any(cell.blank for cell in cells):
        blank = np.array([cell.blank for cell in cells])
        cell_of = with_nearest(block.vectors, block.weight, cell_of, blank)
        cells = _clustered(block, cell_of, inner, method)
    labels = _joined(cells, block.weight, own.min_cluster_size)
    probabilities = _of_own_cell(cells, [cell.found.probabilities for cell in cells])
    return FlatClustering(
        labels=labels,
        probabilities=np.where(labels >= 0, probabilities, 0).astype(np.float32),
        outlier_scores=_of_own_cell(cells, [cell.found.outlier_scores for cell in cells]),
        tree=_trees(cells),
        facts={"cells": len(cells)},
    )


def _clustered(block: Block, cell_of: I32, settings: RunSettings, method: Method) -> list[Cell]:
    return [
        Cell(rows, inside, hdbscan(block.part(rows), settings, method))
        for rows, inside in _views(block.ids, cell_of)
    ]


def _views(ids: I32, cell_of: I32) -> Iterator[tuple[I64, Mask]]:
    """Yield the nodes that each cell sees, and which of them are its own."""
    order = np.argsort(cell_of, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(cell_of[order])) + 1):
        around = ids[own]
        rows = np.union1d(own, around[around >= 0])
        yield rows, cell_of[rows] == cell_of[own[0]]


def _joined(cells: Sequence[Cell], weight: I32, least: int) -> I32:
    """Join the cells' clusters; what stays below the least size becomes noise."""
    views = [View(cell.rows, cell.labels) for cell in cells]
    group = np.append(joined_views(views, weight), np.int32(-1))
    first = np.cumsum([0, *(view.clusters for view in views)])
    of_cell = [
        group[np.where(view.labels >= 0, view.labels + start, -1)]
        for view, start in zip(views, first, strict=False)
    ]
    labels = _of_own_cell(cells, of_cell)
    sizes = np.bincount(labels[labels >= 0], weight[labels >= 0], minlength=1)
    large = (labels >= 0) & (sizes[labels] >= least)
    return numbered(np.where(large, labels, -1).astype(np.int32), weight)


def _of_own_cell(
    cells: Sequence[Cell], values: Sequence[npt.NDArray[_Number]]
) -> npt.NDArray[_Number]:
    """Put together what each cell says of its own nodes: (n,)."""
    rows = np.concatenate([cell.rows[cell.inside] for cell in cells])
    found = np.concatenate([of[cell.inside] for cell, of in zip(cells, values, strict=True)])
    return found[np.argsort(rows)]


def _trees(cells: Sequence[Cell]) -> dict[str, npt.NDArray[np.generic]]:
    nodes = [cell.rows.astype(np.int32)[np.asarray(cell.found.tree["nodes"])] for cell in cells]
    tree: dict[str, npt.NDArray[np.generic]] = {"nodes": np.concatenate(nodes, axis=1)}
    for name in ("reachability", "distance"):
        # not by HDBSCAN's own names: at the borders these trees overlap
        tree[f"{name}_in_cell"] = np.concatenate([cell.found.tree[name] for cell in cells])
    number = np.arange(len(cells), dtype=np.int32)
    tree["cell"] = np.repeat(number, [of_cell.shape[1] for of_cell in nodes])
    return tree
