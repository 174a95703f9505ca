"""What is chosen where the caller left it open, and the evidence that it brings to the graph."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from clustering_tasks import evidence
from clustering_tasks.algorithms.method import Weights, resolve_method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.window import days_apart
from clustering_tasks.evidence import EVIDENCE, adjustment, with_evidence
from clustering_tasks.evidence.pairs import Mentions, NodeFacts
from clustering_tasks.evidence.words import mention_likeness, read_mentions
from clustering_tasks.graph.document_vectors import document_vectors
from clustering_tasks.graph.features import DocumentVectors
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.vector_files import open_vectors
from tests.conftest import Workbench
from tests.direct import mean_taken_off
from tests.stage3_folder import Json, blobs, scattered, unit


@pytest.mark.parametrize("items", [0, 1000, 10_000_000])
@pytest.mark.parametrize("level", LEVELS)
def test_auto_chooses_an_algorithm_and_says_why(level: str, items: int) -> None:
    method = resolve_method(run_settings({"algorithm": "auto"}), LEVELS[level], items)
    assert method.algorithm in ALGORITHMS
    assert method.reason
    assert method.record()["algorithm"] == method.algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_asked_for_is_chosen(level: str, algorithm: str) -> None:
    settings = run_settings({"algorithm": algorithm, "evidence.context_weight": 0.25})
    method = resolve_method(settings, LEVELS[level], 100)
    assert (method.algorithm, method.reason) == (algorithm, "asked for")
    assert method.context_weight == 0.25


@pytest.mark.parametrize("algorithm", ["hdbscan", "two_stage"])
def test_hdbscan_as_it_is_known_uses_the_vectors_alone(algorithm: str) -> None:
    for level in LEVELS.values():
        method = resolve_method(run_settings({"algorithm": algorithm}), level, 100)
        assert not method.centred
        assert method.context_weight == 0
        assert not method.weights.any()


@pytest.mark.parametrize("name", [f.name for f in fields(Weights) if f.name != "learned_decay"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_takes_all_evidence_on_edges(algorithm: str, name: str) -> None:
    group = "temporal" if name.endswith("_days") else "evidence"
    settings = run_settings(
        {"algorithm": algorithm, f"{group}.{name}": 0.5, "temporal.decay": name == "decay_days"}
    )
    weights = resolve_method(settings, LEVELS["events"], 100).weights
    assert getattr(weights, name) == 0.5
    plain = algorithm in ("hdbscan", "two_stage")
    assert weights.any() == (not plain or name != "story_penalty_factor")


@pytest.mark.parametrize(
    ("level", "settings", "days", "learned"),
    [
        ("documents", {}, None, False),
        ("documents", {"temporal.decay": True}, None, True),
        ("events", {}, None, False),
        ("events", {"temporal.decay": True}, None, True),
        ("documents", {"temporal.decay": False, "temporal.decay_days": 9}, None, False),
        ("documents", {"temporal.decay": True, "temporal.decay_days": 9}, 9, False),
        ("documents", {"evidence.check": False, "temporal.decay": True}, 90, False),
        ("documents", {"algorithm": "hdbscan", "temporal.decay": True}, None, True),
    ],
)
def test_decay_is_learned_unless_set(
    level: str, settings: dict[str, Any], days: float | None, learned: bool
) -> None:
    weights = resolve_method(run_settings(settings), LEVELS[level], 100).weights
    assert weights.decay_days == days
    assert weights.learned_decay == learned


def test_every_weight_has_its_piece() -> None:
    assert {*EVIDENCE, "story_penalty_factor", "learned_decay"} == {
        field.name for field in fields(Weights)
    }


IDS = np.array([[1, 2], [0, -1], [1, 0]], dtype=np.int32)
COSINES = np.array([[0.9, 0.6], [0.9, 0], [0.8, 0.6]])
DISTANCES = np.where(IDS >= 0, np.sqrt(2 - 2 * COSINES), np.inf).astype(np.float32)
NOTHING = DocumentVectors(np.empty((0, 0), np.float32), np.full(3, -1, np.int32))
UNKNOWN = np.full(3, -1, dtype=np.int32)
FACTS = NodeFacts(
    mentions=read_mentions(["Angela Merkel", "Merkel", None]),
    document=UNKNOWN,
    sentence=UNKNOWN,
    span=np.full((3, 2), np.nan),
    domain=UNKNOWN,
    event_type=UNKNOWN,
    documents=NOTHING,
    stories=NOTHING,
)
# the documents of nodes 0 and 1 have nothing in common; node 2's is not known
DOCUMENTS = DocumentVectors(np.eye(2, dtype=np.float32), np.array([0, 1, -1], dtype=np.int32))
EVERYTHING = Weights(
    mention_weight=0.3,
    document_weight=0.1,
    story_similarity_floor=0.7,
    story_penalty_factor=1.5,
    sentence_penalty=0.1,
    domain_penalty=0.05,
    event_type_penalty=0.03,
    decay_days=7,
    window_days=30,
)


def edge_similarity(ids: I32, distances: F32, facts: NodeFacts, weights: Weights) -> F32:
    """(n, k) the edges' cosine and what was added to it, -inf where there is none."""
    rows, at = np.nonzero(ids >= 0)
    found = np.full(ids.shape, -np.inf, dtype=np.float32)
    pairs = rows.astype(np.int32), ids[rows, at], distances[rows, at]
    found[rows, at] = 1 - np.square(pairs[2]) / 2 + adjustment(*pairs, facts, weights)
    return found


