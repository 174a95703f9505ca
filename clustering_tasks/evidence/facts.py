"""Gathering what is known of nodes from the items that they stand for."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import I32
from clustering_tasks.evidence.pairs import NodeFacts
from clustering_tasks.evidence.words import read_mentions
from clustering_tasks.graph.features import DocumentVectors, load_documents
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.time_ranges import read_time_ranges
from clustering_tasks.workspace.artefacts import Result

_COLUMNS = ["mention", "document_id", "sentence", "domain", "event_type"]
_NONE = np.iinfo(np.int32).max


def node_facts(snapshot: Result, plan: Result, nodes: Nodes, weights: Weights) -> NodeFacts:
    """Read what is known of all nodes, of their documents only what has a weight."""
    with snapshot.path("items").open("rb") as file:
        items = pq.read_table(file, columns=_COLUMNS)
    first = items.select(["mention", "document_id", "sentence"]).take(nodes.row)
    nothing = DocumentVectors(np.empty((0, 0), np.float32), np.full(len(nodes.row), -1, np.int32))

    def read(name: str, weight: float) -> DocumentVectors:
        return load_documents(plan.path(name)) if weight else nothing

    return NodeFacts(
        mentions=read_mentions(first["mention"].to_pylist()),
        document=pd.factorize(first["document_id"].to_pandas())[0].astype(np.int32),
        sentence=sentences(first["document_id"], first["sentence"]),
        span=read_time_ranges(plan),
        domain=shared_code(items["domain"], nodes),
        event_type=shared_code(items["event_type"], nodes),
        documents=read("documents", weights.document_weight),
        stories=read("story_vectors", weights.story_similarity_floor),
    )


def shared_code(values: pa.ChunkedArray, nodes: Nodes) -> I32:
    """A number for what all of a node's items have that have any: (n,), -1 for none or several."""
    codes = pd.factorize(values.to_pandas(), sort=True)[0].astype(np.int32)
    rows = np.flatnonzero((nodes.node_of_row >= 0) & (codes >= 0))
    lowest = np.full(len(nodes.row), _NONE, dtype=np.int32)
    highest = np.full(len(nodes.row), -1, dtype=np.int32)
    np.minimum.at(lowest, nodes.node_of_row[rows], codes[rows])
    np.maximum.at(highest, nodes.node_of_row[rows], codes[rows])
    return np.where(lowest == highest, highest, np.int32(-1))


def sentences(documents: pa.ChunkedArray, texts: pa.ChunkedArray) -> I32:
    """A number for each sentence of each document: (n,), -1 where one of them is not known."""
    document, text = (pd.factorize(column.to_pandas())[0] for column in (documents, texts))
    both = document.astype(np.int64) * (text.max(initial=0) + 1) + text
    known = (document >= 0) & (text >= 0)
    result = np.full(len(both), -1, dtype=np.int32)
    result[known] = np.unique(both[known], return_inverse=True)[1]
    return result
