from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_tasks.arrays import F32, F64, I64
from clustering_tasks.engine import neighbours as module
from clustering_tasks.engine.neighbours import (
    Cells,
    Neighbours,
    all_cells,
    exact_neighbours,
    search_rows,
)
from tests.stage3_folder import blobs, scattered


def brute_force(vectors: F32, k: int) -> tuple[I64, F64]:
    """Sort every other row by distance, then by its number."""
    doubles = vectors.astype(np.float64)
    distances = np.linalg.norm(doubles[:, None] - doubles[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    ids = np.lexsort((np.broadcast_to(np.arange(len(vectors)), distances.shape), distances))
    ids = ids[:, : min(k, len(vectors) - 1)]
    return ids, np.take_along_axis(distances, ids, axis=1)


@pytest.fixture(params=["tiles as they are", "small tiles"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "small tiles":
        monkeypatch.setattr(module, "CELL_ROWS", 48)
        monkeypatch.setattr(module, "CHUNK_ROWS", 100)
        monkeypatch.setattr(module, "BATCH_ROWS", 64)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("k", [1, 5, 32])
def test_the_neighbours_are_those_of_brute_force(k: int) -> None:
    vectors = blobs([60, 40], noise=100, dimension=24)
    found = exact_neighbours(vectors, 0, len(vectors), k)
    ids, distances = brute_force(vectors, k)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)


@pytest.mark.usefixtures("tiles")
def test_near_duplicates_are_ordered_by_their_true_distance() -> None:
    """Products of float32 cannot tell them apart; some are farther by 1e-5 only."""
    rng = np.random.default_rng(0)
    one = scattered(1, dimension=64)
    steps = 1e-5 * np.arange(1, 7)[:, None] * scattered(6, 5, dimension=64)
    vectors = np.concatenate([one, one + steps.astype(np.float32), scattered(90, 1, dimension=64)])
    vectors = vectors[rng.permutation(len(vectors))]
    found = exact_neighbours(vectors, 0, len(vectors), 6)
    ids, distances = brute_force(vectors, 6)
    np.testing.assert_allclose(found.distances, distances, atol=1e-7)
    np.testing.assert_array_equal(found.ids, ids)


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("k", [3, 12])
def test_of_equally_distant_rows_any_may_be_kept_but_their_order_is_fixed(k: int) -> None:
    """Corners of a hypercube: products and distances are exact, and hundreds of them tie."""
    rng = np.random.default_rng(0)
    corners = np.unique(rng.choice([-0.25, 0.25], size=(300, 16)).astype(np.float32), axis=0)
    vectors = corners[rng.permutation(len(corners))]
    found = exact_neighbours(vectors, 0, len(vectors), k)
    _, distances = brute_force(vectors, k)
    np.testing.assert_array_equal(found.distances, distances.astype(np.float32))
    true = np.linalg.norm(vectors[:, None] - vectors[found.ids], axis=2)
    np.testing.assert_array_equal(found.distances, true)
    assert (found.ids != np.arange(len(vectors))[:, None]).all()
    for ids, row in zip(found.ids, found.distances, strict=True):
        assert len(set(ids)) == k
        np.testing.assert_array_equal(np.lexsort((ids, row)), np.arange(k))


@pytest.mark.usefixtures("tiles")
@pytest.mark.parametrize("search", ["exact", "cells"])
@pytest.mark.parametrize(
    "rows", [[], [199], range(7), [*range(70), *range(90, 200)], range(0, 200, 3), [30, 4, 30]]
)
def test_any_rows_searched_at_once_find_what_all_rows_find(
    rows: Sequence[int], search: str
) -> None:
    vectors = blobs([60, 40], noise=100, dimension=24)
    cells = all_cells(len(vectors))
    if search == "cells":
        probes = np.random.default_rng(0).permuted(np.tile(np.arange(10), (200, 1)), axis=1)
        cells = Cells(np.arange(0, 201, 20), probes[:, :4].astype(np.int16))
    whole = search_rows(vectors, cells, np.arange(200), 5)
    queries = np.array(rows, dtype=np.int64)
    found = search_rows(vectors, cells, queries, 5)
    np.testing.assert_array_equal(found.ids, whole.ids[queries])
    np.testing.assert_array_equal(
        found.distances.view(np.int32), whole.distances[queries].view(np.int32)
    )


def test_of_equally_distant_rows_the_first_are_kept() -> None:
    rng = np.random.default_rng(0)
    corners = np.unique(rng.choice([-0.25, 0.25], size=(300, 16)).astype(np.float32), axis=0)
    vectors = corners[rng.permutation(len(corners))]
    found = exact_neighbours(vectors, 0, len(vectors), 8)
    np.testing.assert_array_equal(found.ids, brute_force(vectors, 8)[0])


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_where_there_are_too_few_neighbours_the_rest_is_empty(count: int) -> None:
    vectors = scattered(count)
    found = exact_neighbours(vectors, 0, count, 7)
    assert found.ids.shape == found.distances.shape == (count, 7)
    others = max(count - 1, 0)
    assert (found.ids[:, others:] == -1).all()
    assert np.isinf(found.distances[:, others:]).all()
    for row in range(count):
        assert set(found.ids[row, :others]) == set(range(count)) - {row}


def in_ranges(vectors: F32, starts: list[int], k: int) -> Neighbours:
    bounds = [*starts, len(vectors)]
    found = [exact_neighbours(vectors, start, stop, k) for start, stop in pairwise(bounds)]
    return Neighbours(
        np.concatenate([part.ids for part in found]),
        np.concatenate([part.distances for part in found]),
    )


@given(st.sets(st.integers(1, 399)))
@settings(max_examples=20)
def test_ranges_give_the_same_bits(cuts: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CELL_ROWS", 128)
        patch.setattr(module, "CHUNK_ROWS", 130)
        patch.setattr(module, "BATCH_ROWS", 64)
        vectors = blobs([150, 150], noise=100, dimension=48)
        whole = in_ranges(vectors, [0], 10)
        split = in_ranges(vectors, [0, *sorted(cuts)], 10)
    np.testing.assert_array_equal(whole.ids, split.ids)
    np.testing.assert_array_equal(whole.distances.view(np.int32), split.distances.view(np.int32))
