"""Which documents the level's own graph bears out.

Where two items are as good as certainly the same by their vectors, true documents are about one
story. So each strong link across documents is a vote on both of them. What chance gives is
measured, not assumed: the same votes with the partners permuted. A document that agrees with its
strong links no better than with random partners carries no evidence: a digest of many stories, a
batch of a feed, a wrong id.

Votes of trusted documents count for more: one of a digest is not evidence against its partner.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.evidence.pairs import DocumentTrust, Pairs

# A document with a few votes: so much of the level's average is mixed in. From .25 to 1, B-cubed
# F1 of ecbplus with digests, batches and shuffled ids changes by less than .01 on average.
_PRIOR_VOTES = 0.5
# Trust changes by less than .001 on average after 1 to 17 rounds (ecbplus and generated news with
# digests, batches, half of the ids shuffled). Where no document is right it is near 0 and still
# moves: more rounds decide nothing.
_ROUNDS = 15
_CLASSES = 10
# Expectations count in full where the mean squared trust of pairs is well above this: where no
# document is trusted, nothing is known of what trusted ones would show.
_LEAST_TRUST = 0.02


@dataclass(frozen=True)
class Votes:
    """Pairs of documents, each in both directions.

    Attributes:
        of: (v,) int32 the document that is judged.
        by: (v,) int32 the other one.
        gap: (v,) float32 what the similarity of their stories lacks of the floor.
    """

    of: I32
    by: I32
    gap: F32


def both_ways(found: Iterable[tuple[Pairs, F32]], of_node: I32) -> Votes:
    """Let both documents of each pair vote on the other.

    Args:
        found: pairs of nodes, and the gap between their documents' stories.
        of_node: (n,) the document of each node, known for all of the pairs.
    """
    parts = [(of_node[pairs.rows], of_node[pairs.columns], gap) for pairs, gap in found]
    one, other, gaps = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Votes(
        np.concatenate([one, other]), np.concatenate([other, one]), np.concatenate([gaps, gaps])
    )


def trust_of_documents(votes: Votes, chance: Votes, documents: int) -> F64:
    """Judge documents by their strong links, beyond what chance gives: (documents,) from 0 to 1.

    A document's trust is 1 - (mean gap to its partners) / (mean gap to random partners), both means
    weighted by the partners' squared trust; found by repetition from full trust in all.

    Args:
        votes: of strong links.
        chance: of the same links with permuted partners.
        documents: their number.
    """
    trust = np.ones(documents)
    for _ in range(_ROUNDS):
        seen = _mean_gaps(votes, np.square(trust), documents)
        usual = _mean_gaps(chance, np.square(trust), documents)
        borne_out = 1 - np.divide(seen, usual, out=np.ones(documents), where=usual > 0)
        trust = np.clip(borne_out, 0, 1)
    return trust


def _mean_gaps(votes: Votes, weights: F64, documents: int) -> F64:
    """Mean gap of each document's votes, with some of the mean over all mixed in."""
    weight = weights[votes.by]
    total = weight.sum()
    usual = float((weight * votes.gap).sum() / total) if total else 0.0
    sums = np.bincount(votes.of, weight * votes.gap, documents)
    return np.asarray(
        (sums + _PRIOR_VOTES * usual) / (np.bincount(votes.of, weight, documents) + _PRIOR_VOTES)
    )


def learn(trust: F64, chance: Votes, pairs: Pairs, gap: F32, of_node: I32) -> DocumentTrust:
    """Learn from trusted documents what pairs of a given cosine lack of the floor on average.

    A pair whose documents have trust t shows the true gap with probability t, else a random one:
    the true one's mean is what is left when the random part is taken off.

    Args:
        trust: (m,) of the documents.
        chance: votes of random partners.
        pairs: some of the graph's links between different known documents.
        gap: of these pairs.
        of_node: (n,) the document of each node.
    """
    chance_gap = float(chance.gap.mean(dtype=np.float64))
    bounds = np.quantile(pairs.cosine, np.linspace(0, 1, _CLASSES + 1)[1:-1]).astype(np.float32)
    number = np.searchsorted(bounds, pairs.cosine, side="right")
    sure = np.minimum(trust[of_node[pairs.rows]], trust[of_node[pairs.columns]])
    true_part = sure**3 * (gap - (1 - sure) * chance_gap)
    weight = np.bincount(number, sure**4, _CLASSES)
    expected = np.divide(
        np.bincount(number, true_part, _CLASSES), weight, out=np.zeros(_CLASSES), where=weight > 0
    )
    known = float(np.square(sure).mean())
    expected = np.clip(expected, 0, chance_gap) * known / (known + _LEAST_TRUST)
    usual = _mean_gaps(chance, np.ones(len(trust)), len(trust))
    return DocumentTrust(
        of_document=trust.astype(np.float32),
        by_chance=np.clip(1 - usual / chance_gap, 0, 1).astype(np.float32),
        chance_gap=chance_gap,
        bounds=bounds,
        expected_gap=expected.astype(np.float32),
    )
