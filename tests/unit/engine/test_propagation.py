"""Label propagation, smoothing, and the membership of methods without a density."""

import numpy as np
import pytest

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.label_propagation import above, propagate, strongest
from clustering_tasks.engine.membership import share_inside
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.smoothing import NEIGHBOURS, THRESHOLD, smooth
from tests.stage3_folder import blobs


def graph(vectors: F32, k: int = 8) -> tuple[I32, F32, F32]:
    """Neighbours, their similarity and distance."""
    found = exact_neighbours(vectors, 0, len(vectors), k)
    similarity = np.where(found.ids >= 0, 1 - np.square(found.distances) / 2, -np.inf)
    return found.ids, similarity.astype(np.float32), found.distances


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def test_groups_that_no_edge_joins_have_labels_of_their_own() -> None:
    vectors = blobs([20, 15, 10], noise=5, spread=0.05, seed=1)
    ids, similarity, _ = graph(vectors)
    labels = propagate(ids, similarity, ones(50), 0.6, 8)
    groups = [set(labels[a:b]) for a, b in ((0, 20), (20, 35), (35, 45))]
    assert [len(group) for group in groups] == [1, 1, 1]
    assert len(set.union(*groups)) == 3
    assert len(set(labels[45:])) == 5


def test_a_bridge_of_one_edge_joins_no_communities() -> None:
    """Two cliques of four, and a weaker edge between them."""
    ids = np.full((8, 4), -1, dtype=np.int32)
    similarity = np.full((8, 4), -np.inf, dtype=np.float32)
    for node in range(8):
        clique = [other for other in range(node // 4 * 4, node // 4 * 4 + 4) if other != node]
        ids[node, :3], similarity[node, :3] = clique, 0.9
    ids[3, 3], similarity[3, 3] = 4, 0.7
    labels = propagate(ids, similarity, ones(8), 0.5, 4)
    assert len(set(labels[:4])) == len(set(labels[4:])) == 1
    assert labels[0] != labels[7]


@pytest.mark.parametrize("least", [0.3, 0.55, 0.9, 2.0])
@pytest.mark.parametrize("k", [2, 8])
def test_edges_left_out_later_are_those_left_out_at_once(least: float, k: int) -> None:
    ids, similarity, _ = graph(blobs([20, 15, 10], noise=30, spread=0.2, seed=4))
    later, once = (
        above(strongest(ids, similarity, 0.2, k), least),
        strongest(ids, similarity, least, k),
    )
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(later, name), getattr(once, name))


def test_only_the_strongest_edges_above_the_threshold_are_kept_in_both_directions() -> None:
    ids = np.array([[1, 2, 3], [0, -1, -1], [0, -1, -1], [-1, -1, -1]], dtype=np.int32)
    similarity = np.array(
        [[0.9, 0.7, 0.5], [0.9, -np.inf, -np.inf], [0.7, -np.inf, -np.inf], [-np.inf] * 3],
        dtype=np.float32,
    )
    kept = strongest(ids, similarity, 0.6, 1).toarray()
    assert np.count_nonzero(kept) == 4
    np.testing.assert_array_equal(kept, kept.T)
    assert kept[0, 1] == pytest.approx(0.9)
    assert kept[0, 2] == pytest.approx(0.7)  # kept because it is node 2's strongest
    assert np.count_nonzero(strongest(ids, similarity, 0.8, 3).toarray()) == 2


def test_copies_of_a_node_vote_for_its_label() -> None:
    """A node between two cliques goes with the heavier neighbour."""
    ids = np.array([[1, 2], [0, -1], [0, -1]], dtype=np.int32)
    similarity = np.array([[0.8, 0.8], [0.8, -1], [0.8, -1]], dtype=np.float32)
    labels = propagate(ids, similarity, np.array([1, 9, 3], dtype=np.int32), 0.5, 2)
    assert labels[0] == labels[1] == 1


@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_nodes(count: int) -> None:
    empty = np.full((count, 3), -1, dtype=np.int32)
    labels = propagate(empty, np.full((count, 3), -np.inf, np.float32), ones(count), 0.5, 3)
    assert labels.tolist() == list(range(count))


def test_smoothing_adds_the_unit_mean_of_similar_neighbours() -> None:
    vectors = blobs([12, 9], noise=9, spread=0.2)
    weight = np.random.default_rng(0).choice([1, 3], size=30).astype(np.int32)
    ids, similarity, distances = graph(vectors, 6)
    expected = np.empty((30, 16))
    for node in range(30):
        mean = vectors[node].astype(float) * (weight[node] - 1) * (1 - THRESHOLD) ** 2
        for other, cosine in zip(ids[node], similarity[node], strict=True):
            mean += vectors[other] * weight[other] * max(cosine - THRESHOLD, 0) ** 2
        moved = vectors[node] + (mean / np.linalg.norm(mean) if mean.any() else 0)
        expected[node] = moved / np.linalg.norm(moved)
    found = smooth(vectors, ids, distances, weight)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert ids.shape[1] < NEIGHBOURS


def test_a_node_without_similar_neighbours_stays_where_it_is() -> None:
    vectors = np.eye(16, dtype=np.float32)
    ids, _, distances = graph(vectors, 4)
    np.testing.assert_array_equal(smooth(vectors, ids, distances, ones(16)), vectors)


def test_membership_is_the_share_of_edge_weight_inside() -> None:
    labels = np.array([0, 0, 1, -1], dtype=np.int32)
    ids = np.array([[1, 2], [0, -1], [0, 3], [0, -1]], dtype=np.int32)
    strength = np.array([[3, 1], [2, 9], [1, 1], [5, 0]], dtype=np.float32)
    assert share_inside(labels, ids, strength, ones(4)).tolist() == [0.75, 1, 0, 0]
    # two copies of node 1 count twice, and each is the other's neighbour at strength 1
    weight = np.array([1, 2, 1, 1], dtype=np.int32)
    found = share_inside(labels, ids, strength, weight)
    assert found[:2].tolist() == pytest.approx([6 / 7, 1])


def test_a_clustered_node_without_edges_belongs_fully() -> None:
    labels = np.array([0], dtype=np.int32)
    none = np.full((1, 2), -1, dtype=np.int32)
    weight = np.array([4], dtype=np.int32)
    assert share_inside(labels, none, np.zeros((1, 2), np.float32), weight).tolist() == [1]
