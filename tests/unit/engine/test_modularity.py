import numpy as np
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine.modularity import modularity
from clustering_tasks.engine.neighbours import exact_neighbours
from tests.stage3_folder import blobs, scattered


def by_definition(vectors: F32, k: int, labels: list[int], gamma: float) -> float:
    """The double sum over all pairs of nodes, on the dense matrix of edge weights."""
    n = len(vectors)
    weights = np.zeros((n, n))
    found = exact_neighbours(vectors, 0, n, k)
    for i, others in enumerate(found.ids):
        for j in others:
            weights[i, j] += max(float(vectors[i].astype(float) @ vectors[j]), 0)
    weights += weights.T
    degree, total = weights.sum(axis=1), weights.sum()
    same = np.array([[a == b if a >= 0 else False for a in labels] for b in labels])
    np.fill_diagonal(same, True)
    return float(((weights - gamma * np.outer(degree, degree) / total) * same).sum() / total)


@pytest.mark.parametrize("gamma", [0.5, 1, 16])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_double_sum_over_all_pairs(seed: int, gamma: float) -> None:
    vectors = blobs([12, 9, 4], noise=8, seed=seed, spread=0.4)
    labels = np.repeat([0, 1, 2, -1], [12, 9, 4, 8]).astype(np.int32)
    found = exact_neighbours(vectors, 0, len(vectors), 5)
    expected = by_definition(vectors, 5, labels.tolist(), gamma)
    assert modularity(found.ids, found.distances, labels, gamma) == pytest.approx(
        expected, abs=1e-6
    )


def test_true_groups_have_more_than_random_ones() -> None:
    vectors = blobs([20, 20, 20])
    found = exact_neighbours(vectors, 0, 60, 8)
    true = np.repeat([0, 1, 2], 20).astype(np.int32)
    shuffled = np.random.default_rng(0).permutation(true)
    assert modularity(found.ids, found.distances, true) == pytest.approx(2 / 3, rel=1e-4)
    assert abs(modularity(found.ids, found.distances, shuffled) or 1) < 0.1


def test_everything_in_one_cluster_has_none() -> None:
    vectors = scattered(30)
    found = exact_neighbours(vectors, 0, 30, 5)
    one = modularity(found.ids, found.distances, np.zeros(30, np.int32))
    assert one == pytest.approx(0, abs=1e-9)


def test_without_clusters_or_without_edges_it_is_unknown() -> None:
    vectors = scattered(10)
    found = exact_neighbours(vectors, 0, 10, 3)
    assert modularity(found.ids, found.distances, np.full(10, -1, np.int32)) is None
    nobody = np.full((2, 3), -1, np.int32)
    far = np.full((2, 3), np.inf, np.float32)
    assert modularity(nobody, far, np.zeros(2, np.int32)) is None
    empty = np.empty((0, 3))
    assert (
        modularity(empty.astype(np.int32), empty.astype(np.float32), np.empty(0, np.int32)) is None
    )
