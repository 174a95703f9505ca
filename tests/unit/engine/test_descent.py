import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_tasks.arrays import F32
from clustering_tasks.engine import descent as module
from clustering_tasks.engine.approximation import recall
from clustering_tasks.engine.descent import descend, enter
from clustering_tasks.engine.neighbours import Neighbours, exact_neighbours, neighbours_of
from clustering_tasks.engine.products import dot_of_codes
from clustering_tasks.engine.window import Window
from tests.stage3_folder import blobs

K = 12


def missing(vectors: F32, seed: int, k: int = K) -> Neighbours:
    """A graph that lacks two of three edges, at random."""
    exact = exact_neighbours(vectors, 0, len(vectors), k)
    gone = np.random.default_rng(seed).random(exact.ids.shape) < 2 / 3
    distances = np.where(gone, np.float32(np.inf), exact.distances)
    order = np.argsort(distances, axis=1, kind="stable")
    ids = np.where(gone, np.int32(-1), exact.ids)
    return Neighbours(
        np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)
    )


def assert_same(one: Neighbours, other: Neighbours) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.distances.view(np.int32), other.distances.view(np.int32))


def test_most_of_what_is_missing_is_found() -> None:
    vectors = blobs([90, 60, 40, 30], noise=80, dimension=24)
    found = missing(vectors, 1)
    better = descend(vectors, found)
    before, after = (recall(vectors, each.ids, K).value for each in (found, better))
    assert before is not None
    assert after is not None
    assert before < 0.4
    assert after > 0.9


@given(st.integers(0, 100), st.integers(1, 20), st.sampled_from([1, 5, 40, 100]))
@settings(max_examples=100, deadline=None)
def test_lists_stay_true(seed: int, k: int, dimension: int) -> None:
    vectors = blobs([20, 15, 3], noise=12, dimension=dimension, seed=seed)
    before = missing(vectors, seed, k)
    after = descend(vectors, before)
    for row, (ids, distances) in enumerate(zip(after.ids, after.distances, strict=True)):
        there = ids[ids >= 0].tolist()
        assert (ids[len(there) :] == -1).all()
        assert np.isinf(distances[len(there) :]).all()
        assert row not in there
        assert len(set(there)) == len(there) >= (before.ids[row] >= 0).sum()
        pairs = list(zip(distances[: len(there)].tolist(), there, strict=True))
        assert pairs == sorted(pairs)
        lengths = np.linalg.norm(vectors[there] - vectors[row], axis=1)
        np.testing.assert_allclose(distances[: len(there)], lengths, atol=1e-6)


def test_a_graph_without_a_gap_stays_what_it_is() -> None:
    vectors = blobs([50, 40], noise=30, dimension=24)
    exact = exact_neighbours(vectors, 0, len(vectors), K)
    assert_same(descend(vectors, exact), exact)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_threads_and_their_rows_change_nothing(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = blobs([90, 60, 40, 30], noise=80, dimension=24)
    found = missing(vectors, 2)
    expected = descend(vectors, found)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(module, "_ROWS", 37)
    assert_same(descend(vectors, found), expected)


def test_what_was_found_is_not_written_over() -> None:
    vectors = blobs([50, 40], noise=30, dimension=24)
    found = missing(vectors, 3)
    ids, distances = found.ids.copy(), found.distances.copy()
    descend(vectors, found)
    assert_same(found, Neighbours(ids, distances))


def test_nothing_outside_of_the_window_is_a_neighbour() -> None:
    vectors = blobs([60, 60], noise=30, dimension=24)
    days = np.random.default_rng(4).integers(0, 30, len(vectors)).astype(np.float64)
    days[::7] = np.nan
    window = Window(np.stack([days, days], axis=1), 5.0)
    rows = np.arange(len(vectors))
    exact = neighbours_of(vectors, rows, K, window)
    some = Neighbours(exact.ids.copy(), exact.distances.copy())
    some.ids[:, 4:], some.distances[:, 4:] = -1, np.inf
    found = descend(vectors, some, window)
    apart = np.abs(days[found.ids] - days[:, None])
    assert not (apart[found.ids >= 0] > 5).any()
    assert (found.ids >= 0).sum() > 2 * (some.ids >= 0).sum()


def test_few_rows_and_none() -> None:
    for count in (0, 1, 2):
        vectors = blobs([2], dimension=8)[:count]
        nothing = Neighbours(
            np.full((count, 3), -1, np.int32), np.full((count, 3), np.inf, np.float32)
        )
        assert_same(descend(vectors, nothing), nothing)


@given(st.integers(0, 100), st.integers(0, 600))
def test_products_of_codes_are_exact(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    for a, b in (
        rng.integers(-63, 64, (2, length)).astype(np.int8),
        np.full((2, length), -63, np.int8),
        np.stack([np.full(length, 63, np.int8), np.full(length, -63, np.int8)]),
    ):
        assert dot_of_codes(a, b) == a.astype(np.int64) @ b.astype(np.int64)


@given(st.lists(st.integers(0, 2**31 - 1), max_size=600))
def test_a_number_is_entered_once(numbers: list[int]) -> None:
    table = np.full(2048, -1, dtype=np.int32)
    seen: set[int] = set()
    for number in numbers:
        assert enter(table, number) == (number not in seen)
        seen.add(number)
