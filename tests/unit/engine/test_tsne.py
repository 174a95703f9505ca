"""t-SNE on a grid, against sums over all pairs."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from clustering_tasks.engine import tsne as module
from clustering_tasks.engine.main_axes import turn
from clustering_tasks.engine.tsne import tsne
from tests.stage3_folder import blobs, scattered, unit


def test_neighbours_stay_neighbours() -> None:
    vectors = blobs([30] * 12, spread=0.12, seed=3)
    places = tsne(vectors)
    assert trustworthiness(vectors, places, n_neighbors=10) > 0.95
    group = np.repeat(np.arange(12), 30)
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (group[distances.argmin(axis=1)] == group).mean() > 0.98


def test_the_same_vectors_are_the_same_picture() -> None:
    vectors = scattered(200)
    assert tsne(vectors).tobytes() == tsne(vectors.copy()).tobytes()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 40])
def test_few_vectors_have_places(count: int) -> None:
    places = tsne(scattered(count))
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == count


def test_equal_vectors_have_places() -> None:
    places = tsne(unit(np.ones((30, 16))))
    assert np.isfinite(places).all()


@pytest.mark.parametrize("width", [1e-4, 2.0, 60.0, 120.0])
def test_repulsion_is_that_of_all_pairs(width: float) -> None:
    y = np.random.default_rng(1).uniform(-width / 2, width / 2, (300, 2))
    pairs, grid = np.empty_like(y), np.empty_like(y)
    of_pairs = module.push_pairs(y, pairs)
    on_grid = module.push_on_grid(module.Grid(), y, grid)
    apart = y[:, None] - y
    near = 1 / (1 + (apart**2).sum(axis=2))
    expected = (near[:, :, None] ** 2 * apart).sum(axis=1)
    assert pairs == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert of_pairs == pytest.approx(near.sum() - len(y))
    assert on_grid == pytest.approx(of_pairs, rel=0.02)
    error = np.linalg.norm(grid - expected) / np.linalg.norm(expected)
    assert error < (0.03 if width < 80 else 0.2)  # a wide picture's grid is coarser


def test_every_row_has_the_perplexity() -> None:
    squares = np.sort(np.random.default_rng(2).uniform(0.1, 1, (50, 45)))
    p = np.empty_like(squares)
    module.perplexities(squares, np.log(15), p)
    assert p.sum(axis=1) == pytest.approx(1)
    assert np.exp(-(p * np.log(p)).sum(axis=1)) == pytest.approx(15)
    assert (np.diff(p, axis=1) <= 0).all()


def test_groups_are_turned_onto_their_main_axes() -> None:
    rng = np.random.default_rng(4)
    scale = np.array([9, 4, 1, 0.5])
    points = np.concatenate([rng.normal(size=(40, 4)) * scale, rng.normal(size=(9, 4)) * scale])
    flat = np.empty((49, 2))
    turn(points.copy(), np.array([0, 40, 49]), flat)
    for rows in (slice(0, 40), slice(40, 49)):
        _, singular, axes = np.linalg.svd(points[rows])
        lengths = np.linalg.norm(flat[rows], axis=0)
        assert lengths == pytest.approx(singular[:2], rel=0.02)
        assert abs(flat[rows, 0]) == pytest.approx(abs(points[rows] @ axes[0]), abs=0.5)
