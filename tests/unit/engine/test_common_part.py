"""What all items share: a giant story counts less."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32, F64
from clustering_tasks.engine.common_part import shift_without_giants
from clustering_tasks.engine.rows import unit
from tests.stage3_folder import blobs

DIMENSION = 128


def level(sizes: list[int]) -> F32:
    """Stories of these sizes, with what all of them share."""
    shared = np.zeros(DIMENSION, dtype=np.float32)
    shared[0] = 0.7
    return unit(blobs(sizes, dimension=DIMENSION, spread=0.06, seed=3) + shared)


def shift_of(vectors: F32) -> F64:
    shift = shift_without_giants(vectors, np.ones(len(vectors), dtype=np.int32))
    assert shift is not None
    return shift


def similarity_in(vectors: F32, mean: F64, members: slice) -> float:
    """Mean similarity of a story's members, without what all share."""
    own = unit((vectors - mean.astype(np.float32)).astype(np.float32))[members]
    return float((own @ own.T).mean())


def test_a_level_of_many_stories_keeps_its_mean_to_the_bit() -> None:
    assert not shift_of(level([10] * 60)).any()
    assert not shift_of(level([30] * 10 + [2] * 50)).any()


def test_a_story_that_is_most_of_a_level_is_not_what_all_items_share() -> None:
    vectors = level([300] + [2] * 100)
    mean = vectors.mean(axis=0, dtype=np.float64)
    stories = vectors[300::2].mean(axis=0, dtype=np.float64)
    shifted = mean + shift_of(vectors)
    assert np.linalg.norm(shifted - stories) < 0.4 * np.linalg.norm(mean - stories)
    giant = slice(0, 300)
    assert similarity_in(vectors, mean, giant) < 0.6
    assert similarity_in(vectors, shifted, giant) > similarity_in(vectors, mean, giant) + 0.15


def test_a_node_of_several_items_counts_as_they_do() -> None:
    vectors = level([120] + [2] * 100)
    twice = np.concatenate([vectors[:60], vectors])
    weights = np.ones(len(vectors), dtype=np.int32)
    weights[:60] = 2
    mean_twice = twice.mean(axis=0, dtype=np.float64) + shift_of(twice)
    shift = shift_without_giants(vectors, weights)
    assert shift is not None
    mean = np.average(vectors, axis=0, weights=weights) + shift
    assert mean == pytest.approx(mean_twice, abs=2e-3)


def loose_story(size: int) -> F32:
    """Items about one thing: some to the point, others hardly."""
    generator = np.random.default_rng(5)
    noise = generator.normal(size=(size, DIMENSION)) * generator.uniform(0.01, 0.12, (size, 1))
    return unit((np.eye(1, DIMENSION) + noise).astype(np.float32))


@pytest.mark.parametrize(
    "vectors", [loose_story(30), loose_story(300), level([200] + [1] * 50), level([1])]
)
def test_where_most_pairs_are_of_one_story_nothing_is_taken_off(vectors: F32) -> None:
    assert shift_without_giants(vectors, np.ones(len(vectors), dtype=np.int32)) is None
