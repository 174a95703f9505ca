"""Checking each piece of evidence on the graph that it is about to change.

Evidence is taken from metadata, and metadata may be anything: digests instead of articles, batches
of a feed as documents, one word as the mention of all events, dates of the crawl. Vectors can tell:
two items that have each other among their nearest and are among the most alike of the level (a
strong link) are most likely the same. Evidence that separates items has to find them together, far
more often than random pairs of the same items. What chance gives is measured by permuting the
links' ends; no figure of any collection is needed.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import structlog

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.mutual import mutual_neighbours
from clustering_tasks.engine.window import days_apart
from clustering_tasks.evidence import EVIDENCE
from clustering_tasks.evidence.document_trust import (
    both_ways,
    learn,
    trust_of_documents,
)
from clustering_tasks.evidence.kinds import differing
from clustering_tasks.evidence.pairs import DocumentTrust, NodeFacts, Pairs
from clustering_tasks.evidence.stories import document_similarity, story_gap
from clustering_tasks.evidence.words import mention_likeness, same_sentence
from clustering_tasks.workspace.artefacts import Metric

log = structlog.get_logger()

State = Literal["kept", "damped", "off", "unchecked"]

RANK = 10  # first neighbours among which the ends of a strong link have each other
STRONGEST = 0.25  # of these links, by cosine
FEWEST = 20  # links; fewer show nothing
# From a half on, strong links bear a piece out more than they contradict it: it is kept whole.
_MAJORITY = 0.5
KEPT, OFF = 0.8, 0.05  # factors from which a piece counts as kept, below which it is off
_PERMUTATIONS = 2
# Standard errors beyond which a difference is no chance. Links share nodes, so more than the usual
# two.
_ERRORS = 4
# Share of the similarity within stories that a learned decay takes off, on average. .05 gains less
# where stories last for days, .12 loses .035 of B-cubed F1 where they last for months
# (docs/ALGORITHMS.md).
_LOST = 0.08
_FASTEST, _SLOWEST = 90.0, 36_525.0  # days
_SOME_LINKS = 1 << 17  # of the graph, that expectations are learned from


@dataclass(frozen=True)
class Finding:
    """What the graph shows of one piece of evidence.

    Attributes:
        state: `kept`, `damped`, `off`; `unchecked` where nothing could be measured.
        factor: what is left of the piece's effect.
        agreement: 1 - (disagreement on strong links) / (disagreement on random pairs): 1 where all
            strong links are borne out, 0 where they are no better than chance; None: not measured.
        cut_share: share of the strong links that the piece, undamped and alone, lowers below the
            level's background: the median cosine of an item to the farthest neighbour that it has
            in the graph.
    """

    state: State
    factor: float
    agreement: float | None
    cut_share: float | None = None

    def record(self) -> dict[str, Metric]:
        """Return the finding as JSON types."""
        return asdict(self)


UNCHECKED = Finding("unchecked", 1.0, None)


@dataclass(frozen=True)
class CheckedEvidence:
    """Evidence after the check.

    Attributes:
        facts: with the trust in documents.
        weights: damped.
        findings: of the pieces that have a weight, by their name in the report.
    """

    facts: NodeFacts
    weights: Weights
    findings: dict[str, Finding]


def check_evidence(ids: I32, distances: F32, facts: NodeFacts, weights: Weights) -> CheckedEvidence:
    """Damp each piece of evidence as far as the graph does not bear it out.

    Args:
        ids: (n, k) neighbours of all nodes of the level, nearest first, -1 for none.
        distances: (n, k) Euclidean distances of their unit vectors.
        facts: of the n nodes.
        weights: of the pieces, as set.
    """
    links, across = strong_links(ids, distances, facts)
    learned = weights.learned_decay
    if learned:
        weights = weights.with_decay(learn_decay(across, facts))
    findings, damped = {}, weights
    for name, piece in _PIECES.items():
        if getattr(weights, piece.weight):
            finding = _judge(piece, links if piece.explains else across, facts, weights)
            if name == "decay" and learned:  # as far as the links bear it out
                finding = replace(finding, state="kept", factor=1.0)
            findings[name] = finding
            damped = piece.damp(damped, finding.factor)
    if weights.story_similarity_floor:
        trust, findings["stories"] = _judge_stories(ids, distances, across, facts, weights)
        facts = replace(facts, trust=trust)
    if weights.window_days is not None:
        findings["window"] = UNCHECKED  # the search kept to it: what it cuts is not in the graph
    shares = _cut_shares(links, background(ids, distances), replace(facts, trust=None), weights)
    findings = {
        name: replace(finding, cut_share=shares.get(name)) for name, finding in findings.items()
    }
    for name, finding in findings.items():
        if finding.state in ("damped", "off"):
            log.warning("the graph does not bear evidence out", piece=name, **finding.record())
    return CheckedEvidence(facts, damped, findings)


def learn_decay(links: Pairs, facts: NodeFacts) -> float | None:
    """Learn how slowly similarity has to decay, so that stories bear it.

    The days between the ends of strong links are how long stories last, but for links between two
    stories, which are as far apart as chance has it. Their share shows among the links that are
    farther apart than half of the random pairs. The decay is the fastest one that takes no more
    than a given share off the similarity within stories.

    Args:
        links: strong ones.
        facts: of the nodes.

    Returns:
        days after which similarity has fallen to 1/e, at least 90; None where strong links are no
        nearer in time than chance puts them, beyond doubt: dates are no evidence.
    """
    seen = _known(days_apart(facts.span, links.rows, links.columns))
    drawn = [_known(days_apart(facts.span, p.rows, p.columns)) for p in permuted(links)]
    chance = np.concatenate(drawn)
    if len(seen) < FEWEST or not len(chance):
        return None
    far = np.median(chance)
    beyond = float((chance > far).mean())
    wrong = float((seen > far).mean()) / beyond if beyond else 1.0
    if wrong >= 1:
        return None

    def excess(log_days: float) -> float:
        within = _lost(seen, log_days).mean() - wrong * _lost(chance, log_days).mean()
        return float(within / (1 - wrong) - _LOST)

    # a quarter of what `merge` imports, and few runs learn a decay
    from scipy.optimize import brentq

    fastest, slowest = np.log(_FASTEST), np.log(_SLOWEST)
    if excess(slowest) > 0:
        return None
    at = brentq(excess, fastest, slowest) if excess(fastest) > 0 else fastest
    lost, usual = _lost(seen, at), _lost(chance, at)
    error = np.hypot(lost.std(), usual.std()) / np.sqrt(len(seen))
    # whole days: the last bits are a library's
    days = float(np.round(np.exp(at))) if usual.mean() - lost.mean() > _ERRORS * error else None
    log.info("decay learned", days=days)
    return days


def _lost(apart: F64, log_days: float) -> F64:
    return np.asarray(1 - np.exp(-apart / np.exp(log_days)))


def as_set(facts: NodeFacts, weights: Weights) -> CheckedEvidence:
    """Take all evidence as it is set."""
    names = (name for name, weight in NAMES.items() if getattr(weights, weight))
    return CheckedEvidence(facts, weights, dict.fromkeys(names, UNCHECKED))


def strong_links(ids: I32, distances: F32, facts: NodeFacts) -> tuple[Pairs, Pairs]:
    """Find the strong links of a level, and those between different documents.

    Within a document vectors are alike for their context, so only links across documents are
    witnesses for most pieces; where there are none, all are.
    """
    rows, columns, at = mutual_neighbours(ids, RANK)
    cosine = (1 - np.square(distances[rows, at]) / 2).astype(np.float32)
    one, other = facts.document[rows], facts.document[columns]
    links = _strongest(rows, columns, cosine)
    apart = (one != other) | (one < 0)
    across = _strongest(rows[apart], columns[apart], cosine[apart])
    return links, across if len(across.rows) >= FEWEST else links


def _strongest(rows: I32, columns: I32, cosine: F32) -> Pairs:
    if len(cosine):
        strong = cosine >= np.quantile(cosine, 1 - STRONGEST)
        rows, columns, cosine = rows[strong], columns[strong], cosine[strong]
    return Pairs(rows, columns, cosine, cosine)


def permuted(pairs: Pairs) -> Iterator[Pairs]:
    """Pair the same nodes at random, some times over; none with itself."""
    rng = np.random.default_rng(0)
    for _ in range(_PERMUTATIONS):
        columns = rng.permutation(pairs.columns)
        others = np.flatnonzero(pairs.rows != columns)
        cosine = pairs.cosine[others]  # of the links: no disagreement reads it
        yield Pairs(pairs.rows[others], columns[others], cosine, cosine)


def background(ids: I32, distances: F32) -> float:
    """Median cosine of a node to the farthest of its neighbours in the graph."""
    count = (ids >= 0).sum(axis=1)
    rows = np.flatnonzero(count)
    farthest = distances[rows, count[rows] - 1]
    return float(np.median(1 - np.square(farthest) / 2)) if len(rows) else 0.0


@dataclass(frozen=True)
class _Piece:
    """How a piece of evidence is judged.

    Attributes:
        weight: its field of `Weights`.
        disagreement: (m,) what it holds against pairs, from 0; NaN where it knows nothing.
        explains: whether it is about what makes vectors alike without reason: it has to meet
            strong links more often than random pairs, not less often.
        needs_difference: whether a piece that finds all pairs alike still raises their similarity.
    """

    weight: str
    disagreement: Callable[[Pairs, NodeFacts, Weights], F32]
    explains: bool = False
    needs_difference: bool = False

    def damp(self, weights: Weights, factor: float) -> Weights:
        """Leave this share of the piece's effect."""
        value = getattr(weights, self.weight)
        if self.weight == "decay_days":  # a longer one has less effect
            return replace(weights, decay_days=value / factor if factor else None)
        return replace(weights, **{self.weight: value * factor})