def similarity(weights: Weights, facts: NodeFacts = FACTS) -> list[list[float]]:
    found = edge_similarity(IDS, DISTANCES, facts, weights)
    return [[float(value) for value in row] for row in found]


def likeness(*mentions: str | None) -> float:
    """Of the first two mentions."""
    one = np.array([0], dtype=np.int32)
    return float(mention_likeness(read_mentions(list(mentions)), one, one + np.int32(1))[0])


def test_without_other_evidence_an_edge_is_its_cosine() -> None:
    assert similarity(Weights())[0] == pytest.approx([0.9, 0.6], abs=1e-6)
    assert similarity(Weights())[1][1] == -np.inf


def test_what_is_not_known_is_no_evidence() -> None:
    facts = replace(FACTS, mentions=read_mentions([None, " ", None]))
    assert similarity(EVERYTHING, facts) == similarity(Weights())


def test_edges_without_evidence_keep_their_distance_to_the_last_digit() -> None:
    near = np.array([[1e-4, 2e-4], [1e-4, np.inf], [2e-4, 1.0]], dtype=np.float32)
    ids, distances = with_evidence(
        IDS, near, replace(FACTS, mentions=read_mentions([None] * 3)), EVERYTHING
    )
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(distances, near)


def test_a_large_block_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = with_evidence(IDS, DISTANCES, FACTS, EVERYTHING)
    monkeypatch.setattr(evidence, "_ROWS", 2)
    for one, other in zip(whole, with_evidence(IDS, DISTANCES, FACTS, EVERYTHING), strict=True):
        np.testing.assert_array_equal(one, other)


def test_edges_are_sorted_anew_by_their_similarity() -> None:
    facts = replace(FACTS, stories=DOCUMENTS)
    ids, distances = with_evidence(
        IDS, DISTANCES, facts, Weights(story_similarity_floor=1, story_penalty_factor=1)
    )
    assert ids.tolist() == [[2, 1], [0, -1], [1, 0]]
    expected = np.sqrt(2 - 2 * np.array([[0.6, -0.1], [-0.1, -np.inf], [0.8, 0.6]]))
    np.testing.assert_allclose(distances, expected, rtol=1e-5)


def test_a_name_is_like_what_contains_it_and_unlike_another() -> None:
    assert likeness("Angela Merkel", "Merkel") == likeness("Merkel", "merkel") == 1
    assert likeness("Merkel", "Obama") < 0.1
    assert 0.3 < likeness("Angela Merkel", "Angela Davis") < 0.7
    assert np.isnan(likeness("Merkel", None))
    assert np.isnan(likeness(None, " "))


