"""K-means: against scikit-learn's, and the same bits whatever the rows' order and the threads."""

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine import nearest_centroids as module
from clustering_tasks.engine.cluster_count import estimate
from clustering_tasks.engine.exact import COARSE, coarse, cosines
from clustering_tasks.engine.kmeans import kmeans, refine, seeds
from clustering_tasks.engine.nearest_centroids import nearest_centroids
from clustering_tasks.engine.shuffle import shuffled
from tests.stage3_folder import blobs, scattered, unit


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def labels_of(vectors: F32, centroids: F32) -> I32:
    return nearest_centroids(vectors, centroids).ids[:, 0]


def inertia(vectors: F32, labels: npt.NDArray[np.integer]) -> float:
    """Items' cosine distances to their clusters' centroids, summed."""
    lengths = [np.linalg.norm(vectors[labels == one].sum(axis=0)) for one in np.unique(labels)]
    return len(vectors) - float(sum(lengths))


def same_partition(one: npt.NDArray[np.integer], other: npt.NDArray[np.integer]) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [3, 8, 20])
def test_clusters_are_as_tight_as_scikit_learns(seed: int, k: int) -> None:
    vectors = blobs([60, 50, 40, 30, 20, 10], noise=60, seed=seed, spread=0.2)
    theirs = KMeans(k, n_init=3, random_state=0).fit(vectors).labels_
    ours = labels_of(vectors, kmeans(vectors, ones(len(vectors)), k, 10_000))
    assert inertia(vectors, ours) <= 1.03 * inertia(vectors, theirs)


def test_clear_groups_are_those_of_scikit_learn() -> None:
    vectors = blobs([60, 50, 40, 30, 20, 10], seed=4, spread=0.05)
    expected = KMeans(6, n_init=10, random_state=0).fit(vectors).labels_
    for above in (10_000, 0):
        centroids = kmeans(vectors, ones(len(vectors)), 6, above)
        assert same_partition(labels_of(vectors, centroids), expected)


def test_mini_batches_come_near_to_all_at_once() -> None:
    vectors = blobs([3000] * 6, noise=2000, seed=1, spread=0.25)
    found = [
        inertia(vectors, labels_of(vectors, kmeans(vectors, ones(len(vectors)), 12, above)))
        for above in (100_000, 0)
    ]
    assert found[1] <= 1.02 * found[0]


@pytest.mark.parametrize("above", [0, 10_000])
def test_the_order_of_the_rows_changes_no_bit(above: int) -> None:
    vectors = blobs([60, 40], noise=100, seed=2, spread=0.3)
    weight = np.random.default_rng(0).choice([1, 2, 5], size=200).astype(np.int32)
    order = np.random.default_rng(1).permutation(200)
    plain, moved = (
        kmeans(vectors, weight, 9, above),
        kmeans(vectors[order], weight[order], 9, above),
    )
    np.testing.assert_array_equal(plain, moved)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LITTLE", 0)
    vectors = blobs([300] * 4, noise=600, seed=3, spread=0.4, dimension=96)
    before, found = faiss.omp_get_max_threads(), set()
    for threads in (1, 2, 5):
        faiss.omp_set_num_threads(threads)
        with threadpool_limits(threads):
            found.add(kmeans(vectors, ones(len(vectors)), 60, 10_000).tobytes())
    faiss.omp_set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_as_good_as_copies(seed: int) -> None:
    vectors = blobs([15, 10], noise=15, seed=seed)
    weight = np.random.default_rng(seed).choice([1, 2, 4], size=40).astype(np.int32)
    copies = vectors.repeat(weight, axis=0)
    start = vectors[[0, 16, 30, 35]]
    nodes, rows = refine(vectors, weight, start, 20), refine(copies, ones(len(copies)), start, 20)
    np.testing.assert_allclose(nodes, rows, atol=1e-6)


def test_seeds_are_different_rows_and_the_first_of_more() -> None:
    vectors = blobs([40, 30], noise=30, seed=5)
    chosen = seeds(vectors, ones(100), 100)
    assert sorted(chosen) == list(range(100))
    for k in (1, 7, 40):
        assert seeds(vectors, ones(100), k).tolist() == chosen[:k].tolist()


def test_seeds_are_found_where_rows_can_hardly_be_told_apart() -> None:
    vectors = unit(scattered(1) + 1e-5 * np.random.default_rng(0).normal(size=(12, 16)))
    assert sorted(seeds(vectors, ones(12), 9)) == sorted(set(seeds(vectors, ones(12), 9)))
    assert len(kmeans(vectors, ones(12), 9, 100)) == 9


