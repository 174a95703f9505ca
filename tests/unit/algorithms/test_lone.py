"""Items that stand alone are left out of the hierarchy."""

from typing import Any

import numpy as np
import pytest

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.rows import unit
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from tests.stage3_folder import blobs

GROUPS, ALONE = [12, 8, 3, 2], 60
STORIES = sum(GROUPS)


def clustered(vectors: F32, weight: I32 | None = None, **settings: Any) -> FlatClustering:
    chosen = run_settings({"agglomerative": settings} if settings else {})
    at = exact_neighbours(vectors, 0, len(vectors), 32)
    weight = np.ones(len(vectors), dtype=np.int32) if weight is None else weight
    method = resolve_method(chosen, LEVELS["documents"], len(vectors))
    return agglomerative(Block(vectors, at.ids, at.distances, weight), chosen, method)


def feed() -> F32:
    """A few stories, and many items that no story has: in 200 dimensions."""
    return blobs(GROUPS, noise=ALONE, dimension=200, spread=0.05, seed=2)


@pytest.mark.parametrize("linkage", ["auto", "average", "ward", "single"])
def test_what_resembles_nothing_is_noise(linkage: str) -> None:
    found = clustered(feed(), linkage=linkage)
    assert np.all(found.labels[STORIES:] == -1)
    assert np.all(found.probabilities[STORIES:] == 0)
    assert np.all(found.labels[:STORIES] >= 0)
    assert len(set(found.labels[:STORIES].tolist())) == len(GROUPS)
    assert found.facts["lone"] == ALONE


def test_the_hierarchy_keeps_the_numbers_of_the_nodes() -> None:
    order = np.random.default_rng(3).permutation(STORIES + ALONE)
    found = clustered(feed()[order])
    of_stories = set(np.flatnonzero(order < STORIES).tolist())
    assert set(found.tree["nodes"].ravel().tolist()) <= of_stories


def test_copies_of_one_item_are_not_alone() -> None:
    weight = np.ones(STORIES + ALONE, dtype=np.int32)
    weight[-1] = 2
    found = clustered(feed(), weight)
    assert found.labels[-1] >= 0
    assert found.facts["lone"] == ALONE - 1


def test_a_feed_of_lone_items_has_no_cluster() -> None:
    found = clustered(blobs([], noise=80, dimension=200, seed=4))
    assert np.all(found.labels == -1)
    assert found.facts["lone"] == 80


@pytest.mark.parametrize(
    "settings", [{"lone_deviations": 0}, {"clusters": 4}, {"cut_similarity": 0.5}]
)
def test_the_caller_may_keep_every_item(settings: dict[str, Any]) -> None:
    found = clustered(feed(), **settings)
    assert found.facts["lone"] == 0
    assert found.facts["lone_similarity"] is None


def test_with_given_clusters_the_caller_may_still_leave_lone_items_out() -> None:
    found = clustered(feed(), clusters=len(GROUPS), lone_deviations=5.5)
    assert found.facts["lone"] == ALONE
    assert len(set(found.labels[:STORIES].tolist())) == len(GROUPS)


def with_a_pair(similarity: float) -> F32:
    """The feed, and two items that resemble each other beyond chance, as alike as said."""
    vectors = np.pad(feed(), ((0, 0), (0, 2)))
    pair = np.zeros((2, 202), dtype=np.float32)
    pair[:, 200] = 1, similarity
    pair[1, 201] = np.sqrt(1 - similarity**2)
    return np.concatenate([vectors, pair]).astype(np.float32)


@pytest.mark.parametrize(("similarity", "together"), [(0.95, True), (0.5, False)])
def test_two_items_that_are_less_alike_than_stories_inside_stand_alone(
    similarity: float, together: bool
) -> None:
    found = clustered(with_a_pair(similarity))
    assert found.facts["lone"] == ALONE  # the pair is beyond chance
    assert (found.facts["pair_similarity"] is None) == together
    assert (found.labels[-1] >= 0) == (found.labels[-2] >= 0) == together


@pytest.mark.parametrize("settings", [{"lone_deviations": 0}, {"cut_similarity": 0.5}])
def test_the_caller_may_keep_every_pair(settings: dict[str, Any]) -> None:
    found = clustered(with_a_pair(0.5), **settings)
    assert found.labels[-1] == found.labels[-2] >= 0
    assert found.facts["pair_similarity"] is None


def test_members_of_few_stories_stay_though_the_mean_that_is_taken_off_is_theirs() -> None:
    vectors = blobs([9, 9, 9], dimension=200, spread=0.08, seed=1)
    centred = unit(vectors - vectors.mean(axis=0))
    found = clustered(centred)
    assert (found.labels >= 0).mean() > 0.9
    assert len(set(found.labels.tolist()) - {-1}) == 3
    as_said = clustered(centred, trim_similarity=0.33)
    assert (as_said.labels >= 0).mean() < 0.5
