from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_tasks.arrays import F32
from clustering_tasks.engine import neighbours as module
from clustering_tasks.engine.approximation import link_back, link_changed, recall
from clustering_tasks.engine.cells import (
    centres_of,
    find_neighbours,
    find_neighbours_of,
    nearest_cells,
    probe_count,
    train_cells,
)
from clustering_tasks.engine.neighbours import Cells, Neighbours, exact_neighbours, search
from tests.stage3_folder import blobs, unit


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    monkeypatch.setattr(module, "BATCH_ROWS", 128)


def in_cells(count: int, probes: int) -> tuple[F32, Cells]:
    """Vectors in the order of their cells, and the cells."""
    vectors = blobs([90, 60, 40, 30], noise=180, dimension=24)
    nearest = nearest_cells(vectors, train_cells(vectors, count), probes)
    order = np.argsort(nearest[:, 0], kind="stable")
    bounds = np.searchsorted(nearest[order, 0], np.arange(count + 1))
    return vectors[order], Cells(bounds, nearest[order])


def assert_same(one: Neighbours, other: Neighbours) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.distances.view(np.int32), other.distances.view(np.int32))


def test_every_row_probes_the_cells_whose_centres_are_most_similar() -> None:
    vectors = blobs([50, 40, 30], noise=30, dimension=24)
    centres = train_cells(vectors, 9)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-6)
    similarity = vectors @ centres.T
    found = nearest_cells(vectors, centres, 4)
    assert all(len(set(cells)) == 4 for cells in found.tolist())
    # to what seven bits tell
    expected = -np.sort(-similarity, axis=1)[:, :4]
    got = np.take_along_axis(similarity, found.astype(np.int64), axis=1)
    np.testing.assert_allclose(got, expected, atol=0.02)
    assert (found == np.argsort(-similarity, axis=1)[:, :4]).mean() > 0.95


def test_cells_follow_the_groups() -> None:
    vectors = blobs([50, 50, 50], spread=0.01, seed=1)
    nearest = nearest_cells(vectors, train_cells(vectors, 3), 1)[:, 0].reshape(3, 50)
    assert (nearest == nearest[:, :1]).all()
    assert len(set(nearest[:, 0])) == 3


def test_centres_are_the_means_of_their_cells() -> None:
    vectors = blobs([50, 40, 30], spread=0.01, seed=1)
    centres = train_cells(vectors, 3)
    cell = nearest_cells(vectors, centres, 1)[:, 0]
    means = unit(np.stack([vectors[cell == one].mean(axis=0) for one in range(3)]))
    np.testing.assert_allclose(centres, means, atol=1e-6)


@pytest.mark.usefixtures("small_batches")
def test_with_all_cells_probed_the_search_is_exact() -> None:
    vectors, cells = in_cells(7, 7)
    assert_same(search(vectors, cells, 0, len(vectors), 9), exact_neighbours(vectors, 0, 400, 9))


@pytest.mark.usefixtures("small_batches")
def test_neighbours_are_the_nearest_in_the_cells_that_are_probed() -> None:
    vectors, cells = in_cells(10, 3)
    assert cells.probes is not None
    home = np.repeat(np.arange(10), np.diff(cells.bounds))
    found = search(vectors, cells, 0, len(vectors), 6)
    for row in range(0, len(vectors), 13):
        there = np.flatnonzero(np.isin(home, cells.probes[row]) & (np.arange(400) != row))
        distances = np.linalg.norm(vectors[there] - vectors[row], axis=1)
        np.testing.assert_array_equal(found.ids[row], there[np.lexsort((there, distances))][:6])


