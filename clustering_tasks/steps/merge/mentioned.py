"""What the nodes of a level of mentions are called, and where they stand."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import csr_array

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.centroids import cluster_sums
from clustering_tasks.engine.exact import cosines
from clustering_tasks.engine.rows import unit
from clustering_tasks.evidence.facts import sentences
from clustering_tasks.graph.features import DocumentVectors, load_documents
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.language.english import words
from clustering_tasks.language.entity_names import Kind, common_nouns, kind_among
from clustering_tasks.workspace.artefacts import Result
from clustering_tasks.workspace.columns import read_columns
from clustering_tasks.workspace.vector_files import BLOCK_ROWS, VectorFile

PERSON = "PER"
# The same words of these types are another thing in another story.
MEASURES = words("DATE TIME DURATION AGE NUMBER CARDINAL ORDINAL MONEY PERCENT QUANTITY")


@dataclass(frozen=True)
class Mentioned:
    """What is known of n nodes by their words.

    Attributes:
        texts: the different mentions.
        kinds: of each text.
        text: (n,) int32 of each node, -1 for none.
        types: of entities, by the number in `type_of`.
        type_of: (n,) int32.
        document: (n,) int32, -1 for unknown.
        sentence: (n,) int32 one for each sentence of a document, -1 for unknown.
        sentences: their texts, by the number in `sentence`.
        weight: (n,) int32 items.
        stories: of the documents; None where the level has none.
        common: what is no name at this level.
    """

    texts: list[str]
    kinds: list[Kind]
    text: I32
    types: list[str]
    type_of: I32
    document: I32
    sentence: I32
    sentences: list[str]
    weight: I32
    stories: DocumentVectors | None
    common: frozenset[str]

    def counts(self, members: I64) -> Counter[str]:
        """Count the mentions of some nodes, by items."""
        counts = Counter[str]()
        for text, weight in zip(
            self.text[members].tolist(), self.weight[members].tolist(), strict=True
        ):
            if text >= 0:
                counts[self.texts[text]] += weight
        return counts

    def kind(self, members: I64, kind: Kind) -> I64:
        """Return those of some nodes whose mention is of a kind."""
        texts = self.text[members].tolist()
        return members[[text >= 0 and self.kinds[text] == kind for text in texts]]

    def items(self, members: I64) -> int:
        """Count the items that some nodes stand for."""
        return int(self.weight[members].sum())

    def documents(self, members: I64) -> set[int]:
        """Return the documents of some nodes, as far as they are known."""
        return set(self.document[members].tolist()) - {-1}

    def share_stories(self, ones: Sequence[I64], others: Sequence[I64], floor: float) -> Mask:
        """Tell which groups of nodes have a document in common with others, or like stories.

        Args:
            ones: k groups.
            others: m groups.
            floor: least cosine of two mean stories.

        Returns:
            (k, m).
        """
        shared: Mask = (self._in_documents(ones) @ self._in_documents(others).T).toarray()
        if self.stories is None:
            return shared
        (first, told), (second, told_too) = (self._stories_of(each) for each in (ones, others))
        return shared | ((cosines(first, second) >= floor) & told[:, None] & told_too)

    def _in_documents(self, groups: Sequence[I64]) -> csr_array:
        """Return which documents each group is in: (k, documents)."""
        group = np.repeat(np.arange(len(groups)), [len(each) for each in groups])
        document = self.document[np.concatenate(groups)]
        known = document >= 0
        shape = (len(groups), int(self.document.max(initial=-1)) + 1)
        return csr_array((known[known], (group[known], document[known])), shape=shape)

    def _stories_of(self, groups: Sequence[I64]) -> tuple[F32, Mask]:
        """Return the mean story of each group, (k, d), and whether it has one, (k,)."""
        assert self.stories is not None  # noqa: S101 - the caller has looked
        means = np.zeros((len(groups), self.stories.vectors.shape[1]), dtype=np.float32)
        told = np.zeros(len(groups), dtype=bool)
        for number, members in enumerate(groups):
            of = self.stories.of_node[members]
            of = of[of >= 0]
            if len(of):
                told[number] = True
                means[number] = unit(self.stories.vectors[of].mean(axis=0, keepdims=True))[0]
        return means, told


def centroids(nodes: Nodes, vectors: VectorFile, groups: Sequence[I64]) -> F32:
    """Average the vectors of some groups of nodes: (g, d) unit vectors.

    Args:
        nodes: of the level.
        vectors: of the snapshot.
        groups: nodes of each.
    """
    members = np.concatenate([*groups, np.empty(0, np.int64)])
    group = np.repeat(np.arange(len(groups)), [len(each) for each in groups]).astype(np.int32)
    blocks = (
        (start, vectors.take(nodes.row[members[start : start + BLOCK_ROWS]]))
        for start in range(0, len(members), BLOCK_ROWS)
    )
    return cluster_sums(blocks, group, len(groups), vectors.shape[1]).centroids


def read_mentioned(snapshot: Result, plan: Result, nodes: Nodes) -> Mentioned:
    """Read the words of a level's nodes; a node's are those of its first item."""
    columns = read_columns(snapshot.path("items"), ["mention", "document_id", "sentence"])
    rows, items = nodes.row, np.flatnonzero(nodes.node_of_row >= 0)
    coded = columns["mention"].dictionary_encode()
    of_row = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    texts = coded.dictionary.to_pylist()
    said = np.bincount(of_row[items][of_row[items] >= 0], minlength=len(texts)).tolist()
    common = common_nouns(dict(zip(texts, said, strict=True)))
    documents = pd.factorize(columns["document_id"].to_pandas(), sort=True)[0]
    first = pa.array(rows)
    told = columns["sentence"].take(first)
    sentence = sentences(columns["document_id"].take(first), told)
    stories = None
    if "story_vectors" in plan.files:
        stories = load_documents(plan.path("story_vectors"))
    return Mentioned(
        texts=texts,
        kinds=[kind_among(text, common) for text in texts],
        text=of_row[rows],
        types=[str(name) for name in nodes.group_names],
        type_of=nodes.group,
        document=documents[rows].astype(np.int32),
        sentence=sentence,
        sentences=_texts_of(sentence, told.to_pylist()),
        weight=nodes.weight,
        stories=stories,
        common=common,
    )


def _texts_of(number: I32, texts: Sequence[str | None]) -> list[str]:
    """Return the text of each number, from those of the nodes, (n,)."""
    first = np.unique(number, return_index=True)[1]
    return [texts[at] or "" for at in first.tolist() if number[at] >= 0]


def members_of(labels: I32) -> Iterator[tuple[int, I64]]:
    """Yield the clusters, ascending, and the nodes of each, ascending.

    Args:
        labels: (n,) of the nodes, negative for none.
    """
    order = np.argsort(labels, kind="stable")
    count = int(labels.max(initial=-1)) + 1
    bounds = np.searchsorted(labels[order], np.arange(count + 1)).tolist()
    for cluster, (first, last) in enumerate(pairwise(bounds)):
        if last > first:
            yield cluster, order[first:last]
