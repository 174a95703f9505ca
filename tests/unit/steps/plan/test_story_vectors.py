"""Story vectors against a direct computation."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine.unit_rows import digest_rows
from clustering_tasks.graph.features import DocumentVectors, load_documents
from clustering_tasks.graph.nodes import load_nodes
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.plan.story_vectors import (
    NEIGHBOURS,
    THRESHOLD,
    Stories,
    all_smoothed,
    story_vectors,
)
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.array_files import read_arrays
from tests.conftest import Workbench
from tests.direct import mean_taken_off
from tests.stage3_folder import DIMENSION, Json, blobs, plain_metadata, scattered, unit


def direct(vectors: F32) -> F32:
    centred = unit(vectors - mean_taken_off(vectors))
    return np.array([pulled(centred, i) for i in range(len(centred))])


def pulled(centred: F32, i: int) -> F32:
    """One of the vectors, moved towards its nearest."""
    cosines = centred @ centred[i]
    cosines[i] = -1
    nearest = np.argsort(-cosines)[:NEIGHBOURS]
    weight = np.maximum(cosines[nearest] - THRESHOLD, 0) ** 2
    pull = weight @ centred[nearest]
    length = np.linalg.norm(pull)
    return np.asarray(unit([centred[i] + (pull / length if length else 0)])[0])


def smoothed(vectors: F32) -> F32:
    nothing = np.empty(0, np.int32), np.zeros((len(vectors), 2), np.uint64)
    return all_smoothed(vectors.copy(), *nothing).vectors


@pytest.mark.parametrize("sizes", [[12, 9, 2], [3] * 20, [20]])
@pytest.mark.parametrize("rows", [1, 3, 8192])
def test_documents_move_towards_their_nearest(
    rows: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustering_tasks.steps.plan.story_vectors._ROWS", rows)
    vectors = blobs(sizes, noise=9, spread=0.1)
    np.testing.assert_allclose(smoothed(vectors), direct(vectors), atol=1e-5)


def test_a_single_document_is_what_it_is() -> None:
    one = scattered(1)
    np.testing.assert_allclose(smoothed(one), one, atol=1e-6)
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
    digests = digest_rows(vectors)
    found = story_vectors(made, ids, nodes, no_documents(5), digests)
    mixed = [unit([vectors[[0, 2]].sum(axis=0)])[0], vectors[3]]
    np.testing.assert_allclose(found.vectors, direct(np.array(mixed)), atol=1e-5)
    assert found.of_node[np.argsort(nodes.row)].tolist() == [0, -1, 0, 1, -1]
    nobody = pd.Series([None] * 5, dtype="str")
    nothing = story_vectors(made, nobody, nodes, no_documents(5), digests)
    assert nothing.of_node.tolist() == [-1] * 5
    assert len(nothing.vectors) == 0


def no_documents(nodes: int) -> DocumentVectors:
    return DocumentVectors(np.empty((0, 0), np.float32), np.full(nodes, -1, dtype=np.int32))


def test_a_document_that_has_not_changed_keeps_its_vector(workbench: Workbench) -> None:
    vectors = blobs([6, 6, 6], noise=6, spread=0.1)
    about = np.repeat(np.arange(12), 2)
    run = workbench.start("storylines", mode="incremental", **_GATE)
    workbench.stage3.write("storylines", vectors[:22], of_documents(about[:22]))
    snapshot(run)
    path = plan(run).path("story_vectors")
    former = Stories(**read_arrays(path, Stories.__annotations__))
    changed = vectors.copy()
    changed[2] = unit([vectors[20] + vectors[2]])[0]  # of the second document
    run = workbench.start("storylines", "next", **_GATE)
    workbench.stage3.write("storylines", changed, of_documents(about))
    made = snapshot(run)
    result = plan(run)
    nodes = load_nodes(result.path("nodes"))
    ids = pd.read_parquet(made.files["items"])["document_id"]
    digests = digest_rows(np.load(made.files["vectors"]))
    given = story_vectors(made, ids, nodes, no_documents(24), digests, path)
    kept = [0, *range(2, 11)]
    np.testing.assert_array_equal(given.vectors[kept], former.vectors[kept])
    plain = np.concatenate([former.plain, np.zeros((1, DIMENSION), np.float32)])
    for number, items in ((1, changed[[2, 3]]), (11, changed[[22, 23]])):
        plain[number] = unit(unit([items.sum(axis=0)]) - former.mean)[0]
    np.testing.assert_allclose(given.plain, plain, atol=1e-5)
    for number in (1, 11):
        np.testing.assert_allclose(given.vectors[number], pulled(plain, number), atol=1e-5)


def of_documents(about: npt.NDArray[np.int64]) -> list[Json]:
    return [
        plain_metadata("storylines", n) | {"document_id": f"doc_{d:04d}"}
        for n, d in enumerate(about.tolist())
    ]