def _unlike_mentions(pairs: Pairs, facts: NodeFacts, _weights: Weights) -> F32:
    return 1 - mention_likeness(facts.mentions, pairs.rows, pairs.columns)


def _like_documents(pairs: Pairs, facts: NodeFacts, _weights: Weights) -> F32:
    return np.maximum(document_similarity(facts.documents, pairs), 0)


def _one_sentence(pairs: Pairs, facts: NodeFacts, _weights: Weights) -> F32:
    return same_sentence(pairs, facts, Weights(sentence_penalty=-1.0))


def _other_domain(pairs: Pairs, facts: NodeFacts, _weights: Weights) -> F32:
    return differing(pairs, facts.domain, -1.0)


def _other_event_type(pairs: Pairs, facts: NodeFacts, _weights: Weights) -> F32:
    return differing(pairs, facts.event_type, -1.0)


def _lost_by_decay(pairs: Pairs, facts: NodeFacts, weights: Weights) -> F32:
    apart = days_apart(facts.span, pairs.rows, pairs.columns)
    return (1 - np.exp(-apart / (weights.decay_days or np.inf))).astype(np.float32)


_PIECES = {
    "mentions": _Piece("mention_weight", _unlike_mentions, needs_difference=True),
    "documents": _Piece("document_weight", _like_documents, explains=True),
    "sentences": _Piece("sentence_penalty", _one_sentence, explains=True),
    "domains": _Piece("domain_penalty", _other_domain),
    "event_types": _Piece("event_type_penalty", _other_event_type),
    "decay": _Piece("decay_days", _lost_by_decay),
}
# Names in the report, and the fields of `Weights` that switch the pieces.
NAMES = {
    **{name: piece.weight for name, piece in _PIECES.items()},
    "stories": "story_similarity_floor",
    "window": "window_days",
}


