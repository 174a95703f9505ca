"""What is chosen where the caller left it open, and the evidence that it brings to the graph."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustering_tasks.algorithms import ALGORITHMS
from clustering_tasks.choice import Choice, choose
from clustering_tasks.evidence import document_similarity, edge_similarity, mention_likeness
from clustering_tasks.features import DocumentVectors, document_vectors
from clustering_tasks.levels import LEVELS
from clustering_tasks.nodes import load_nodes
from clustering_tasks.plan import plan
from clustering_tasks.settings import run_settings
from clustering_tasks.snapshot import snapshot
from clustering_tasks.vectors import open_vectors
from tests.conftest import Workbench
from tests.stage3_folder import Json, Matrix, blobs, scattered, unit


@pytest.mark.parametrize("items", [0, 1000, 10_000_000])
@pytest.mark.parametrize("level", LEVELS)
def test_auto_chooses_an_algorithm_and_says_why(level: str, items: int) -> None:
    choice = choose(run_settings({"algorithm": "auto"}), LEVELS[level], items)
    assert choice.algorithm in ALGORITHMS
    assert choice.reason
    assert choice.record()["algorithm"] == choice.algorithm


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_asked_for_is_chosen(level: str, algorithm: str) -> None:
    settings = run_settings({"algorithm": algorithm, "evidence.context_weight": 0.25})
    choice = choose(settings, LEVELS[level], 100)
    assert (choice.algorithm, choice.reason) == (algorithm, "asked for")
    assert choice.context_weight == 0.25


def test_hdbscan_as_it_is_known_uses_the_vectors_alone() -> None:
    for level in LEVELS.values():
        choice = choose(run_settings({"algorithm": "hdbscan"}), level, 100)
        assert not choice.centred
        assert choice.context_weight == choice.mention_weight == choice.gate_similarity == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_takes_evidence_on_edges(algorithm: str) -> None:
    settings = run_settings({"algorithm": algorithm, "evidence.mention_weight": 0.5})
    assert choose(settings, LEVELS["events"], 100).mention_weight == 0.5


CHOICE = Choice("label_propagation", "", False, 0.0, 0.0, 0.0, 0.5)
IDS = np.array([[1, 2], [0, -1], [1, 0]], dtype=np.int32)
COSINES = np.array([[0.9, 0.6], [0.9, 0], [0.8, 0.6]])
DISTANCES = np.sqrt(2 - 2 * COSINES).astype(np.float32)
MENTIONS = ["Angela Merkel", "Merkel", None]
NO_DOCUMENTS = DocumentVectors(np.empty((0, 0), np.float32), np.full(3, -1, np.int32))
# the documents of nodes 0 and 1 have nothing in common; node 2's is not known
DOCUMENTS = DocumentVectors(np.eye(2, dtype=np.float32), np.array([0, 1, -1], dtype=np.int32))


def similarity(choice: Choice, documents: DocumentVectors = NO_DOCUMENTS) -> list[list[float]]:
    found = edge_similarity(IDS, DISTANCES, list(MENTIONS), documents, choice)
    return [[float(value) for value in row] for row in found]


def test_without_other_evidence_an_edge_is_its_cosine() -> None:
    found = similarity(CHOICE)
    assert found[0] == pytest.approx([0.9, 0.6], abs=1e-6)
    assert found[1][1] == -np.inf
    assert similarity(CHOICE, DOCUMENTS)[0] == pytest.approx([0.9, 0.6], abs=1e-6)


def test_mentions_are_mixed_in_and_an_unknown_one_says_nothing() -> None:
    rows, columns = np.array([0, 0, 2]), np.array([1, 2, 2], dtype=np.int32)
    likeness = mention_likeness(list(MENTIONS), rows, columns)
    assert 0.4 < likeness[0] < 0.9
    assert np.isnan(likeness[1:]).all()
    found = similarity(replace(CHOICE, mention_weight=0.5))
    assert found[0][0] == pytest.approx(0.45 + likeness[0] / 2, abs=1e-5)
    assert found[0][1] == pytest.approx(0.6, abs=1e-6)


def test_equal_mentions_are_alike_and_different_ones_are_not() -> None:
    mentions: list[str | None] = ["Merkel", "merkel", "Obama", " "]
    found = mention_likeness(mentions, np.array([0, 0, 0]), np.array([1, 2, 3], dtype=np.int32))
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(0, abs=0.05)
    assert np.isnan(found[2])


def test_without_any_mention_nothing_is_known() -> None:
    found = mention_likeness([None, " "], np.array([0]), np.array([1], dtype=np.int32))
    assert np.isnan(found).all()


def test_unlike_documents_lower_their_items_similarity() -> None:
    found = similarity(replace(CHOICE, gate_similarity=0.7), DOCUMENTS)
    assert found[0] == pytest.approx([0.2, 0.6], abs=1e-6)
    apart = document_similarity(DOCUMENTS, np.array([0, 0]), np.array([1, 2], dtype=np.int32))
    assert apart[0] == 0
    assert np.isnan(apart[1])


def planned(workbench: Workbench, **settings: Any) -> tuple[list[str], Matrix]:
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
    ids, features = planned(workbench, evidence={"context_weight": 0.5})
    mixed = np.array(
        [
            unit([vectors[n] + documents[n % 4]])[0] if n % 4 < 3 else vectors[n]
            for n in map(names.index, ids)
        ]
    )
    mean = mixed.sum(axis=0) / (15 + 20)
    np.testing.assert_allclose(features, unit(mixed - mean), atol=1e-5)


def test_without_context_they_are_the_vectors_alone(workbench: Workbench) -> None:
    vectors = blobs([6, 6], noise=3)
    names = workbench.stage3.write("storylines", vectors)
    workbench.stage3.write("documents", scattered(3))
    ids, features = planned(workbench, evidence={"context": False})
    own = vectors[[names.index(name) for name in ids]]
    np.testing.assert_allclose(features, unit(own - own.sum(axis=0) / 35), atol=1e-5)


def test_documents_of_nodes_without_context_are_unknown() -> None:
    found = document_vectors(pd.Series(["a", None]), None)
    assert found.of_node.tolist() == [-1, -1]
    assert len(found.vectors) == 0
