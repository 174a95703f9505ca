"""What the story of each document is about, as far as its items and its own vector tell.

Two documents of one story may be worded differently, and two of different stories alike. What a
document's neighbours are about says more than it says itself: smoothed, the cosine of two
documents of one story is mostly above .85, of two stories below (ecbplus). So it can decide
whether two mentions can be of the same thing at all (`clustering_tasks.evidence.stories`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from upath import UPath

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.cells import centres_of, find_neighbours_of
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.engine.common_part import SAMPLE, shift_without_giants
from clustering_tasks.engine.rows import evenly_spaced, unit
from clustering_tasks.engine.smoothing import add_neighbours
from clustering_tasks.engine.unit_rows import Digests, digest_rows
from clustering_tasks.graph.features import DocumentVectors, shrunk_mean
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.reuse import find_digests
from clustering_tasks.workspace.array_files import Arrays, open_arrays
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import BLOCK_ROWS, open_vectors

# Plateaus on ecbplus, whole and thinned: 5 to 15 neighbours, thresholds .3 to .5.
NEIGHBOURS = 8
THRESHOLD = 0.4
# Of 20,000 documents the search took 2.8 s exactly and .6 so, with a recall of .97; the 200,000
# events that it serves got the same clusters (ARI .998; 1.0 at 5,000 documents).
_EXACT_ROWS = 8192
_PROBES = 16
_ROWS = 8192
# Odd, so that no two digests have the same product.
_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Stories:
    """The stories of the documents that have an item, and what the next run takes over.

    Attributes:
        vectors: (m, d) float32 unit vectors, smoothed.
        of_node: (n,) int32 document of each node, -1 for none.
        plain: (m, d) the vectors before they were smoothed.
        digests: (m, 2) of what each is made of.
        mean: (d,) that was taken off.
        centres: (c, d) of the cells in which neighbours were looked for; none: in all.
    """

    vectors: F32
    of_node: I32
    plain: F32
    digests: Digests
    mean: F32
    centres: F32

    def save(self, path: UPath) -> None:
        """Write them to an `.npz` file, which `load_documents` reads too."""
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **self.__dict__)


def story_vectors(
    snapshot: Result,
    document_ids: "pd.Series[str]",
    nodes: Nodes,
    documents: DocumentVectors,
    of_row: Digests,
    former: UPath | None = None,
) -> Stories:
    """Mix each document's vector with the mean of its items, and smooth it over its neighbours.

    Args:
        snapshot: of the level.
        document_ids: (n,) of the rows, None where one is not known.
        nodes: of the level; rows that have none do not count.
        documents: the context, of the nodes; a document that it lacks is what its items are.
        of_row: (n, 2) digests of the snapshot's vectors.
        former: file of the stories of the run that is continued; documents that have not changed
            keep their vectors.

    Returns:
        one vector for each document that has an item, and the document of each node.
    """
    codes, names = pd.factorize(document_ids.where(nodes.node_of_row >= 0), sort=True)
    labels = codes.astype(np.int32)
    of_node = labels[nodes.row]
    both = np.flatnonzero((of_node >= 0) & (documents.of_node >= 0))
    known, first = np.unique(of_node[both], return_index=True)
    context = np.full(len(names), -1, dtype=np.int32)
    context[known] = documents.of_node[both[first]]
    digests = _digests(labels, of_row, context, documents)
    if former is not None:
        with open_arrays(former) as before:
            at = find_digests(digests, before["digests"])
            if len(before["digests"]):
                new = np.flatnonzero(at < 0)
                mixed = _mixed(snapshot, labels, new, context, documents)
                return _continued(before, at, mixed, of_node, digests)
    mixed = _mixed(snapshot, labels, np.arange(len(names)), context, documents)
    return all_smoothed(mixed, of_node, digests)


def _continued(before: Arrays, at: I64, mixed: F32, of_node: I32, digests: Digests) -> Stories:
    """Take over the vectors of documents that were there, and make those of the others.

    Args:
        before: the former stories; one array at a time is in memory.
        at: (m,) former number of each document, -1 for those that are made.
        mixed: (r, d) of these; changed.
        of_node: see `Stories`.
        digests: see `Stories`.
    """
    new, mean, centres = np.flatnonzero(at < 0), before["mean"], before["centres"]
    plain = before["plain"][at]
    plain[new] = _without(mixed, mean)
    vectors = before["vectors"][at]
    vectors[new] = _moved(plain, new, centres)
    return Stories(vectors, of_node, plain, digests, mean, centres)


def _digests(labels: I32, of_row: Digests, context: I32, documents: DocumentVectors) -> Digests:
    """Make a digest of the vectors of each document's items, in any order, and of its own."""
    digests = np.zeros((len(context), 2), np.uint64)
    there = np.flatnonzero(labels >= 0)
    np.add.at(digests, labels[there], of_row[there])
    known = np.flatnonzero(context >= 0)
    if len(known):
        digests[known] = digests[known] * _ODD + digest_rows(documents.vectors)[context[known]]
    return digests