def _judge(piece: _Piece, links: Pairs, facts: NodeFacts, weights: Weights) -> Finding:
    seen = _known(piece.disagreement(links, facts, weights))
    if len(seen) < FEWEST:
        return UNCHECKED
    chance = np.concatenate(
        [_known(piece.disagreement(pairs, facts, weights)) for pairs in permuted(links)]
    )
    found, usual = float(seen.mean()), float(chance.mean()) if len(chance) else 0.0
    expected, unexpected = (found, usual) if piece.explains else (usual, found)
    if piece.needs_difference and expected <= 0:
        return Finding("off", 0.0, 0.0)
    if expected * len(seen) < FEWEST:
        return UNCHECKED
    agreement = 1 - unexpected / expected
    factor = min(max(agreement, 0.0) / _MAJORITY, 1.0)
    factor = factor if factor >= OFF else 0.0
    return Finding(_state(factor), factor, agreement)


def _known(values: F32 | F64) -> F64:
    return values[np.isfinite(values)].astype(np.float64)


def _state(factor: float) -> State:
    if factor >= KEPT:
        return "kept"
    return "damped" if factor >= OFF else "off"


def _judge_stories(
    ids: I32, distances: F32, across: Pairs, facts: NodeFacts, weights: Weights
) -> tuple[DocumentTrust | None, Finding]:
    """Judge each document by itself; the factor is the mean over the documents of the items."""

    def gaps(pairs: Pairs) -> tuple[Pairs, F32]:
        known = pairs.take(_between_documents(pairs, facts))
        return known, story_gap(known, facts.stories, weights.story_similarity_floor)

    links, seen = gaps(across)
    chance = [gaps(pairs) for pairs in permuted(links)]
    usual = np.concatenate([gap for _, gap in chance])
    if len(seen) < FEWEST or usual.mean() <= 0:
        return None, UNCHECKED
    of_node = facts.stories.of_node
    random = both_ways(chance, of_node)
    trust = trust_of_documents(
        both_ways([(links, seen)], of_node), random, len(facts.stories.vectors)
    )
    found = learn(trust, random, *gaps(_some_links(ids, distances)), of_node)
    factor = float(trust[of_node[of_node >= 0]].mean())
    agreement = float(1 - seen.mean(dtype=np.float64) / usual.mean(dtype=np.float64))
    return found, Finding(_state(factor), factor, agreement)


def _between_documents(pairs: Pairs, facts: NodeFacts) -> I64:
    one, other = facts.stories.of_node[pairs.rows], facts.stories.of_node[pairs.columns]
    return np.flatnonzero((one >= 0) & (other >= 0) & (one != other))


def _some_links(ids: I32, distances: F32) -> Pairs:
    """Links of the graph, evenly spaced in the order of the nodes."""
    linked = np.flatnonzero(ids.ravel() >= 0)
    some = linked[:: -(-len(linked) // _SOME_LINKS)]
    cosine = (1 - np.square(distances.ravel()[some]) / 2).astype(np.float32)
    rows = (some // ids.shape[1]).astype(np.int32)
    return Pairs(rows, ids.ravel()[some], cosine, cosine)


def _cut_shares(links: Pairs, least: float, facts: NodeFacts, weights: Weights) -> dict[str, float]:
    """Share of the links that each piece alone lowers below the background."""
    if not len(links.rows):
        return {}
    return {
        name: float((links.cosine + EVIDENCE[weight](links, facts, weights) < least).mean())
        for name, weight in NAMES.items()
        if getattr(weights, weight)
    }
