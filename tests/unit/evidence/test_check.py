"""Evidence is damped as far as the graph contradicts it, and kept where it is borne out."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from clustering_tasks.algorithms.method import Weights
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.evidence import with_evidence
from clustering_tasks.evidence.check import NAMES, CheckedEvidence, as_set, check_evidence
from clustering_tasks.evidence.pairs import NodeFacts
from clustering_tasks.evidence.words import read_mentions
from clustering_tasks.graph.features import DocumentVectors
from tests.stage3_folder import blobs, scattered, unit

STORIES, SIZE, PER_DOCUMENT = 30, 12, 4
N = STORIES * SIZE
STORY = np.repeat(np.arange(STORIES), SIZE)
VECTORS = blobs([SIZE] * STORIES, spread=0.05, dimension=64)
FOUND = exact_neighbours(VECTORS, 0, N, 16)
IDS, DISTANCES = FOUND.ids, FOUND.distances
NAMES_OF_STORIES = [f"{a}{b}" for a in ("Kalu", "Mirto", "Benzo") for b in "abcdefghij"]
WEIGHTS = Weights(
    mention_weight=0.3,
    document_weight=0.1,
    story_similarity_floor=0.85,
    story_penalty_factor=1.5,
    sentence_penalty=0.1,
    domain_penalty=0.1,
    event_type_penalty=0.1,
    decay_days=7,
    window_days=400,
)


def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def documents_of(story: npt.ArrayLike) -> DocumentVectors:
    """Documents of four items each, with the vector of the story that most of them tell."""
    document = np.arange(N, dtype=np.int32) // PER_DOCUMENT
    of_story = np.asarray(story)[::PER_DOCUMENT]
    return DocumentVectors(scattered(STORIES, seed=5, dimension=64)[of_story], document)


def days_of(story: npt.ArrayLike) -> Any:
    day = np.asarray(story) * 10.0
    return np.stack([day, day + 1], axis=1)


FACTS = NodeFacts(
    mentions=read_mentions([NAMES_OF_STORIES[story] for story in STORY]),
    document=np.arange(N, dtype=np.int32) // PER_DOCUMENT,
    sentence=np.arange(N, dtype=np.int32) // 2,
    span=days_of(STORY),
    domain=(STORY % 5).astype(np.int32),
    event_type=(STORY % 7).astype(np.int32),
    documents=documents_of(STORY),
    stories=documents_of(STORY),
)
SHUFFLED = drawn(1).permutation(N)


def check(facts: NodeFacts = FACTS, weights: Weights = WEIGHTS) -> CheckedEvidence:
    return check_evidence(IDS, DISTANCES, facts, weights)


def states(facts: NodeFacts = FACTS) -> dict[str, str]:
    return {name: finding.state for name, finding in check(facts).findings.items()}


def edges_kept(facts: NodeFacts, weights: Weights) -> float:
    """Share of the links within stories whose similarity stays above .6."""
    ids, distances = with_evidence(IDS, DISTANCES, facts, weights)
    rows, at = np.nonzero((ids >= 0) & (distances < np.sqrt(0.8)))
    return float((STORY[rows] == STORY[ids[rows, at]]).sum() / (N * (SIZE - 1)))


def test_evidence_that_agrees_with_the_vectors_is_kept_as_it_is() -> None:
    found = check()
    assert set(found.findings) == set(NAMES)
    assert {name: f.state for name, f in found.findings.items() if f.state != "kept"} == {
        "window": "unchecked"
    }
    assert found.weights == WEIGHTS
    assert all(finding.factor == pytest.approx(1, abs=0.01) for finding in found.findings.values())
    assert found.facts.trust is not None
    assert found.facts.trust.of_document.min() > 0.99


def mixed(column: Any) -> Any:
    return column[SHUFFLED]


@pytest.mark.parametrize(
    ("piece", "wrong"),
    [
        ("mentions", {"mentions": read_mentions([NAMES_OF_STORIES[s] for s in STORY[SHUFFLED]])}),
        ("stories", {"stories": documents_of(drawn(2).permutation(STORY))}),
        ("domains", {"domain": mixed(FACTS.domain)}),
        ("event_types", {"event_type": mixed(FACTS.event_type)}),
        ("decay", {"span": days_of(STORY[SHUFFLED])}),
        ("documents", {"documents": documents_of(np.zeros(N, dtype=np.int32))}),
        ("sentences", {"sentence": np.zeros(N, dtype=np.int32)}),
    ],
)
def test_evidence_no_better_than_chance_is_off_and_the_rest_is_kept(
    piece: str, wrong: dict[str, Any]
) -> None:
    found = states(replace(FACTS, **wrong))
    assert found[piece] in ("off", "damped")
    finding = check(replace(FACTS, **wrong)).findings[piece]
    assert finding.factor < 0.25
    others = {name for name, state in found.items() if state in ("off", "damped")} - {piece}
    assert others == set()


def test_what_is_off_changes_no_edge() -> None:
    facts = replace(FACTS, event_type=drawn(4).integers(0, N, N).astype(np.int32))
    weights = Weights(event_type_penalty=0.9)
    assert edges_kept(facts, weights) < 0.1
    found = check(facts, weights)
    assert found.findings["event_types"].state == "off"
    assert found.findings["event_types"].cut_share == pytest.approx(1, abs=0.05)
    assert edges_kept(found.facts, found.weights) == edges_kept(FACTS, Weights())


def test_one_mention_for_all_is_no_mention() -> None:
    found = check(replace(FACTS, mentions=read_mentions(["said"] * N)))
    assert found.findings["mentions"].state == "off"
    assert found.weights.mention_weight == 0


@pytest.mark.parametrize(
    "nothing",
    [
        {"domain": np.zeros(N, dtype=np.int32)},
        {"event_type": np.full(N, -1, dtype=np.int32)},
        {"span": np.zeros((N, 2))},
        {"span": np.full((N, 2), np.nan)},
        {"mentions": read_mentions([None] * N)},
        {"sentence": np.full(N, -1, dtype=np.int32)},
    ],
    ids=["one domain", "no type", "one date", "undated", "no mention", "no sentence"],
)
def test_what_separates_nothing_is_left_alone(nothing: dict[str, Any]) -> None:
    found = check(replace(FACTS, **nothing))
    assert {f.state for f in found.findings.values()} == {"kept", "unchecked"}
    assert found.weights == WEIGHTS


def digests(share: float) -> tuple[NodeFacts, I32]:
    """The facts when the items of a share of the documents are mixed, and those documents."""
    count = N // PER_DOCUMENT
    chosen = drawn(6).permutation(count)[: round(share * count)]
    rows = np.flatnonzero(np.isin(FACTS.document, chosen))
    document = FACTS.document.copy()
    document[rows] = document[drawn(7).permutation(rows)]
    vectors = FACTS.stories.vectors.copy()
    told = scattered(STORIES, seed=5, dimension=64)
    for digest in chosen:
        vectors[digest] = unit(told[STORY[document == digest]].sum(axis=0)[None])[0]
    facts = replace(FACTS, document=document, stories=DocumentVectors(vectors, document))
    return facts, np.sort(chosen).astype(np.int32)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_digests_lose_their_trust_and_articles_keep_theirs(share: float) -> None:
    facts, chosen = digests(share)
    trust = check(facts).facts.trust
    assert trust is not None
    articles = np.setdiff1d(np.arange(N // PER_DOCUMENT), chosen)
    # a digest of four stories has cosine .5 to each of them: it is not without any evidence
    assert trust.of_document[articles].mean() > trust.of_document[chosen].mean() + 0.2


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75, 1.0])
def test_links_that_digests_would_cut_survive(share: float) -> None:
    weights = Weights(story_similarity_floor=0.85, story_penalty_factor=1.5)
    facts, _ = digests(share)
    found = check(facts, weights)
    whole, checked = edges_kept(facts, weights), edges_kept(found.facts, found.weights)
    assert whole < 1 - share / 2
    assert checked > whole + share / 5


def test_the_level_s_factor_falls_with_the_share_of_digests() -> None:
    factors = [check(digests(s)[0]).findings["stories"].factor for s in (0, 0.25, 0.5, 0.75, 1)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] > 0.99
    assert factors[-1] < 0.5


def test_one_document_for_all_leaves_nothing_to_judge() -> None:
    one = DocumentVectors(unit(np.ones((1, 64))), np.zeros(N, dtype=np.int32))
    found = check(replace(FACTS, document=one.of_node, stories=one))
    assert found.findings["stories"].state == "unchecked"
    assert found.facts.trust is None


@pytest.mark.parametrize("vectors", [np.zeros((90, 64)), np.ones((90, 64)) / 8])
def test_documents_without_vectors_of_their_own_separate_nothing(vectors: F32) -> None:
    """All at zero or all the same: chance explains whatever they show."""
    alike = DocumentVectors(vectors.astype(np.float32), FACTS.document)
    found = check(replace(FACTS, stories=alike))
    assert found.findings["stories"].state in ("off", "unchecked")
    plain = replace(WEIGHTS, story_similarity_floor=0.0)
    assert edges_kept(found.facts, found.weights) == edges_kept(FACTS, plain)


def test_nodes_without_a_document_get_no_penalty() -> None:
    facts, _ = digests(0.5)
    unknown = np.where(np.arange(N) % 3 == 0, -1, facts.stories.of_node).astype(np.int32)
    facts = replace(facts, stories=replace(facts.stories, of_node=unknown))
    weights = Weights(story_similarity_floor=0.85, story_penalty_factor=1.5)
    found = check(facts, weights)
    ids, distances = with_evidence(IDS, DISTANCES, found.facts, found.weights)
    for node in np.flatnonzero(unknown < 0)[:20]:
        before = dict(zip(IDS[node].tolist(), DISTANCES[node].tolist(), strict=True))
        after = dict(zip(ids[node].tolist(), distances[node].tolist(), strict=True))
        assert after == before


def test_a_level_of_a_few_items_shows_nothing() -> None:
    facts = FACTS.part(slice(0, 6))
    few = exact_neighbours(VECTORS[:6], 0, 6, 5)
    found = check_evidence(few.ids, few.distances, facts, WEIGHTS)
    assert {finding.state for finding in found.findings.values()} == {"unchecked"}
    assert found.weights == WEIGHTS


def test_a_level_without_items_can_be_checked() -> None:
    facts, nothing = FACTS.part(slice(0, 0)), np.empty((0, 5))
    found = check_evidence(nothing.astype(np.int32), nothing.astype(np.float32), facts, WEIGHTS)
    assert {finding.state for finding in found.findings.values()} == {"unchecked"}


def test_without_a_check_all_counts_as_it_is_set() -> None:
    found = as_set(FACTS, WEIGHTS)
    assert found.facts is FACTS
    assert found.weights is WEIGHTS
    assert set(found.findings) == set(NAMES)


def test_the_same_graph_gives_the_same_bits() -> None:
    facts, _ = digests(0.5)
    one, other = check(facts), check(facts)
    assert one.findings == other.findings
    assert one.facts.trust is not None
    assert other.facts.trust is not None
    for name in ("of_document", "by_chance", "chance_gap", "bounds", "expected_gap"):
        np.testing.assert_array_equal(
            getattr(one.facts.trust, name), getattr(other.facts.trust, name)
        )


LEARNED = Weights(learned_decay=True)


def spread(days: float, apart: float = 400.0) -> Any:
    """Stories that last for so many days, so far from each other."""
    return days_of(0 * STORY) + (apart * STORY + drawn(6).uniform(0, days, N))[:, None]


@pytest.mark.parametrize(("days", "expected"), [(1, 90), (30, 100), (300, 1200)])
def test_decay_is_as_slow_as_stories_last(days: float, expected: float) -> None:
    found = check(replace(FACTS, span=spread(days)), LEARNED)
    assert found.weights.decay_days == pytest.approx(expected, rel=0.3)
    assert found.findings["decay"].state == "kept"
    assert found.findings["decay"].factor == 1


@pytest.mark.parametrize(
    "span",
    [
        np.full((N, 2), np.nan),
        spread(1)[SHUFFLED],
        spread(1, apart=0),  # a crawl
        0 * spread(1),  # a template
        np.where(np.arange(N)[:, None] < 12, spread(1), np.nan),  # hardly any dated ones
    ],
)
def test_dates_that_are_no_evidence_do_not_count_by_default(span: Any) -> None:
    found = check(replace(FACTS, span=span), LEARNED)
    assert found.weights == Weights()
    assert found.findings == {}
    plain = with_evidence(IDS, DISTANCES, found.facts, found.weights)
    np.testing.assert_array_equal(plain[0], IDS)
    np.testing.assert_array_equal(plain[1], DISTANCES)