def direct_likeness(one: str, other: str) -> float:
    """Of texts without blanks, whose sequences reach over both ends."""
    sets = [
        {f" {text.lower()} "[i : i + n] for n in (2, 3, 4) for i in range(len(text) + 3 - n)}
        for text in (one, other)
    ]
    return len(sets[0] & sets[1]) / min(map(len, sets))


@given(st.lists(st.text("abcd", min_size=1, max_size=9), min_size=2, max_size=9))
def test_likeness_of_mentions_is_the_share_of_common_sequences(mentions: list[str]) -> None:
    rows, columns = (side.ravel().astype(np.int32) for side in np.indices((len(mentions),) * 2))
    found = mention_likeness(read_mentions([*mentions]), rows, columns)
    direct = [direct_likeness(mentions[i], mentions[j]) for i, j in zip(rows, columns, strict=True)]
    assert found == pytest.approx(direct)


def test_likeness_is_the_share_of_the_shorter_mention() -> None:
    rng = np.random.default_rng(0)
    names = ["Angela Merkel", "Merkel", "Frau Merkel", "Markel", "Ankara", "a", "", None]
    mentions = read_mentions([names[at] for at in rng.integers(0, len(names), 60)])
    sets = [
        set(mentions.letters[mentions.bounds[text] : mentions.bounds[text + 1]].tolist())
        for text in mentions.text
    ]
    rows, columns = rng.integers(0, 60, (2, 2000)).astype(np.int32)
    for one in (rows, np.sort(rows)):  # in disorder, and many of one node together
        expected = [
            len(sets[a] & sets[b]) / min(len(sets[a]), len(sets[b]))
            if sets[a] and sets[b]
            else math.nan
            for a, b in zip(one.tolist(), columns.tolist(), strict=True)
        ]
        found = mention_likeness(mentions, one, columns)
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32))


@given(st.lists(st.text("abé 京\U0001f600\u00a0\t", max_size=9), min_size=1, max_size=9))
def test_sequences_are_those_of_scikit_learn(mentions: list[str]) -> None:
    found = read_mentions([*mentions])
    vectorizer = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), lowercase=False)
    analyze = vectorizer.build_analyzer()
    sets = [set(analyze(mention)) for mention in mentions]
    for text, sequences in zip(found.text.tolist(), sets, strict=True):
        numbers = found.letters[found.bounds[text] : found.bounds[text + 1]]
        assert len(numbers) == len(sequences)
        assert np.all(np.diff(numbers) > 0)
    common = [[len(one & other) for other in sets] for one in sets]
    assert common == [[_common(found, i, j) for j in found.text] for i in found.text]


def _common(mentions: Mentions, one: int, other: int) -> int:
    first, second = (slice(*mentions.bounds[text : text + 2]) for text in (one, other))
    return len(np.intersect1d(mentions.letters[first], mentions.letters[second]))


def test_mentions_are_mixed_into_the_cosine() -> None:
    found = similarity(Weights(mention_weight=0.5))
    assert found[0] == pytest.approx([0.95, 0.6], abs=1e-6)


def test_other_stories_lower_the_similarity_by_what_they_lack() -> None:
    weights = Weights(story_similarity_floor=0.7, story_penalty_factor=0.5)
    facts = replace(FACTS, stories=DOCUMENTS)
    assert similarity(weights, facts)[0] == pytest.approx([0.55, 0.6], abs=1e-6)
    assert similarity(replace(weights, story_penalty_factor=2), facts)[1][0] == pytest.approx(
        -0.5, abs=1e-6
    )


def test_likeness_of_the_documents_is_taken_off() -> None:
    same = DocumentVectors(DOCUMENTS.vectors, np.array([1, 1, -1], dtype=np.int32))
    for documents, lost in ((DOCUMENTS, 0), (same, 0.2)):
        found = similarity(Weights(document_weight=0.2), replace(FACTS, documents=documents))
        assert found[0] == pytest.approx([0.9 - lost, 0.6], abs=1e-6)