def test_seeds_spread_over_the_groups() -> None:
    vectors = blobs([200, 50, 20, 10, 5], spread=0.02, seed=6)
    group = np.repeat(np.arange(5), [200, 50, 20, 10, 5])
    assert set(group[seeds(vectors, ones(285), 5)]) == set(range(5))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_there_are_never_more_clusters_than_rows(count: int) -> None:
    for above in (0, 100):
        centroids = kmeans(scattered(count), ones(count), 3, above)
        assert centroids.shape == (min(count, 3), 16)
        np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-6)


def test_a_centroid_without_rows_moves_to_the_farthest_one() -> None:
    vectors = blobs([20, 20], spread=0.02, seed=7)
    start = np.concatenate(
        [vectors[:1], vectors[:1]]
    )  # the second gets nothing: of equals the first
    assert len(set(labels_of(vectors, refine(vectors, ones(40), start, 10)))) == 2


@pytest.mark.parametrize("little", [0, 1 << 62])
@pytest.mark.parametrize("count", [1, 2, 6, 7, 40])
def test_the_nearest_centroids_are_those_of_all_products(
    count: int, little: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LITTLE", little)
    monkeypatch.setattr(module, "_ROWS", 33)
    vectors, centroids = scattered(100, 1), scattered(count, 2)
    found = nearest_centroids(vectors, centroids)
    products = vectors.astype(float) @ centroids.astype(float).T
    order = np.argsort(-products, axis=1, kind="stable")[:, :2]
    expected = np.take_along_axis(products, order, axis=1)
    np.testing.assert_array_equal(found.ids[:, : order.shape[1]], order)
    np.testing.assert_allclose(found.similarity[:, : order.shape[1]], expected, atol=1e-6)
    assert (found.ids[:, order.shape[1] :] == -1).all()


@pytest.mark.parametrize("little", [0, 1 << 62])
def test_of_equal_centroids_the_first_is_the_nearest(
    little: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LITTLE", little)
    centroids = np.concatenate([scattered(5), scattered(1, 9).repeat(20, axis=0), scattered(5, 3)])
    found = nearest_centroids(scattered(1, 9), centroids)
    assert found.ids.tolist() == [[5, 6]]


def test_without_centroids_there_is_no_nearest() -> None:
    found = nearest_centroids(scattered(3), np.empty((0, 16), dtype=np.float32))
    assert found.ids.tolist() == [[-1, -1]] * 3
    assert (found.similarity == -1).all()


@pytest.mark.parametrize("method", ["silhouette", "elbow"])
@pytest.mark.parametrize("groups", [3, 7, 20])
def test_the_number_of_clear_groups_is_found(groups: int, method: str) -> None:
    vectors = blobs([15] * groups, spread=0.03, seed=groups, dimension=48)
    found = estimate(vectors, ones(len(vectors)), method)  # type: ignore[arg-type]
    assert found.k == groups
    assert found.silhouette > 0.8


@pytest.mark.parametrize("method", ["silhouette", "elbow"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_an_estimate_is_no_more_than_half_the_rows(count: int, method: str) -> None:
    found = estimate(scattered(count), ones(count), method)  # type: ignore[arg-type]
    assert 1 <= found.k <= max(count // 2, 1)


def test_an_estimate_does_not_depend_on_the_order_of_the_rows() -> None:
    vectors = blobs([20, 15, 10], noise=30, seed=8)
    order = np.random.default_rng(0).permutation(75)
    assert estimate(vectors, ones(75), "silhouette") == estimate(
        vectors[order], ones(75), "silhouette"
    )


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_a_shuffle_follows_the_vectors(seed: int, count: int) -> None:
    vectors = scattered(count, 1)
    order = np.random.default_rng(seed).permutation(count)
    np.testing.assert_array_equal(
        vectors[shuffled(vectors)], vectors[order][shuffled(vectors[order])]
    )


def test_a_shuffle_leaves_no_trace_of_the_order() -> None:
    place = np.empty(4000)
    place[shuffled(scattered(4000, 2))] = np.arange(4000)
    assert abs(np.corrcoef(place, np.arange(4000))[0, 1]) < 0.05


@pytest.mark.parametrize("dimension", [2, 16, 768, 4096])
def test_exact_products_are_exact_in_any_order(dimension: int) -> None:
    vectors = scattered(40, 5, dimension)
    forth, back = np.arange(dimension), np.arange(dimension)[::-1]
    assert (
        cosines(vectors[:, forth], vectors[:, forth]) == cosines(vectors[:, back], vectors[:, back])
    ).all()
    np.testing.assert_allclose(
        cosines(vectors, vectors), vectors.astype(float) @ vectors.T, atol=2e-7
    )
    whole = coarse(vectors)
    assert (whole[:, forth] @ whole[:, forth].T == whole[:, back] @ whole[:, back].T).all()
    np.testing.assert_allclose(whole @ whole.T / COARSE**2, vectors @ vectors.T, atol=2e-3)
