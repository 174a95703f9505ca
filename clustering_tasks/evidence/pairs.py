"""What a piece of evidence gets: pairs of nodes, and what is known of the nodes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, F64, I32, I64
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

    def take(self, at: I64) -> "Pairs":
        """Return some of the pairs, in the given order."""
        return Pairs(self.rows[at], self.columns[at], self.cosine[at], self.similarity[at])


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
class DocumentTrust:
    """How far the level's graph bears out its documents (`evidence.document_trust`).

    Attributes:
        of_document: (m,) float32 probability that a document is right for its items.
        by_chance: (m,) float32 how far a document agrees with random others, from 0 to 1.
        chance_gap: what the similarity of two random stories lacks of the floor, on average.
        bounds: (b - 1,) float32 cosines, ascending, that divide pairs into b classes.
        expected_gap: (b,) float32 the same of the pairs of a class whose documents are right.
    """

    of_document: F32
    by_chance: F32
    chance_gap: float
    bounds: F32
    expected_gap: F32

    def posterior_gap(self, gap: F32, pairs: Pairs, of_node: I32) -> F32:
        """Mean of the true gap, given the one that the documents show.

        Right documents of a pair show a gap as often as pairs of this cosine have one; wrong
        documents show one as often as chance. What is shown counts by the probability that both
        documents are right, given that; for the rest the expectation counts.

        Args:
            gap: (m,) shown by pairs, NaN where a document is not known.
            pairs: (m,).
            of_node: (n,) the document of each node, -1 for unknown.
        """
        one, other = of_node[pairs.rows], of_node[pairs.columns]
        right = np.minimum(self.of_document[one], self.of_document[other])
        expected = self.expected_gap[np.searchsorted(self.bounds, pairs.cosine, side="right")]
        agreeing = np.minimum(1, np.maximum(self.by_chance[one], self.by_chance[other]))
        agreeing = np.where(one == other, np.float32(1), agreeing)  # wrong or right, it does
        usual = expected / np.float32(self.chance_gap)
        shown = np.minimum(gap / np.float32(self.chance_gap), 1)
        trust = shown * _posterior(right, usual, 1) + (1 - shown) * _posterior(
            right, 1 - usual, agreeing
        )
        return np.asarray(trust * gap + (1 - trust) * expected, dtype=np.float32)


def _posterior(prior: F32, if_right: F32, if_wrong: F32 | float) -> F32:
    """Bayes' rule; the prior where neither is possible."""
    right, wrong = prior * if_right, (1 - prior) * if_wrong
    total = right + wrong
    return np.asarray(np.divide(right, total, out=prior.copy(), where=total > 0))


@dataclass(frozen=True)
class NodeFacts:
    """What is known of n nodes besides their vectors.

    A node stands for all items with one vector. Their words and their document are those of the
    first of them. Dates are the hull of all theirs, and a kind is known where all have the same:
    in doubt there is no evidence, because what separates one item from another would separate
    another with the same vector too.

    Attributes:
        mentions: the words that name each node.
        document: (n,) int32 equal for nodes of one document, -1 for unknown.
        sentence: (n,) int32 equal for nodes from one sentence of one document, -1 for unknown.
        span: (n, 2) float64 first and last time in days since 1970, NaN for undated.
        domain, event_type: (n,) int32 codes, -1 for unknown.
        documents: of the nodes, as the context tells.
        stories: vectors of the documents' stories (`clustering_tasks.steps.plan.story_vectors`).
        trust: in the documents of `stories`; None: in all of them.
    """

    mentions: Mentions
    document: I32
    sentence: I32
    span: F64
    domain: I32
    event_type: I32
    documents: DocumentVectors
    stories: DocumentVectors
    trust: DocumentTrust | None = None

    def part(self, rows: slice | I32) -> "NodeFacts":
        """The facts of some nodes, in the order given."""
        documents, stories = (
            replace(about, of_node=about.of_node[rows]) for about in (self.documents, self.stories)
        )
        return NodeFacts(
            mentions=replace(self.mentions, text=self.mentions.text[rows]),
            document=self.document[rows],
            sentence=self.sentence[rows],
            span=self.span[rows],
            domain=self.domain[rows],
            event_type=self.event_type[rows],
            documents=documents,
            stories=stories,
            trust=self.trust,
        )


Piece = Callable[[Pairs, NodeFacts, Weights], F32]