@pytest.mark.parametrize(
    ("field", "weights", "codes", "lost"),
    [
        ("sentence", Weights(sentence_penalty=0.2), [4, 4, -1], [0.2, 0]),
        ("sentence", Weights(sentence_penalty=0.2), [4, 5, 4], [0, 0.2]),
        ("domain", Weights(domain_penalty=0.2), [4, 5, -1], [0.2, 0]),
        ("domain", Weights(domain_penalty=0.2), [4, 4, 5], [0, 0.2]),
        ("event_type", Weights(event_type_penalty=0.2), [0, 1, 0], [0.2, 0]),
    ],
)
def test_a_penalty_is_for_what_is_known(
    field: str, weights: Weights, codes: list[int], lost: list[float]
) -> None:
    known: dict[str, Any] = {field: np.array(codes, dtype=np.int32)}
    facts = replace(FACTS, **known)
    expected = [0.9 - lost[0], 0.6 - lost[1]]
    assert similarity(weights, facts)[0] == pytest.approx(expected, abs=1e-6)


DAYS = np.array([[0, 2], [9, 9], [np.nan, np.nan]])


def test_days_apart_are_those_between_spans() -> None:
    spans = np.array([[0.0, 2], [9, 9], [1, 5], [2, 3], [np.nan, np.nan]])
    rows, columns = np.array([[0, 1, 1, 0, 0, 4, 4], [1, 0, 2, 2, 3, 0, 4]], dtype=np.int32)
    found = days_apart(spans, rows, columns)
    np.testing.assert_array_equal(found, [7, 7, 4, 0, 0, np.nan, np.nan])


def test_similarity_decays_with_the_days_between_a_pair() -> None:
    found = similarity(Weights(decay_days=7), replace(FACTS, span=DAYS))
    assert found[0] == pytest.approx([0.9 * np.exp(-1), 0.6], abs=1e-6)
    negative = Weights(decay_days=7, story_similarity_floor=1, story_penalty_factor=2)
    facts = replace(FACTS, span=DAYS, stories=DOCUMENTS)
    assert similarity(negative, facts)[0][0] == pytest.approx(0.9 - 2, abs=1e-6)


@pytest.mark.parametrize(("days", "linked"), [(6.9, False), (7, True)])
def test_beyond_the_window_there_is_no_edge(days: float, linked: bool) -> None:
    weights, facts = Weights(window_days=days), replace(FACTS, span=DAYS)
    ids, distances = with_evidence(IDS, DISTANCES, facts, weights)
    assert ids.tolist() == (IDS.tolist() if linked else [[2, -1], [-1, -1], [1, 0]])
    assert np.isinf(distances[ids < 0]).all()
    assert np.isfinite(distances[ids >= 0]).all()


@given(st.integers(0, 2**32 - 1))
def test_all_evidence_is_what_a_direct_computation_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 8, 4
    ids = np.array([rng.permutation(np.delete(np.arange(n), i))[:k] for i in range(n)], np.int32)
    ids[rng.random((n, k)) < 0.2] = -1
    cosine = rng.uniform(0, 1, (n, k))
    days = rng.uniform(0, 60, (n, 2))
    days.sort(axis=1)
    days[rng.random(n) < 0.3] = np.nan
    vectors = [unit(rng.normal(size=(3, 4))) for _ in range(2)]
    mentions = [["Angela Merkel", "Merkel", "Obama", None][i] for i in rng.integers(0, 4, n)]
    facts = NodeFacts(
        mentions=read_mentions(mentions),
        document=np.full(n, -1, np.int32),
        sentence=rng.integers(-1, 2, n).astype(np.int32),
        span=days,
        domain=rng.integers(-1, 2, n).astype(np.int32),
        event_type=rng.integers(-1, 2, n).astype(np.int32),
        documents=DocumentVectors(vectors[0], rng.integers(-1, 3, n).astype(np.int32)),
        stories=DocumentVectors(vectors[1], rng.integers(-1, 3, n).astype(np.int32)),
    )
    distances = np.sqrt(2 - 2 * cosine).astype(np.float32)
    found = edge_similarity(ids, distances, facts, EVERYTHING)
    for (i, at), j in np.ndenumerate(ids):
        expected = directly(facts, mentions, i, int(j), float(cosine[i, at])) if j >= 0 else -np.inf
        assert found[i, at] == pytest.approx(expected, abs=1e-5)


