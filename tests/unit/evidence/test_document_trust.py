"""Trust in documents from strong links, and what an untrusted one's gap is replaced by."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.arrays import F32, I32
from clustering_tasks.evidence.document_trust import Votes, learn, trust_of_documents
from clustering_tasks.evidence.pairs import DocumentTrust, Pairs

CHANCE = 0.8
shares = st.floats(0, 1, width=32)


def gap_of(one: I32, other: I32, story: I32) -> F32:
    """0 for documents of one story; -1 stands for a batch, all of which are alike."""
    return np.where(story[one] == story[other], 0, CHANCE).astype(np.float32)


def votes_of(pairs: list[tuple[int, int]], story: I32) -> Votes:
    one, other = np.array(pairs, dtype=np.int32).T
    of, by = np.concatenate([one, other]), np.concatenate([other, one])
    return Votes(of, by, gap_of(of, by, story))


def random_pairs(documents: I32, count: int, seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    drawn = rng.choice(documents, size=(count, 2))
    return [(int(a), int(b)) for a, b in drawn if a != b]


STORY = np.repeat(np.arange(10, dtype=np.int32), 6)
ALL = np.arange(len(STORY), dtype=np.int32)


def within_stories(count: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(1)
    return [
        (int(6 * s + a), int(6 * s + b))
        for s in range(10)
        for a, b in (rng.choice(6, 2, replace=False) for _ in range(count))
    ]


def test_documents_whose_links_are_of_their_story_are_trusted() -> None:
    trust = trust_of_documents(
        votes_of(within_stories(30), STORY), votes_of(random_pairs(ALL, 600, 2), STORY), 60
    )
    assert trust.min() > 0.95


def test_documents_whose_links_are_random_are_not() -> None:
    trust = trust_of_documents(
        votes_of(random_pairs(ALL, 600, 3), STORY), votes_of(random_pairs(ALL, 600, 4), STORY), 60
    )
    assert trust.mean() < 0.15


def test_batches_that_agree_with_each_other_do_not_vouch_for_each_other() -> None:
    """Half of the documents are batches: their stories are one, by chance as well as by links."""
    story = np.concatenate([STORY, np.full(60, -1, dtype=np.int32)])
    everything = np.arange(120, dtype=np.int32)
    of_batches = [pair for pair in random_pairs(everything, 1200, 5) if max(pair) >= 60]
    links = votes_of(within_stories(30) + of_batches, story)
    trust = trust_of_documents(links, votes_of(random_pairs(everything, 1200, 6), story), 120)
    assert trust[:60].mean() > 0.7
    assert trust[60:].mean() < 0.2


def test_one_wrong_partner_is_no_evidence_against_a_document() -> None:
    """A digest is linked with every story; its partners keep their trust."""
    story = np.append(STORY, np.int32(99))
    digest = [(60, document) for document in range(60)]
    links = votes_of(within_stories(10) + digest, story)
    trust = trust_of_documents(links, votes_of(random_pairs(ALL, 600, 7), story), 61)
    assert trust[60] < 0.1
    assert trust[:60].min() > 0.8


def test_documents_without_a_vote_get_the_level_s_trust() -> None:
    trust = trust_of_documents(
        votes_of(within_stories(30), STORY), votes_of(random_pairs(ALL, 600, 2), STORY), 61
    )
    assert trust[60] == pytest.approx(trust[:60].mean(), abs=0.05)


def test_nothing_shown_and_nothing_expected_is_no_trust() -> None:
    """Where random documents agree as well, agreement says nothing."""
    alike = np.zeros(60, dtype=np.int32)
    trust = trust_of_documents(
        votes_of(within_stories(5), alike), votes_of(random_pairs(ALL, 99, 8), alike), 60
    )
    assert trust.max() == 0


def pairs(*cosines: float) -> Pairs:
    count = len(cosines)
    cosine = np.array(cosines, dtype=np.float32)
    rows = np.arange(count, dtype=np.int32)
    return Pairs(rows, rows + np.int32(count), cosine, cosine)


def posterior(gap: float, trust: float, expected: float = 0.2, by_chance: float = 0.0) -> float:
    """Of one pair whose documents have the same trust."""
    known = DocumentTrust(
        of_document=np.full(2, trust, dtype=np.float32),
        by_chance=np.full(2, by_chance, dtype=np.float32),
        chance_gap=CHANCE,
        bounds=np.empty(0, dtype=np.float32),
        expected_gap=np.array([expected], dtype=np.float32),
    )
    of_node = np.array([0, 1], dtype=np.int32)
    return float(known.posterior_gap(np.array([gap], np.float32), pairs(0.7), of_node)[0])


@given(shares, shares, shares)
def test_full_trust_takes_what_is_shown(gap: float, expected: float, by_chance: float) -> None:
    expected = min(max(expected, 0.01), CHANCE - 0.01)
    assert posterior(gap, 1.0, expected, by_chance) == pytest.approx(gap, abs=1e-5)


@given(shares, shares, shares)
def test_no_trust_takes_what_is_expected(gap: float, expected: float, by_chance: float) -> None:
    expected = min(max(expected, 0.01), CHANCE - 0.01)
    assert posterior(gap, 0.0, expected, by_chance) == pytest.approx(expected, abs=1e-5)


@given(shares, shares, shares, shares)
def test_the_posterior_lies_between_what_is_shown_and_what_is_expected(
    gap: float, trust: float, expected: float, by_chance: float
) -> None:
    expected = min(expected, CHANCE)
    found = posterior(gap, trust, expected, by_chance)
    assert min(gap, expected) - 1e-5 <= found <= max(gap, expected) + 1e-5


def test_a_gap_that_right_documents_never_show_is_not_believed() -> None:
    assert posterior(0.8, 0.95, expected=0.0) == pytest.approx(0, abs=1e-6)


def test_agreement_that_chance_never_gives_is_believed() -> None:
    assert posterior(0.0, 0.5, expected=0.2) == pytest.approx(0, abs=1e-6)
    assert posterior(0.0, 0.5, expected=0.2, by_chance=1.0) > 0.05


def test_an_unknown_document_shows_nothing() -> None:
    assert math.isnan(posterior(math.nan, 0.5))


def test_expectations_are_those_of_true_documents() -> None:
    """Half of all pairs show a random gap; what is learned is the true one, by cosine."""
    rng = np.random.default_rng(0)
    count, documents = 40_000, 400
    of_node = np.repeat(np.arange(documents, dtype=np.int32), 100)
    rows, columns = rng.integers(0, len(of_node), (2, count)).astype(np.int32)
    cosine = rng.uniform(0, 1, count).astype(np.float32)
    true = np.where(rng.random(count) < 1 - cosine, CHANCE, 0)
    wrong = rng.random(count) < 0.5
    gap = np.where(wrong, CHANCE, true).astype(np.float32)
    chance = votes_of([(0, 1)] * 50, np.arange(2, dtype=np.int32))
    found = learn(
        np.full(documents, 0.5), chance, Pairs(rows, columns, cosine, cosine), gap, of_node
    )
    middles = (np.arange(10) + 0.5) / 10
    np.testing.assert_allclose(found.expected_gap, CHANCE * (1 - middles), atol=0.08)
    assert found.chance_gap == pytest.approx(CHANCE)
