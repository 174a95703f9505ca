"""What a cut leaves together although its own members say otherwise."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.trimming import (
    least_similarity_of_pairs,
    trim_small,
    without_pairs_below,
)
from tests.stage3_folder import blobs, unit


def test_small_clusters_lose_members_that_are_hardly_similar() -> None:
    vectors = blobs([4, 12], spread=0.02, seed=1)
    vectors = np.concatenate([vectors, -vectors[:1], -vectors[4:5]])
    labels = np.repeat([0, 1, 0, 1], [4, 12, 1, 1]).astype(np.int32)
    weight = np.ones(18, dtype=np.int32)
    trimmed = trim_small(labels, vectors, weight, 10, 0.3)
    assert trimmed[:16].tolist() == labels[:16].tolist()
    assert trimmed[16:].tolist() == [-1, 1]  # the large cluster is left alone


def level(*pairs: float) -> tuple[F32, I32]:
    """Two stories, of 30 and 5 items with similarities about .8, and pairs of given ones."""
    stories = blobs([30, 5], noise=0, dimension=60, spread=0.065, seed=1)
    rows = [np.pad(stories, ((0, 0), (0, 2 * len(pairs))))]
    labels = [np.repeat([0, 1], [30, 5])]
    for number, similarity in enumerate(pairs):
        pair = np.zeros((2, rows[0].shape[1]), dtype=np.float32)
        at = 60 + 2 * number
        pair[:, at] = 1, similarity
        pair[1, at + 1] = np.sqrt(1 - similarity**2)
        rows.append(pair)
        labels.append(np.full(2, 2 + number))
    return np.concatenate(rows).astype(np.float32), np.concatenate(labels).astype(np.int32)


def ones(labels: I32) -> I32:
    return np.ones(len(labels), dtype=np.int32)


def test_pairs_have_to_be_as_alike_as_nearly_all_members_of_larger_clusters() -> None:
    vectors, labels = level(0.95, 0.3)
    least = least_similarity_of_pairs(labels, vectors, ones(labels))
    assert least is not None
    to_others = [(vectors[labels == c] @ vectors[labels == c].T).sum(axis=1) - 1 for c in range(2)]
    means = np.concatenate([each / (len(each) - 1) for each in to_others])
    share = np.repeat([1 / 30, 1 / 5], [30, 5])
    assert share[means < least - 1e-6].sum() <= 0.05 * 2 < share[means < least + 1e-6].sum()
    kept = without_pairs_below(labels, vectors, ones(labels), least)
    assert kept.tolist() == [*labels[:-2].tolist(), -1, -1]


def test_a_giant_story_does_not_say_alone_how_alike_stories_are() -> None:
    stories, labels = blobs([30, 3, 3], noise=0, dimension=60, spread=0.15, seed=1), [0] * 30
    stories[:30] = unit(stories[:1] + 0.01 * stories[:30])  # nearly copies
    labels_of = np.array([*labels, 1, 1, 1, 2, 2, 2], dtype=np.int32)
    least = least_similarity_of_pairs(labels_of, stories, ones(labels_of))
    assert least is not None
    assert least < 0.9 < (stories[:30] @ stories[:30].T).min()


def test_few_members_say_nothing_about_pairs() -> None:
    vectors, labels = level(0.3)
    some = np.r_[0:14, 30:35, 35:37]
    assert least_similarity_of_pairs(labels[some], vectors[some], ones(labels[some])) is None


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
