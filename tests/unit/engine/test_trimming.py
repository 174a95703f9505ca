"""What a cut leaves together although its own members say otherwise."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.trimming import (
    least_similarity_of_pairs,
    trim_small,
    without_pairs_below,
)
from tests.stage3_folder import blobs


def test_small_clusters_lose_members_that_are_hardly_similar() -> None:
    vectors = blobs([4, 12], spread=0.02, seed=1)
    vectors = np.concatenate([vectors, -vectors[:1], -vectors[4:5]])
    labels = np.repeat([0, 1, 0, 1], [4, 12, 1, 1]).astype(np.int32)
    weight = np.ones(18, dtype=np.int32)
    trimmed = trim_small(labels, vectors, weight, 10, 0.3)
    assert trimmed[:16].tolist() == labels[:16].tolist()
    assert trimmed[16:].tolist() == [-1, 1]  # the large cluster is left alone


SIZES = [30, 5, 5]
STORIES = sum(SIZES)


def level(*pairs: float) -> tuple[F32, I32]:
    """Three stories, of 30 and 5 items with similarities about .8, and pairs of given ones."""
    stories = blobs(SIZES, noise=0, dimension=60, spread=0.065, seed=1)
    rows = [np.pad(stories, ((0, 0), (0, 2 * len(pairs))))]
    labels = [np.repeat([0, 1, 2], SIZES)]
    for number, similarity in enumerate(pairs):
        pair = np.zeros((2, rows[0].shape[1]), dtype=np.float32)
        at = 60 + 2 * number
        pair[:, at] = 1, similarity
        pair[1, at + 1] = np.sqrt(1 - similarity**2)
        rows.append(pair)
        labels.append(np.full(2, 3 + number))
    return np.concatenate(rows).astype(np.float32), np.concatenate(labels).astype(np.int32)


def ones(labels: I32) -> I32:
    return np.ones(len(labels), dtype=np.int32)


def left(*pairs: float, alone: int = 20) -> list[bool]:
    """Which of the pairs of a level stay."""
    vectors, labels = level(*pairs)
    least = least_similarity_of_pairs(labels, vectors, ones(labels), alone)
    kept = without_pairs_below(labels, vectors, ones(labels), -1 if least is None else least)
    assert kept[:STORIES].tolist() == labels[:STORIES].tolist()
    assert kept[STORIES::2].tolist() == kept[STORIES + 1 :: 2].tolist()
    return [bool(label >= 0) for label in kept[STORIES::2]]


def test_pairs_that_are_less_alike_than_stories_inside_are_none() -> None:
    assert left(0.3, 0.95, 0.4, 0.9, 0.5) == [False, True, False, True, False]


def inside() -> list[float]:
    """How alike pairs of the level's stories are, from the least alike on; stories count alike."""
    vectors, labels = level()
    spread = np.linspace(0.05, 0.95, 10)
    stories = [vectors[labels == story] for story in range(len(SIZES))]
    alike = [(own @ own.T)[np.triu_indices(len(own), 1)] for own in stories]
    return list(np.mean([np.quantile(each, spread) for each in alike], axis=0))


def test_pairs_that_are_spread_as_those_of_stories_stay_but_for_the_least_alike() -> None:
    assert sum(left(*inside())) >= 9


def test_the_same_pair_is_none_where_the_others_are_lone_items() -> None:
    pair = inside()[3]
    assert left(pair, *[0.97] * 6)[0]
    assert not left(pair, *[0.3] * 6)[0]


def test_a_giant_story_does_not_say_alone_how_alike_stories_are() -> None:
    """Most members are nearly copies; of the four stories, three are as alike as the pairs are."""
    alike = inside()[5:]
    stories, labels = level(*alike)
    copies = blobs([300], dimension=stories.shape[1], spread=0.002, seed=1)
    vectors = np.concatenate([copies, stories])
    of = np.concatenate([np.full(300, 99), labels]).astype(np.int32)
    assert least_similarity_of_pairs(of, vectors, ones(of), 20) is None


def test_few_members_say_nothing_about_pairs() -> None:
    vectors, labels = level(0.3)
    some = np.r_[0:9, 30:42]
    assert least_similarity_of_pairs(labels[some], vectors[some], ones(labels[some]), 20) is None


def test_one_or_two_stories_say_nothing_about_pairs() -> None:
    vectors, labels = level(0.3, 0.3)
    some = np.r_[0:35, 40:44]
    assert least_similarity_of_pairs(labels[some], vectors[some], ones(labels[some]), 20) is None


def test_pairs_stay_where_hardly_an_item_stands_alone() -> None:
    """They are stories of two: of lone items some would find none that is the least unlike."""
    assert left(0.5, 0.5, 0.5, alone=1) == [True] * 3
    assert left(0.5, 0.5, 0.5, alone=2) == [False] * 3


def test_near_duplicates_stay_where_stories_are_reprints() -> None:
    vectors, labels = level(0.985, 0.7)
    reprints = blobs(SIZES, noise=0, dimension=60, spread=0.002, seed=1)
    vectors[:STORIES, :60] = reprints
    least = least_similarity_of_pairs(labels, vectors, ones(labels), 20)
    assert least is not None
    kept = without_pairs_below(labels, vectors, ones(labels), least)
    assert (kept[STORIES::2] >= 0).tolist() == [True, False]


def test_noise_and_clusters_of_one_item_stand_alone_too() -> None:
    vectors, labels = level(0.5, 0.5, 0.5, 0.2)
    labels[-2:] = -1, 99
    assert least_similarity_of_pairs(labels, vectors, ones(labels), 0) is not None
    assert least_similarity_of_pairs(labels[:-1], vectors[:-1], ones(labels[:-1]), 0) is None


def test_a_level_without_pairs_has_no_limit() -> None:
    vectors, labels = level()
    assert least_similarity_of_pairs(labels, vectors, ones(labels), 20) is None


@pytest.mark.parametrize(("weight", "left"), [([1, 1], -1), ([2, 1], 0)])
def test_only_pairs_are_taken_apart(weight: list[int], left: int) -> None:
    vectors = np.array([[1, 0], [0.3, np.sqrt(1 - 0.09)]], dtype=np.float32)
    labels = np.zeros(2, dtype=np.int32)
    kept = without_pairs_below(labels, vectors, np.array(weight, dtype=np.int32), 0.5)
    assert kept.tolist() == [left, left]


def test_a_pair_of_copies_stays_and_noise_is_no_pair() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    labels = np.array([0, -1, -1], dtype=np.int32)
    kept = without_pairs_below(labels, vectors, np.array([2, 1, 1], dtype=np.int32), 0.9)
    assert kept.tolist() == [0, -1, -1]
