from itertools import combinations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from clustering_tasks.arrays import F32, F64
from clustering_tasks.engine import spanning_tree as module
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.spanning_tree import Edges, core_distances, spanning_tree
from tests.stage3_folder import blobs, scattered, unit


def grown(vectors: F32, k: int, min_samples: int) -> tuple[Edges, F32]:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    weight = np.ones(len(vectors), dtype=np.int32)
    core = core_distances(found.ids, found.distances, weight, min_samples)
    return spanning_tree(vectors, found.ids, found.distances, core), core


def all_distances(vectors: F32) -> F64:
    doubles = vectors.astype(np.float64)
    distances: F64 = np.linalg.norm(doubles[:, None] - doubles[None], axis=2)
    return distances


def reachability(vectors: F32, min_samples: int) -> F64:
    """Mutual reachability of every pair."""
    distances = all_distances(vectors)
    core = np.sort(distances, axis=1)[:, min_samples]  # the first is the row itself
    return np.maximum(distances, np.maximum(core[:, None], core[None]))


def assert_spans(edges: Edges, n: int) -> None:
    assert len(edges.first) == max(n - 1, 0)
    assert (edges.first < edges.second).all()
    graph = np.zeros((n, n))
    graph[edges.first, edges.second] = 1
    assert connected_components(graph, directed=False)[0] == 1


@pytest.mark.parametrize("min_samples", [1, 3, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_tree_weighs_what_the_dense_one_does(seed: int, min_samples: int) -> None:
    vectors = blobs([60, 40, 20], noise=60, seed=seed)
    edges, _ = grown(vectors, len(vectors) - 1, min_samples)
    assert_spans(edges, len(vectors))
    dense = minimum_spanning_tree(reachability(vectors, min_samples))
    assert edges.reachability.astype(float).sum() == pytest.approx(dense.sum(), rel=1e-6)
    np.testing.assert_allclose(np.sort(edges.reachability), np.sort(dense.data), rtol=1e-5)


def test_core_distances_are_those_of_the_neighbour_of_that_rank() -> None:
    vectors = blobs([30], noise=20)
    _, core = grown(vectors, 10, 4)
    np.testing.assert_allclose(core, np.sort(all_distances(vectors), axis=1)[:, 4], rtol=1e-5)


def test_with_too_few_neighbours_the_last_one_counts() -> None:
    vectors = scattered(4)
    _, core = grown(vectors, 10, 8)
    np.testing.assert_allclose(core, all_distances(vectors).max(axis=1), rtol=1e-5)


def far_groups(groups: int, size: int, seed: int) -> F32:
    """Tight groups around different axes."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(np.eye(groups, 16), size, axis=0)
    return unit(centres + 0.03 * rng.normal(size=centres.shape))


@pytest.mark.parametrize("small_blocks", [False, True])
@pytest.mark.parametrize(("groups", "size", "seed"), [(2, 40, 0), (5, 20, 1), (12, 9, 2)])
def test_components_are_bridged_by_their_true_shortest_connections(
    groups: int, size: int, seed: int, small_blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small_blocks:
        monkeypatch.setattr(module, "_BRIDGE_ROWS", 7)
        monkeypatch.setattr(module, "_BRIDGE_COLUMNS", 11)
    vectors = far_groups(groups, size, seed)
    k = min(6, size - 1)
    found = exact_neighbours(vectors, 0, len(vectors), k)
    group = np.repeat(np.arange(groups), size)
    assert (group[found.ids] == group[:, None]).all()  # the graph alone connects no groups
    edges, _ = grown(vectors, k, 3)
    assert_spans(edges, len(vectors))
    bridges = np.flatnonzero(group[edges.first] != group[edges.second])
    mutual = reachability(vectors, 3)
    between = np.zeros((groups, groups))
    for a, b in combinations(range(groups), 2):
        between[a, b] = mutual[np.ix_(group == a, group == b)].min()
    expected = minimum_spanning_tree(between)
    np.testing.assert_allclose(
        np.sort(edges.reachability[bridges]), np.sort(expected.data), rtol=1e-5
    )


def test_edges_come_in_their_order_and_with_their_true_lengths() -> None:
    vectors = blobs([40, 30], noise=30)
    edges, core = grown(vectors, 8, 3)
    order = np.lexsort((edges.second, edges.first, edges.distance, edges.reachability))
    np.testing.assert_array_equal(order, np.arange(len(order)))
    distances = all_distances(vectors)[edges.first, edges.second]
    np.testing.assert_allclose(edges.distance, distances, rtol=1e-4, atol=1e-7)
    larger = np.maximum(core[edges.first], core[edges.second])
    np.testing.assert_array_equal(edges.reachability, np.maximum(larger, edges.distance))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_does_not_change_the_tree(seed: int) -> None:
    vectors = np.concatenate([blobs([50, 30], noise=40, seed=seed), far_groups(3, 12, seed)])
    order = np.random.default_rng(seed).permutation(len(vectors))
    edges, _ = grown(vectors, 8, 3)
    shuffled, _ = grown(vectors[order], 8, 3)
    pairs = {frozenset(pair) for pair in zip(edges.first, edges.second, strict=True)}
    back = zip(order[shuffled.first], order[shuffled.second], strict=True)
    assert {frozenset(pair) for pair in back} == pairs


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_rows(count: int) -> None:
    edges, _ = grown(scattered(count), 4, 2)
    assert len(edges.first) == max(count - 1, 0)
