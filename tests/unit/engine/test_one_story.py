"""Parts of one story are joined, stories are not."""

from typing import Any

import numpy as np
import pytest

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.one_story import join_parts
from clustering_tasks.engine.rows import unit
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings

DIMENSION = 384


def directions(count: int, rng: np.random.Generator) -> F32:
    return unit(rng.normal(size=(count, DIMENSION)).astype(np.float32))


def story(parts: list[int], seed: int, shared: float = 0.0) -> F32:
    """Items of one story, one part after the other: some to the point, others hardly.

    Args:
        parts: sizes of parts that have an angle of their own.
        seed: stories of two seeds have nothing in common.
        shared: what all texts share with any encoder.
    """
    rng = np.random.default_rng(seed)
    about = directions(1, rng)
    angle = np.repeat(0.5 * directions(len(parts), rng), parts, axis=0)
    count = sum(parts)
    own = rng.uniform(0.2, 1.5, (count, 1)) * directions(count, rng)
    common = np.zeros(DIMENSION)
    common[0] = shared
    return unit((about + angle + own + common).astype(np.float32))


def labels_of(sizes: list[int]) -> I32:
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)


@pytest.mark.parametrize("parts", [[8, 8], [20, 4], [6, 5, 4], [9, 1], [40, 30, 20]])
def test_parts_of_one_story_are_joined(parts: list[int]) -> None:
    assert join_parts(labels_of(parts), story(parts, 1), 0).max() == 0


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_parts_are_joined_story_by_story(shared: float) -> None:
    level = np.concatenate([story([12, 9], seed, shared) for seed in range(4)])
    found = join_parts(labels_of([12, 9] * 4), level, 0)
    assert found.tolist() == np.repeat(np.arange(4), 21).tolist()


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_lone_items_are_joined_with_nothing(shared: float) -> None:
    alone = np.concatenate([story([1], seed, shared) for seed in range(10, 22)])
    level = np.concatenate([story([12], 1, shared), alone])
    labels = labels_of([12] + [1] * 12)
    assert join_parts(labels, level, 0).tolist() == labels.tolist()


def test_parts_of_a_small_story_stay_as_they_are() -> None:
    labels = labels_of([8, 8])
    assert join_parts(labels, story([8, 8], 2), 15).max() == 0
    assert join_parts(labels, story([8, 8], 2), 16).tolist() == labels.tolist()


def test_groups_are_numbered_by_their_lowest_nodes() -> None:
    level = np.concatenate([story([8], 3), story([6, 6], 4)])
    labels = np.concatenate([np.full(8, 2), labels_of([6, 6])]).astype(np.int32)
    assert join_parts(labels, level, 0).tolist() == [0] * 8 + [1] * 12


def test_nothing_is_joined_where_there_is_nothing() -> None:
    assert not len(join_parts(labels_of([]), np.empty((0, DIMENSION), np.float32), 0))


def clustered(vectors: F32, **settings: Any) -> FlatClustering:
    chosen = run_settings({"agglomerative": settings} if settings else {})
    at = exact_neighbours(vectors, 0, len(vectors), 32)
    method = resolve_method(chosen, LEVELS["documents"], len(vectors))
    weight = np.ones(len(vectors), dtype=np.int32)
    return agglomerative(Block(vectors, at.ids, at.distances, weight), chosen, method)


@pytest.mark.parametrize("parts", [[7, 5], [12, 8, 4], [4, 3]])
@pytest.mark.parametrize("seed", range(3))
def test_a_level_of_one_story_is_one_cluster(parts: list[int], seed: int) -> None:
    found = clustered(story(parts, seed))
    assert found.labels.tolist() == [0] * sum(parts)


def test_a_given_number_of_clusters_is_what_comes_out() -> None:
    found = clustered(story([12, 8, 4], 0), clusters=2, lone_deviations=5.5)
    assert (found.labels.max() + 1, found.facts["joined"]) == (2, 0)


def test_without_the_rule_the_silhouette_would_split_it() -> None:
    level = story([12, 8, 4], 0)
    assert clustered(level).facts["joined"]
    kept = clustered(level, lone_deviations=0)
    assert kept.labels.max() > 0
    assert kept.facts["joined"] == 0


@pytest.mark.parametrize("sizes", [[6, 6], [15, 5], [8, 7, 6]])
def test_a_small_level_of_several_stories_has_as_many_clusters(sizes: list[int]) -> None:
    level = np.concatenate([story([size], seed) for seed, size in enumerate(sizes)])
    assert clustered(level).labels.tolist() == labels_of(sizes).tolist()
