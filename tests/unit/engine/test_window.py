"""Neighbours within a window in time, exact and in cells, against brute force."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine import neighbours as module
from clustering_tasks.engine.approximation import recall
from clustering_tasks.engine.cells import nearest_cells, train_cells
from clustering_tasks.engine.neighbours import Cells, all_cells, search
from clustering_tasks.engine.window import Window, days_apart
from tests.stage3_folder import blobs


def dated(n: int, seed: int = 0) -> F64:
    """Spans in a year, a tenth undated."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 365, n)
    spans = np.stack([first, first + rng.choice([0, 3], n)], axis=1)
    spans[rng.random(n) < 0.1] = np.nan
    return spans


def brute_force(vectors: F32, window: Window, k: int) -> I32:
    doubles = vectors.astype(np.float64)
    distances = np.linalg.norm(doubles[:, None] - doubles[None], axis=2)
    rows, columns = (side.ravel().astype(np.int32) for side in np.indices(distances.shape))
    apart = days_apart(window.spans, rows, columns).reshape(distances.shape)
    distances[apart > window.days] = np.inf
    np.fill_diagonal(distances, np.inf)
    ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.where(np.isfinite(np.take_along_axis(distances, ids, axis=1)), ids, -1)


@pytest.mark.parametrize("days", [0.5, 10, 400])
def test_neighbours_are_the_nearest_within_the_window(
    days: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CELL_ROWS", 48)
    monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    vectors = blobs([90, 60], noise=100, dimension=24)
    window = Window(dated(len(vectors)), days)
    found = search(vectors, all_cells(len(vectors)), 0, len(vectors), 12, window)
    np.testing.assert_array_equal(found.ids, brute_force(vectors, window, 12))
    assert np.isinf(found.distances[found.ids < 0]).all()
    assert recall(vectors, found.ids, window=window).value == 1


def test_in_cells_too_no_neighbour_is_outside_the_window() -> None:
    vectors = blobs([150, 150], noise=100, dimension=24)
    spans = dated(len(vectors))
    near = nearest_cells(vectors, train_cells(vectors, 12), 4)
    order = np.argsort(near[:, 0], kind="stable")
    cells = Cells(np.searchsorted(near[order, 0], np.arange(13)).astype(np.int64), near[order])
    window = Window(spans[order], 20)
    found = search(vectors[order], cells, 0, len(vectors), 8, window)
    rows, at = np.nonzero(found.ids >= 0)
    apart = days_apart(window.spans, rows.astype(np.int32), found.ids[rows, at])
    assert not (apart > 20).any()
    measured = recall(vectors[order], found.ids, 8, window)
    assert measured.value is not None
    assert 0.7 < measured.value < 1
    every = Cells(cells.bounds, np.tile(np.arange(12, dtype=np.int16), (len(vectors), 1)))
    whole = search(vectors[order], every, 0, len(vectors), 8, window)
    np.testing.assert_array_equal(whole.ids, brute_force(vectors[order], window, 8))


def test_where_nobody_has_a_neighbour_recall_is_unknown() -> None:
    vectors = blobs([5])
    window = Window(np.repeat(np.arange(5.0)[:, None] * 100, 2, axis=1), 1)
    found = search(vectors, all_cells(5), 0, 5, 3, window)
    assert (found.ids == -1).all()
    assert recall(vectors, found.ids, window=window).value is None
