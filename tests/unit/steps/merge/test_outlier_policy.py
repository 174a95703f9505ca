"""What becomes of noise: who joins which cluster, and who does not."""

from typing import Any

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.arrays import I32
from clustering_tasks.settings.groups.clustering import OutlierSettings
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.merge.outlier_policy import (
    Offers,
    assignment,
    nearest_clusters,
    no_offers,
    treat,
)
from tests.stage3_folder import unit


def ints(*values: int) -> I32:
    return np.array(values, dtype=np.int32)


def policy(name: str, **more: Any) -> OutlierSettings:
    return run_settings({"outliers": {"policy": name, **more}}).outliers


def edges(count: int, similarity: dict[int, dict[int, float]]) -> Block:
    """A block whose edges have these similarities; its vectors are corners of a simplex."""
    k = max(len(others) for others in similarity.values())
    ids = np.full((count, k), -1, dtype=np.int32)
    distances = np.full((count, k), np.inf, dtype=np.float32)
    for node, others in similarity.items():
        ordered = sorted(others.items(), key=lambda other: -other[1])
        for at, (other, s) in enumerate(ordered):
            ids[node, at], distances[node, at] = other, np.sqrt(2 - 2 * s)
    return Block(np.eye(count, dtype=np.float32), ids, distances, np.ones(count, dtype=np.int32))


def offered(block: Block, labels: I32, **settings: Any) -> tuple[list[int], list[float]]:
    """The clusters that noise is offered, and their similarities; None is -1."""
    settings = {"outliers": {"policy": "nearest"}, **settings}
    offers = nearest_clusters(block, labels, run_settings(settings))
    clusters = np.where(offers.node >= 0, labels[offers.node], -1)
    return clusters.tolist(), np.round(offers.similarity.astype(float), 4).tolist()


def test_the_most_similar_neighbours_vote() -> None:
    block = edges(7, {6: {0: 0.9, 2: 0.6, 3: 0.6, 4: 0.1, 5: 0.1}})
    clusters, similarity = offered(block, ints(0, 0, 1, 1, 0, 0, -1))
    assert clusters[6] == 1  # .6 + .6 against .9 + .1 + .1
    assert similarity[6] == pytest.approx(0.6, abs=1e-4)
    assert clusters[:6] == [-1] * 6


def test_no_more_than_five_vote_and_none_that_is_noise() -> None:
    block = edges(9, {8: {0: 0.9, 1: 0.5, 2: 0.3, 3: 0.3, 4: 0.3, 5: 0.3, 6: 0.3, 7: 0.95}})
    clusters, similarity = offered(block, ints(0, 0, 1, 1, 1, 1, 1, -1, -1))
    assert clusters[8] == 0
    assert similarity[8] == pytest.approx(0.9, abs=1e-4)


def test_of_equal_votes_the_nearest_neighbours_cluster_wins() -> None:
    block = edges(5, {4: {0: 0.5, 2: 0.5}})
    assert offered(block, ints(0, 0, 1, 1, -1))[0][4] == 0
    assert offered(block, ints(1, 1, 0, 0, -1))[0][4] == 1


def test_a_neighbour_that_is_not_similar_has_no_vote() -> None:
    block = edges(5, {4: {0: -0.4, 1: -0.4, 2: 0.2}})
    clusters, similarity = offered(block, ints(0, 0, 1, 1, -1))
    assert clusters[4] == 1
    assert similarity[4] == pytest.approx(0.2, abs=1e-4)


def by_centroids() -> tuple[Block, I32]:
    """Two groups and a node that is linked to neither, nearer to the second."""
    rows = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 1, 0.1], [0.3, 0.8, 0.2]])
    vectors = unit(rows)
    nothing = np.full((5, 2), -1, dtype=np.int32)
    far = np.full((5, 2), np.inf, dtype=np.float32)
    return Block(vectors, nothing, far, ints(1, 3, 1, 1, 1)), ints(0, 0, 1, 1, -1)


def test_without_a_neighbour_in_a_cluster_the_nearest_centroid_counts() -> None:
    block, labels = by_centroids()
    clusters, similarity = offered(block, labels)
    centroid = unit((block.vectors[2] + block.vectors[3])[None])[0]
    assert clusters[4] == 1
    assert similarity[4] == pytest.approx(float(block.vectors[4] @ centroid), abs=1e-4)


def test_a_window_in_time_leaves_only_the_graph() -> None:
    block, labels = by_centroids()
    assert offered(block, labels, temporal={"window_days": 5})[0] == [-1] * 5


@pytest.mark.parametrize("labels", [ints(-1, -1, -1, -1, -1), ints(0, 0, 1, 1, 1)])
def test_without_noise_or_clusters_there_is_nothing_to_offer(labels: I32) -> None:
    assert offered(by_centroids()[0], labels)[0] == [-1] * 5


@pytest.mark.parametrize("name", ["skip", "individual"])
def test_other_policies_ask_for_nothing(name: str) -> None:
    block, labels = by_centroids()
    assert offered(block, labels, outliers={"policy": name})[0] == [-1] * 5