@given(st.sets(st.integers(1, 399)))
@settings(max_examples=20)
def test_ranges_give_the_same_bits(cuts: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_ROWS", 100)
        vectors, cells = in_cells(10, 3)
        whole = search(vectors, cells, 0, 400, 8)
        bounds = [0, *sorted(cuts), 400]
        parts = [search(vectors, cells, a, b, 8) for a, b in pairwise(bounds)]
    ids = np.concatenate([part.ids for part in parts])
    assert_same(whole, Neighbours(ids, np.concatenate([part.distances for part in parts])))


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_number_of_threads_changes_nothing(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, cells = in_cells(10, 3)
    expected = search(vectors, cells, 0, 400, 8)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert_same(search(vectors, cells, 0, 400, 8), expected)


def test_many_vectors_in_memory_are_searched_in_cells() -> None:
    vectors = blobs([300, 200], noise=500, dimension=16)
    exact = find_neighbours(vectors, 8, exact_rows=1000, probes=4)
    assert_same(exact, exact_neighbours(vectors, 0, 1000, 8))
    found = find_neighbours(vectors, 8, exact_rows=999, probes=12)
    same = (found.ids[:, :, None] == exact.ids[:, None, :]).any(axis=2).mean()
    assert 0.7 < same < 1
    lengths = np.linalg.norm(vectors[:, None] - vectors[found.ids], axis=2)
    np.testing.assert_allclose(found.distances, lengths, atol=1e-6)


def test_some_vectors_find_in_known_cells_what_all_find() -> None:
    vectors = blobs([300, 200], noise=500, dimension=16)
    rows = np.sort(np.random.default_rng(0).permutation(1000)[:90])
    for exact_rows in (999, 1000):
        all_of_them = find_neighbours(vectors, 8, exact_rows, probes=12)
        centres = centres_of(vectors, exact_rows)
        found = find_neighbours_of(vectors, rows, 8, centres, probes=12)
        assert_same(found, Neighbours(all_of_them.ids[rows], all_of_them.distances[rows]))


def test_an_edge_is_offered_to_its_other_end() -> None:
    ids = np.array([[1, 2], [2, -1], [3, 1], [2, -1]], dtype=np.int32)
    distances = np.array([[0.2, 0.5], [0.3, np.inf], [0.1, 0.3], [0.1, np.inf]], dtype=np.float32)
    linked, nearest = link_back(ids, distances)
    # 0 and 3 learn of nobody new; 1 learns of 0; 2 has two nearer ones than 0
    assert linked.tolist() == [[1, 2], [0, 2], [3, 1], [2, -1]]
    assert nearest[1].tolist() == distances[[0, 1], [0, 0]].tolist()


@given(st.integers(0, 50))
@settings(max_examples=25)
def test_what_is_offered_does_not_depend_on_the_order_of_the_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(40, 6)).astype(np.float32))
    exact = exact_neighbours(vectors, 0, 40, 6)
    ids, distances = exact.ids[:, ::2].copy(), exact.distances[:, ::2].copy()  # some are missing
    order = rng.permutation(40)
    place = np.argsort(order)
    linked, nearest = link_back(ids, distances)
    again, _ = link_back(place[ids[order]].astype(np.int32), distances[order])
    np.testing.assert_array_equal(np.sort(order[again], axis=1), np.sort(linked[order], axis=1))
    assert (nearest <= distances).all()


@given(st.integers(0, 50))
@settings(max_examples=25)
def test_of_a_graph_that_was_linked_back_only_what_changed_is_offered_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.normal(size=(40, 6)).astype(np.float32))
    exact = exact_neighbours(vectors, 0, 40, 8)
    ids, distances = link_back(exact.ids[:, ::2].copy(), exact.distances[:, ::2].copy())
    searched, short = np.arange(40) < 4, np.zeros(40, dtype=bool)
    lost = rng.random(ids.shape) < 0.1  # what is searched is new: no other row has it
    lost |= np.isin(ids, np.flatnonzero(searched))
    short[:] = lost.any(axis=1) & ~searched
    order = np.argsort(lost, axis=1, kind="stable")
    ids = np.take_along_axis(np.where(lost, np.int32(-1), ids), order, axis=1)
    distances = np.take_along_axis(np.where(lost, np.float32(np.inf), distances), order, axis=1)
    ids[searched], distances[searched] = exact.ids[searched, :4], exact.distances[searched, :4]
    linked, nearest = link_back(ids, distances)
    assert (linked != ids).any()
    link_changed(ids, distances, searched, short)
    np.testing.assert_array_equal(ids, linked)
    np.testing.assert_array_equal(distances, nearest)


def test_recall_is_the_share_of_true_neighbours() -> None:
    vectors = blobs([40, 30], noise=30, dimension=16)
    exact = exact_neighbours(vectors, 0, 100, 20)
    assert recall(vectors, exact.ids).value == 1
    half = exact.ids.copy()
    half[::2] = -1
    found = recall(vectors, half)
    assert found.value == pytest.approx(0.5)
    assert found.error == pytest.approx(0.5 / 10)  # of a hundred rows, half with all, half none
    assert recall(vectors, exact.ids[:, ::2]).value == pytest.approx(0.5, abs=0.05)


def test_more_cells_are_probed_among_more_rows_unless_their_number_is_given() -> None:
    counts = [probe_count(n) for n in (30_000, 200_000, 1_000_000, 10_000_000)]
    assert counts == [18, 18, 21, 25]
    assert probe_count(1_000_000, 3) == 3
