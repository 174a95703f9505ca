"""What the context says of each document: the mean of its vectors."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from clustering_tasks.engine.centroids import add_rows
from clustering_tasks.engine.rows import unit
from clustering_tasks.graph.features import DocumentVectors
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.vector_files import open_vectors

_ROWS = 32_768


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
        vectors = np.zeros((len(documents), file.shape[1]), dtype=np.float32)
        for start, block in file.blocks():
            add_rows(block, labels[start : start + len(block)], vectors)
    # in place: there may be as many documents as items
    for start in range(0, len(vectors), _ROWS):
        vectors[start : start + _ROWS] = unit(vectors[start : start + _ROWS])
    known = pd.Index(documents).get_indexer(pd.Index(document_ids))
    of_node = np.where(document_ids.isna(), -1, known).astype(np.int32)
    return DocumentVectors(vectors, of_node)
