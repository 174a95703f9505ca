"""What a piece of evidence gets: pairs of nodes, and what is known of the nodes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.graph.features import DocumentVectors


@dataclass(frozen=True)
class Pairs:
    """Linked nodes.

    Attributes:
        rows, columns: (m,) int32 the two nodes of each pair.
        cosine: (m,) float32 of their vectors.
        similarity: (m,) float32 the cosine and what the pieces before have added.
    """

    rows: I32
    columns: I32
    cosine: F32
    similarity: F32


@dataclass(frozen=True)
class Mentions:
    """The words that name nodes, as sets of letter sequences (2 to 4, within words).

    Attributes:
        bounds: (t + 1,) int32 where each different text's sequences begin in `letters`.
        letters: int32 numbers of sequences, ascending within a text.
        text: (n,) int32 the text of each node.
    """

    bounds: I32
    letters: I32
    text: I32


@dataclass(frozen=True)
class NodeFacts:
    """What is known of n nodes besides their vectors.

    A node stands for all items with one vector. Their words and their document are those of the
    first of them. Dates are the hull of all theirs, and a kind is known where all have the same:
    in doubt there is no evidence, because what separates one item from another would separate
    another with the same vector too.

    Attributes:
        mentions: the words that name each node.
        sentence: (n,) int32 equal for nodes from one sentence of one document, -1 for unknown.
        span: (n, 2) float64 first and last time in days since 1970, NaN for undated.
        domain, event_type: (n,) int32 codes, -1 for unknown.
        documents: of the nodes, as the context tells.
        stories: vectors of the documents' stories (`clustering_tasks.steps.plan.story_vectors`).
    """

    mentions: Mentions
    sentence: I32
    span: F64
    domain: I32
    event_type: I32
    documents: DocumentVectors
    stories: DocumentVectors

    def part(self, rows: slice) -> "NodeFacts":
        """The facts of consecutive nodes."""
        documents, stories = (
            replace(about, of_node=about.of_node[rows]) for about in (self.documents, self.stories)
        )
        return NodeFacts(
            mentions=replace(self.mentions, text=self.mentions.text[rows]),
            sentence=self.sentence[rows],
            span=self.span[rows],
            domain=self.domain[rows],
            event_type=self.event_type[rows],
            documents=documents,
            stories=stories,
        )


Piece = Callable[[Pairs, NodeFacts, Weights], F32]