def _mixed(
    snapshot: Result, labels: I32, wanted: I64, context: I32, documents: DocumentVectors
) -> F32:
    """Mix the mean of the items of some documents, (m,), with their own vectors: (m, d)."""
    number = np.full(len(context) + 1, -1, dtype=np.int32)  # the last stands for none
    number[wanted] = np.arange(len(wanted), dtype=np.int32)
    of_row = number[labels]
    rows = np.flatnonzero(of_row >= 0)
    with open_vectors(snapshot.path("vectors")) as file:
        blocks = (
            (start, file.take(rows[start : start + BLOCK_ROWS]))
            for start in range(0, len(rows), BLOCK_ROWS)
        )
        vectors = cluster_sums(blocks, of_row[rows], len(wanted), file.shape[1]).centroids
    known = np.flatnonzero(context[wanted] >= 0)
    for start in range(0, len(known), _ROWS):
        some = known[start : start + _ROWS]
        vectors[some] = unit(vectors[some] + documents.vectors[context[wanted[some]]])
    return vectors


def all_smoothed(mixed: F32, of_node: I32, digests: Digests) -> Stories:
    """Take off what all documents share, and move each towards its nearest.

    Args:
        mixed: (m, d) unit vectors; changed.
        of_node: see `Stories`.
        digests: see `Stories`.
    """
    mean = _common_mean(mixed)
    plain = _without(mixed, mean)
    centres = centres_of(plain, _EXACT_ROWS)
    vectors = _moved(plain, np.arange(len(plain)), centres)
    return Stories(vectors, of_node, plain, digests, mean, centres)


def _common_mean(vectors: F32) -> F32:
    """Return what documents, (m, d) unit vectors, share: (d,), zeros for nothing."""
    nothing = np.zeros(vectors.shape[1], dtype=np.float32)
    sample = vectors[evenly_spaced(len(vectors), SAMPLE)]
    shift = shift_without_giants(sample, np.ones(len(sample), dtype=np.int32))
    if shift is None:
        return nothing
    return shrunk_mean(vectors.sum(axis=0, dtype=np.float64), len(vectors), shift)


def _without(vectors: F32, mean: F32) -> F32:
    """Take a mean off vectors, (m, d), which are changed."""
    if mean.any():
        for start in range(0, len(vectors), _ROWS):
            vectors[start : start + _ROWS] = unit(vectors[start : start + _ROWS] - mean)
    return vectors


def _moved(vectors: F32, rows: I64, centres: F32) -> F32:
    """Move some of the vectors towards their nearest: (m, d) unit vectors.

    Args:
        vectors: (n, d) unit vectors, the mean taken off.
        rows: (m,) ascending.
        centres: (c, d) of the cells in which the nearest are looked for; none: in all.
    """
    found = find_neighbours_of(vectors, rows, NEIGHBOURS, centres, _PROBES)
    ids = found.ids
    if len(rows) < len(vectors):  # the kernel takes the first rows for those that move
        part = np.concatenate([rows, np.setdiff1d(ids[ids >= 0], rows)])
        number = np.full(len(vectors) + 1, -1, dtype=np.int32)  # the last stands for none
        number[part] = np.arange(len(part), dtype=np.int32)
        vectors, ids = vectors[part], number[ids]
    smoothed = np.empty((len(rows), vectors.shape[1]), dtype=np.float32)
    ones = np.ones(len(vectors), dtype=np.int32)
    add_neighbours(vectors, ids, found.distances, ones, THRESHOLD, 0, len(rows), smoothed)
    return smoothed