def directly(facts: NodeFacts, mentions: list[str | None], i: int, j: int, cosine: float) -> float:
    """Similarity of one pair, from the formula in docs/ALGORITHMS.md."""

    def product(about: DocumentVectors) -> float | None:
        one, other = about.of_node[i], about.of_node[j]
        return float(about.vectors[one] @ about.vectors[other]) if min(one, other) >= 0 else None

    w, s = EVERYTHING, cosine
    if mentions[i] and mentions[j]:
        alike = likeness(mentions[i], mentions[j])
        s += w.mention_weight * (alike - cosine)
    if (document := product(facts.documents)) is not None:
        s -= w.document_weight * document
    if (story := product(facts.stories)) is not None:
        s -= w.story_penalty_factor * max(0, w.story_similarity_floor - story)
    s -= w.sentence_penalty * (facts.sentence[i] == facts.sentence[j] >= 0)
    for codes, penalty in (
        (facts.domain, w.domain_penalty),
        (facts.event_type, w.event_type_penalty),
    ):
        s -= penalty * (min(codes[i], codes[j]) >= 0 and codes[i] != codes[j])
    (a, b), (c, d) = facts.span[i], facts.span[j]
    if not np.isnan([a, c]).any():
        apart = max(0, a - d, c - b)
        s = s * math.exp(-apart / 7) if s > 0 else s
        s = -math.inf if apart > 30 else s
    return float(s)


def planned(workbench: Workbench, **settings: Any) -> tuple[list[str], F32]:
    """Vector ids and features of storylines with a context, in the order of the nodes."""
    run = workbench.start("storylines", algorithm="agglomerative", **settings)
    made, result = snapshot(run), plan(run)
    nodes = load_nodes(result.path("nodes"))
    with open_vectors(result.path("features")) as file:
        features = file.read(0, file.shape[0])
    with made.path("items").open("rb") as items:
        ids = pd.read_parquet(items)["vector_id"].iloc[nodes.row].tolist()
    return ids, features


def test_features_are_the_vectors_with_their_context_around_the_mean(workbench: Workbench) -> None:
    vectors = blobs([6, 6], noise=3)
    metadata: list[Json] = [{"document_id": f"doc_{n % 4:04d}"} for n in range(15)]
    names = workbench.stage3.write("storylines", vectors, metadata)
    documents = scattered(3, seed=9)  # of doc_0000 to doc_0002: the fourth is not known
    workbench.stage3.write("documents", documents)
    ids, features = planned(workbench, evidence={"context_weight": 0.5, "check": False})
    mixed = np.array(
        [
            unit([vectors[n] + documents[n % 4]])[0] if n % 4 < 3 else vectors[n]
            for n in map(names.index, ids)
        ]
    )
    np.testing.assert_allclose(features, unit(mixed - mean_taken_off(mixed)), atol=1e-5)


def test_without_context_they_are_the_vectors_alone(workbench: Workbench) -> None:
    vectors = blobs([6, 6], noise=3)
    names = workbench.stage3.write("storylines", vectors)
    workbench.stage3.write("documents", scattered(3))
    ids, features = planned(workbench, evidence={"context": False})
    own = vectors[[names.index(name) for name in ids]]
    np.testing.assert_allclose(features, unit(own - mean_taken_off(own)), atol=1e-5)


def test_documents_of_nodes_without_context_are_unknown() -> None:
    found = document_vectors(pd.Series(["a", None]), None)
    assert found.of_node.tolist() == [-1, -1]
    assert len(found.vectors) == 0


def test_a_mention_is_like_itself_in_other_forms() -> None:
    forms: list[str | None] = ["José Pérez", "JOSÉ PÉREZ", "Ｊｏｓé Pérez", "İstanbul", "ISTANBUL"]
    mentions = read_mentions(forms)
    assert mentions.text.tolist() == [0, 0, 0, 1, 1]
