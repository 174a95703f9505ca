"""What the story of each document is about, as far as its items and its own vector tell.

Two documents of one story may be worded differently, and two of different stories alike. What a
document's neighbours are about says more than it says itself: smoothed, the cosine of two
documents of one story is mostly above .85, of two stories below (ecbplus). So it can decide
whether two mentions can be of the same thing at all (`clustering_tasks.evidence.stories`).
"""

import numpy as np
import pandas as pd

from clustering_tasks.arrays import F32
from clustering_tasks.engine.cells import find_neighbours
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.engine.common_part import SAMPLE, shift_without_giants
from clustering_tasks.engine.rows import evenly_spaced, unit
from clustering_tasks.engine.smoothing import add_neighbours
from clustering_tasks.graph.features import DocumentVectors, shrunk_mean
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import open_vectors

# Plateaus on ecbplus, whole and thinned: 5 to 15 neighbours, thresholds .3 to .5.
NEIGHBOURS = 8
THRESHOLD = 0.4
# Of 20,000 documents the search took 2.8 s exactly and .6 so, with a recall of .97; the 200,000
# events that it serves got the same clusters (ARI .998; 1.0 at 5,000 documents).
_EXACT_ROWS = 8192
_PROBES = 16
_ROWS = 8192


def story_vectors(
    snapshot: Result,
    document_ids: "pd.Series[str]",
    nodes: Nodes,
    documents: DocumentVectors,
) -> DocumentVectors:
    """Mix each document's vector with the mean of its items, and smooth it over its neighbours.

    Args:
        snapshot: of the level.
        document_ids: (n,) of the rows, None where one is not known.
        nodes: of the level; rows that have none do not count.
        documents: the context, of the nodes; a document that it lacks is what its items are.

    Returns:
        one vector for each document that has an item, and the document of each node.
    """
    codes, names = pd.factorize(document_ids.where(nodes.node_of_row >= 0), sort=True)
    labels = codes.astype(np.int32)
    with open_vectors(snapshot.path("vectors")) as file:
        vectors = cluster_sums(file.blocks(), labels, len(names), file.shape[1]).centroids
    of_node = labels[nodes.row]
    both = np.flatnonzero((of_node >= 0) & (documents.of_node >= 0))
    known, first = np.unique(of_node[both], return_index=True)
    context = documents.of_node[both[first]]
    for start in range(0, len(known), _ROWS):
        rows = known[start : start + _ROWS]
        vectors[rows] += documents.vectors[context[start : start + _ROWS]]
        vectors[rows] = unit(vectors[rows])
    return DocumentVectors(smoothed(vectors), of_node)


def smoothed(vectors: F32) -> F32:
    """Take off what all documents share, and move each towards its nearest.

    Args:
        vectors: (m, d) unit vectors; changed.

    Returns:
        (m, d) unit vectors.
    """
    sample = vectors[evenly_spaced(len(vectors), SAMPLE)]
    shift = shift_without_giants(sample, np.ones(len(sample), dtype=np.int32))
    if shift is not None:
        mean = shrunk_mean(vectors.sum(axis=0, dtype=np.float64), len(vectors), shift)
        for start in range(0, len(vectors), _ROWS):
            vectors[start : start + _ROWS] = unit(vectors[start : start + _ROWS] - mean)
    found = find_neighbours(vectors, NEIGHBOURS, _EXACT_ROWS, _PROBES)
    moved = np.empty_like(vectors)
    ones = np.ones(len(vectors), dtype=np.int32)
    add_neighbours(vectors, found.ids, found.distances, ones, THRESHOLD, 0, len(vectors), moved)
    return moved