def test_offers_of_a_block_are_of_its_own_nodes() -> None:
    offers = no_offers(6)
    offers.enter(slice(2, 5), Offers(ints(-1, 0, 2), np.array([-np.inf, 0.5, 0.7], np.float32)))
    assert offers.node.tolist() == [-1, -1, -1, 2, 4, -1]
    assert offers.similarity[3:5].tolist() == pytest.approx([0.5, 0.7])


# Nodes 0 and 1 are clusters; 2 to 6 are noise, 7 was never clustered. All of two items.
LABELS = ints(0, 1, -1, -1, -1, -1, -1, -2)
OFFERS = Offers(
    ints(-1, -1, 0, 1, 1, 0, -1, 0),
    np.array([-np.inf, -np.inf, 0.9, 0.6, 0.4, -0.1, -np.inf, 0.8], dtype=np.float32),
)
FIRM = np.array([1, 0.8, 0, 0, 0, 0, 0, 0], dtype=np.float32)


def labels_after(settings: OutlierSettings, labels: I32 = LABELS) -> list[int]:
    weight = np.full(len(labels), 2, dtype=np.int32)
    treated = treat(labels, FIRM, OFFERS, weight, settings)
    joined = treated.labels != labels
    expected = np.where(joined, np.minimum(OFFERS.similarity, 0.5), FIRM)
    np.testing.assert_array_equal(treated.probabilities, expected.astype(np.float32))
    found: list[int] = treated.labels.tolist()
    return found


@pytest.mark.parametrize("name", ["skip", "individual"])
def test_noise_stays_noise(name: str) -> None:
    assert labels_after(policy(name)) == LABELS.tolist()


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(1, [-1, -1, -1]), (0.61, [0, -1, -1]), (0.5, [0, 1, -1]), (0, [0, 1, 1])],
)
def test_what_is_similar_enough_joins(threshold: float, expected: list[int]) -> None:
    found = labels_after(policy("nearest", threshold=threshold))
    assert found == [0, 1, *expected, -1, -1, -2]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (1, [-1, -1, -1]),
        (10 / 16, [-1, -1, -1]),
        (9 / 16, [0, -1, -1]),
        (8 / 16, [0, -1, -1]),
        (6 / 16, [0, 1, -1]),
        (4 / 16, [0, 1, 1]),
        (0, [0, 1, 1]),  # out of reach: what is left has nothing in common with any cluster
    ],
)
def test_the_nearest_join_until_few_enough_are_left(share: float, expected: list[int]) -> None:
    with structlog.testing.capture_logs() as logs:
        found = labels_after(policy("target", target_share=share))
    assert found == [0, 1, *expected, -1, -1, -2]
    assert bool(logs) == (share < 4 / 16)


def test_nothing_joins_a_cluster_that_time_has_dissolved() -> None:
    labels = np.where(LABELS == 0, -1, LABELS).astype(np.int32)
    assert labels_after(policy("nearest", threshold=0), labels) == [-1, 1, -1, 1, 1, -1, -1, -2]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-5, 9)), max_size=40),
    st.floats(0, 1),
)
def test_a_target_is_reached_with_the_most_similar_and_no_more(
    noise: list[tuple[int, int]], share: float
) -> None:
    """Against trying every similarity as a threshold; one core node of ten items is the cluster."""
    weight = ints(10, *(w for w, _ in noise))
    similarity = np.array([-np.inf, *(s / 10 for _, s in noise)], dtype=np.float32)
    labels = np.where(np.arange(len(weight)) == 0, 0, -1).astype(np.int32)
    offers = Offers(np.where(labels < 0, 0, -1).astype(np.int32), similarity)
    nothing = np.zeros(len(weight), dtype=np.float32)
    found = treat(labels, nothing, offers, weight, policy("target", target_share=share)).labels

    def left(least: float) -> int:
        return int(weight[(labels < 0) & ~((similarity >= least) & (similarity > 0))].sum())

    bounds = [2.0, *sorted({float(s) for s in similarity if s > 0}, reverse=True)]
    enough = [bound for bound in bounds if left(bound) <= share * int(weight.sum())]
    least = enough[0] if enough else 0.0
    expected = (labels == 0) | ((similarity >= least) & (similarity > 0))
    np.testing.assert_array_equal(found == 0, expected)


def test_each_item_says_how_it_came_to_where_it_is() -> None:
    core, labels = ints(0, -1, -1, -2, -3), ints(0, 0, -1, -2, -3)
    kinds = assignment(core, labels, policy("nearest"))
    assert kinds.isna().tolist() == [False, False, True, True, True]
    assert kinds[:2].tolist() == ["core", "nearest"]
    kinds = assignment(core, core, policy("individual"))
    assert kinds[:3].tolist() == ["core", "individual", "individual"]
    assert kinds.isna().tolist() == [False, False, False, True, True]
