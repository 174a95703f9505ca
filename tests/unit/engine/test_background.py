"""What chance gives: how similar the unrelated items of a level are."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine.background import Background, background
from tests.stage3_folder import blobs


def scattered(count: int, dimension: int, seed: int = 0) -> F32:
    """Unit vectors in random directions: a pair's similarity deviates by 1 / sqrt(dimension)."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


@pytest.mark.parametrize(("count", "dimension"), [(400, 64), (2_000, 200), (100, 768)])
def test_unrelated_vectors_are_as_similar_as_chance_makes_them(count: int, dimension: int) -> None:
    found = background(scattered(count, dimension))
    assert found is not None
    assert abs(found.mode) < 0.6 / np.sqrt(dimension)
    assert found.deviation == pytest.approx(1 / np.sqrt(dimension), rel=0.25)


def test_stories_do_not_widen_the_background() -> None:
    alone = background(scattered(600, 128))
    mixed = background(
        np.concatenate([scattered(300, 128), blobs([30] * 10, dimension=128, spread=0.3)])
    )
    assert alone is not None
    assert mixed is not None
    assert mixed.deviation == pytest.approx(alone.deviation, rel=0.2)


def test_a_link_beyond_chance_is_less_than_identity_where_all_are_alike() -> None:
    found = background(blobs([200], dimension=512, spread=0.05))
    assert found is not None
    assert found.mode > 0.2
    assert found.beyond(1000) < 0.9
    assert found.mode < found.beyond(1) < found.beyond(2)


@pytest.mark.parametrize("sizes", [[20, 10], [15, 15], [40, 5, 5]])
def test_where_most_pairs_are_of_one_story_there_is_no_background(sizes: list[int]) -> None:
    found = background(blobs(sizes, spread=0.03, seed=1))
    assert found is None or found.beyond(5.5) < 0.6


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_items_have_no_background(count: int) -> None:
    assert background(scattered(count, 16)) is None


def test_three_identical_items_have_one_without_scatter() -> None:
    found = background(scattered(1, 16).repeat(3, axis=0))
    assert found is not None
    assert found.beyond(5) == pytest.approx(1, abs=1e-6)


def few_of_one_story(count: int, seed: int) -> F32:
    """Items about one thing, some to the point, others hardly."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(count, 256)) * rng.uniform(0.01, 0.08, (count, 1))
    vectors = (np.eye(1, 256) + own).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


@pytest.mark.parametrize("count", [5, 6, 8, 12])
def test_few_items_of_one_story_have_no_background(count: int) -> None:
    found = [background(few_of_one_story(count, seed)) for seed in range(40)]
    assert sum(each is not None for each in found) <= 4


@pytest.mark.parametrize("count", [5, 6, 8, 12])
def test_few_unrelated_items_mostly_have_one(count: int) -> None:
    found = [background(scattered(count, 256, seed)) for seed in range(40)]
    assert sum(each is None for each in found) <= 12


@pytest.mark.parametrize("mode", [0.0, -0.04, -0.07])
def test_a_similarity_means_the_same_on_every_level_of_many_stories(mode: float) -> None:
    assert Background(mode, 0.07).on_this_level(0.33) == pytest.approx(0.33)


def test_where_few_stories_make_up_a_level_less_similarity_counts_as_much() -> None:
    few, fewer = (Background(mode, 0.07).on_this_level(0.33) for mode in (-0.1, -0.2))
    assert 0.33 > few > fewer > 0.2
    assert Background(-0.2, 0.07).on_this_level(1) == 1  # identity is identity
