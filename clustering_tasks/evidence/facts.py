"""Gathering what is known of nodes from the items that they stand for."""

import numpy as np
import pandas as pd
import pyarrow as pa

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import I32
from clustering_tasks.evidence.pairs import NodeFacts
from clustering_tasks.evidence.words import read_mentions
from clustering_tasks.graph.features import DocumentVectors, load_documents
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.time_ranges import read_time_ranges
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns

# Columns of the items, by the weight for which they are read.
_COLUMNS = {
    "mention": "mention_weight",
    "sentence": "sentence_penalty",
    "domain": "domain_penalty",
    "event_type": "event_type_penalty",
}
_NONE = np.iinfo(np.int32).max


def node_facts(snapshot: Result, plan: Result, nodes: Nodes, weights: Weights) -> NodeFacts:
    """Read what is known of all nodes; what has no weight, but the document, stays unknown."""
    wanted = [name for name, weight in _COLUMNS.items() if getattr(weights, weight)]
    items = read_columns(snapshot.path("items"), ["document_id", *wanted])
    rows = pa.array(nodes.row)
    nothing = DocumentVectors(np.empty((0, 0), np.float32), np.full(len(nodes.row), -1, np.int32))
    unknown = np.full(len(nodes.row), -1, dtype=np.int32)

    def first(name: str) -> pa.Array:
        return items[name].take(rows) if name in items else pa.nulls(len(rows), pa.string())

    def shared(name: str) -> I32:
        return shared_code(items[name], nodes) if name in items else unknown

    def read(name: str, weight: float) -> DocumentVectors:
        return load_documents(plan.path(name)) if weight else nothing

    document = first("document_id")
    return NodeFacts(
        mentions=read_mentions(first("mention").to_pylist()),
        document=pd.factorize(document.to_pandas())[0].astype(np.int32),
        sentence=sentences(document, first("sentence")) if "sentence" in items else unknown,
        span=read_time_ranges(plan),
        domain=shared("domain"),
        event_type=shared("event_type"),
        documents=read("documents", weights.document_weight),
        stories=read("story_vectors", weights.story_similarity_floor),
    )


def shared_code(values: pa.Array, nodes: Nodes) -> I32:
    """A number for what all of a node's items have that have any: (n,), -1 for none or several."""
    codes = pd.factorize(values.to_pandas(), sort=True)[0].astype(np.int32)
    rows = np.flatnonzero((nodes.node_of_row >= 0) & (codes >= 0))
    lowest = np.full(len(nodes.row), _NONE, dtype=np.int32)
    highest = np.full(len(nodes.row), -1, dtype=np.int32)
    np.minimum.at(lowest, nodes.node_of_row[rows], codes[rows])
    np.maximum.at(highest, nodes.node_of_row[rows], codes[rows])
    return np.where(lowest == highest, highest, np.int32(-1))


def sentences(documents: pa.Array, texts: pa.Array) -> I32:
    """A number for each sentence of each document: (n,), -1 where one of them is not known."""
    document, text = (pd.factorize(column.to_pandas())[0] for column in (documents, texts))
    both = document.astype(np.int64) * (text.max(initial=0) + 1) + text
    known = (document >= 0) & (text >= 0)
    result = np.full(len(both), -1, dtype=np.int32)
    result[known] = np.unique(both[known], return_inverse=True)[1]
    return result
