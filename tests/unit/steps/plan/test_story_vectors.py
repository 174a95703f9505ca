"""Story vectors against a direct computation."""

import numpy as np
import pandas as pd
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.graph.features import DocumentVectors, load_documents
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.plan.story_vectors import NEIGHBOURS, THRESHOLD, smoothed, story_vectors
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import Workbench
from tests.direct import mean_taken_off
from tests.stage3_folder import DIMENSION, Json, blobs, plain_metadata, scattered, unit


def direct(vectors: F32) -> F32:
    centred = unit(vectors - mean_taken_off(vectors))
    cosines = centred @ centred.T
    np.fill_diagonal(cosines, -1)
    result = []
    for i, row in enumerate(cosines):
        nearest = np.argsort(-row)[:NEIGHBOURS]
        weight = np.maximum(row[nearest] - THRESHOLD, 0) ** 2
        pull = weight @ centred[nearest]
        length = np.linalg.norm(pull)
        result.append(centred[i] + (pull / length if length else 0))
    return unit(result)


@pytest.mark.parametrize("sizes", [[12, 9, 2], [3] * 20, [20]])
@pytest.mark.parametrize("rows", [1, 3, 8192])
def test_documents_move_towards_their_nearest(
    rows: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustering_tasks.steps.plan.story_vectors._ROWS", rows)
    vectors = blobs(sizes, noise=9, spread=0.1)
    np.testing.assert_allclose(smoothed(vectors.copy()), direct(vectors), atol=1e-5)


def test_a_single_document_is_what_it_is() -> None:
    one = scattered(1)
    np.testing.assert_allclose(smoothed(one.copy()), one, atol=1e-6)
    assert smoothed(np.empty((0, DIMENSION), np.float32)).shape == (0, DIMENSION)


_GATE: Json = {"evidence": {"story_similarity_floor": 0.8}}


def test_a_story_is_of_the_document_and_its_items_that_take_part(workbench: Workbench) -> None:
    vectors, documents = scattered(7), scattered(3, seed=5)
    about = [0, 0, 1, 1, 2, 3, 0]  # document 3 is not in the context, the last item is filtered out
    metadata: list[Json] = [
        plain_metadata("storylines", n) | {"document_id": f"doc_{d:04d}", "domain": "legal"}
        for n, d in enumerate(about)
    ]
    metadata[6]["domain"] = "health"
    workbench.stage3.write("storylines", vectors, metadata)
    workbench.stage3.write("documents", documents)
    run = workbench.start("storylines", filter={"domains": "legal"}, **_GATE)
    snapshot(run)
    found = load_documents(plan(run).path("story_vectors"))
    mixed = [
        unit([unit([vectors[[0, 1]].sum(axis=0)])[0] + documents[0]])[0],
        unit([unit([vectors[[2, 3]].sum(axis=0)])[0] + documents[1]])[0],
        unit([vectors[4] + documents[2]])[0],
        vectors[5],
    ]
    np.testing.assert_allclose(found.vectors, direct(np.array(mixed)), atol=1e-5)
    assert sorted(found.of_node.tolist()) == [0, 0, 1, 1, 2, 3]


def test_items_without_document_have_no_story(workbench: Workbench) -> None:
    vectors = scattered(5)
    workbench.stage3.write("storylines", vectors)
    run = workbench.start("storylines", **_GATE)
    made = snapshot(run)
    nodes = load_nodes(plan(run).path("nodes"))
    ids = pd.Series(["a", None, "a", "b", None])
    found = story_vectors(made, ids, nodes, no_documents(5))
    mixed = [unit([vectors[[0, 2]].sum(axis=0)])[0], vectors[3]]
    np.testing.assert_allclose(found.vectors, direct(np.array(mixed)), atol=1e-5)
    assert found.of_node[np.argsort(nodes.row)].tolist() == [0, -1, 0, 1, -1]
    nothing = story_vectors(made, pd.Series([None] * 5, dtype="str"), nodes, no_documents(5))
    assert nothing.of_node.tolist() == [-1] * 5
    assert len(nothing.vectors) == 0


def no_documents(nodes: int) -> DocumentVectors:
    return DocumentVectors(np.empty((0, 0), np.float32), np.full(nodes, -1, dtype=np.int32))
