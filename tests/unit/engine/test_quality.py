import tracemalloc
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from sklearn import metrics

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine import quality
from clustering_tasks.engine.centroids import ClusterSums, cluster_sums, narrow_quotients
from clustering_tasks.engine.duplicates import near_duplicates
from clustering_tasks.engine.joining import mutual_best
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.quality import (
    Estimate,
    centroid_similarity,
    fit,
    item_sample,
    mean_spread,
    separation,
    silhouette,
)
from tests.stage3_folder import blobs, scattered, unit

SIZES = [30, 21, 10, 2]


def blocks(vectors: F32, size: int = 17) -> Iterator[tuple[int, F32]]:
    for start in range(0, len(vectors), size):
        yield start, vectors[start : start + size]


@pytest.fixture
def vectors() -> F32:
    order = np.random.default_rng(7).permutation(sum(SIZES) + 12)
    return blobs(SIZES, noise=12, spread=0.15)[order]


@pytest.fixture
def labels() -> I32:
    order = np.random.default_rng(7).permutation(sum(SIZES) + 12)
    return np.repeat([0, 1, 2, 3, -1], [*SIZES, 12]).astype(np.int32)[order]


@pytest.fixture
def sums(vectors: F32, labels: I32) -> ClusterSums:
    return cluster_sums(blocks(vectors), labels, 4, 16)


def test_centroids_are_normalised_means(vectors: F32, labels: I32, sums: ClusterSums) -> None:
    assert sums.sizes.tolist() == SIZES
    for cluster in range(4):
        mean = vectors[labels == cluster].astype(float).mean(axis=0)
        np.testing.assert_allclose(sums.centroids[cluster], mean / np.linalg.norm(mean), atol=1e-6)


def test_intra_similarity_is_the_mean_cosine_of_all_pairs(
    vectors: F32, labels: I32, sums: ClusterSums
) -> None:
    for cluster in range(4):
        members = vectors[labels == cluster].astype(float)
        pairs = [float(a @ b) for a, b in combinations(members, 2)]
        assert sums.intra_similarity[cluster] == pytest.approx(np.mean(pairs), abs=1e-6)
    alone = ClusterSums(vectors[:1].astype(float), np.array([1]))
    assert np.isnan(alone.intra_similarity).all()


def test_similarity_is_the_cosine_to_the_own_centroid(
    vectors: F32, labels: I32, sums: ClusterSums
) -> None:
    found = centroid_similarity(fit(blocks(vectors), labels, sums), labels, sums)
    assert np.isnan(found[labels < 0]).all()
    kept = labels >= 0
    expected = (vectors[kept] * sums.centroids[labels[kept]]).sum(axis=1)
    np.testing.assert_allclose(found[kept], expected, atol=1e-6)


def test_sums_of_joined_clusters_are_those_of_their_members(
    vectors: F32, labels: I32, sums: ClusterSums
) -> None:
    group = np.array([0, 1, 0, 2], dtype=np.int32)
    together = np.where(labels >= 0, group[labels], -1).astype(np.int32)
    expected = cluster_sums(blocks(vectors), together, 3, 16)
    grouped = sums.grouped(group)
    np.testing.assert_allclose(grouped.vectors, expected.vectors, atol=1e-9)
    assert grouped.sizes.tolist() == expected.sizes.tolist() == [40, 21, 2]


def silhouette_of(vectors: F32, labels: I32, sums: ClusterSums) -> Estimate | None:
    return silhouette(fit(blocks(vectors), labels, sums), labels, sums)


def separation_of(
    vectors: F32, labels: I32, sums: ClusterSums
) -> tuple[Estimate | None, Estimate | None]:
    return separation(mean_spread(fit(blocks(vectors), labels, sums), labels, sums), sums)


def test_silhouette_is_scikit_learns(vectors: F32, labels: I32, sums: ClusterSums) -> None:
    kept = labels >= 0
    expected = metrics.silhouette_score(vectors[kept], labels[kept], metric="cosine")
    found = silhouette_of(vectors, labels, sums)
    assert found == Estimate(pytest.approx(expected, abs=1e-6), 0)  # type: ignore[arg-type]


def test_an_item_alone_in_its_cluster_has_no_width(vectors: F32) -> None:
    labels = np.repeat([0, 1, 2], [1, 40, len(vectors) - 41]).astype(np.int32)
    sums = cluster_sums(blocks(vectors), labels, 3, 16)
    expected = metrics.silhouette_score(vectors, labels, metric="cosine")
    found = silhouette_of(vectors, labels, sums)
    assert found is not None
    assert found.value == pytest.approx(expected, abs=1e-6)


def test_davies_bouldin_is_scikit_learns(vectors: F32, labels: I32, sums: ClusterSums) -> None:
    kept = labels >= 0
    expected = metrics.davies_bouldin_score(vectors[kept], labels[kept])
    index, _ = separation_of(vectors, labels, sums)
    assert index == Estimate(pytest.approx(expected, rel=1e-6), 0)  # type: ignore[arg-type]


def test_inter_similarity_is_the_cosine_to_the_nearest_other_centroid(
    vectors: F32, labels: I32, sums: ClusterSums
) -> None:
    cosines = sums.centroids @ sums.centroids.T - 2 * np.eye(4)
    _, inter = separation_of(vectors, labels, sums)
    assert inter is not None
    assert inter.value == pytest.approx(cosines.max(axis=1).mean(), abs=1e-6)


def test_many_clusters_are_compared_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = many_clusters(900)
    sums = cluster_sums(blocks(vectors, 500), labels, 300, 16)
    whole = silhouette_of(vectors, labels, sums), *separation_of(vectors, labels, sums)
    monkeypatch.setattr(quality, "_COLUMNS", 7)
    monkeypatch.setattr(quality, "_ROWS", 11)
    assert (silhouette_of(vectors, labels, sums), *separation_of(vectors, labels, sums)) == whole
    assert whole[0] is not None
    expected = metrics.silhouette_score(vectors, labels, metric="cosine")
    assert whole[0].value == pytest.approx(expected, abs=1e-6)


def many_clusters(items: int) -> tuple[F32, I32]:
    """Items of 300 clusters in no order, every tenth in a wrong one."""
    labels = np.random.default_rng(3).permutation(np.arange(items) % 300).astype(np.int32)
    vectors = blobs([1] * 300, spread=0)[labels] + 0.1 * scattered(items, seed=4)
    labels[::10] = (labels[::10] + 1) % 300
    return unit(vectors), labels


@pytest.mark.parametrize("budget", [1 << 16, 1 << 17])
def test_a_sample_stays_within_its_error(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = many_clusters(3000)
    sums = cluster_sums(blocks(vectors, 500), labels, 300, 16)
    exact = silhouette_of(vectors, labels, sums), *separation_of(vectors, labels, sums)
    monkeypatch.setattr(quality, "ITEM_PAIRS", budget)
    monkeypatch.setattr(quality, "CLUSTER_PAIRS", budget // 2)
    monkeypatch.setattr(quality, "_LEAST_ITEMS", 200)
    monkeypatch.setattr(quality, "_LEAST_CLUSTERS", 100)
    sampled = silhouette_of(vectors, labels, sums), *separation_of(vectors, labels, sums)
    for whole, part in zip(exact, sampled, strict=True):
        assert whole is not None
        assert part is not None
        assert whole.error == 0 < part.error
        assert abs(part.value - whole.value) < 4 * part.error


def test_the_sample_is_of_clustered_rows_and_the_same_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, labels = many_clusters(3000)
    labels[:1000] = -1
    monkeypatch.setattr(quality, "ITEM_PAIRS", 300 * 700)
    sample = item_sample(labels, 300)
    assert len(set(sample.tolist())) == len(sample) == 700
    assert (labels[sample] >= 0).all()
    assert sample.tolist() == sorted(sample.tolist()) == item_sample(labels, 300).tolist()


@pytest.mark.parametrize("clusters", [0, 1])
def test_quality_of_fewer_than_two_clusters_is_unknown(vectors: F32, clusters: int) -> None:
    labels = np.full(len(vectors), clusters - 1, dtype=np.int32)
    sums = cluster_sums(blocks(vectors), labels, clusters, 16)
    assert silhouette_of(vectors, labels, sums) is None
    assert separation_of(vectors, labels, sums) == (None, None)


def test_davies_bouldin_of_clusters_with_the_same_mean_is_unknown() -> None:
    vectors = unit(np.array([[1, 1], [1, -1], [1, 1], [1, -1], [1, 1], [1, -1]]))
    labels = np.array([0, 0, 1, 1, 1, 1], dtype=np.int32)
    sums = cluster_sums(blocks(vectors), labels, 2, 2)
    assert separation_of(vectors, labels, sums)[0] is None


def at_angles(*degrees: float) -> ClusterSums:
    """Clusters of two identical members at these angles in a plane."""
    radians = np.radians(degrees)
    directions = np.column_stack([np.cos(radians), np.sin(radians)])
    return ClusterSums(2 * directions, np.full(len(degrees), 2))


def joined(sums: ClusterSums, block: list[int], least: float = 0.9) -> list[int]:
    return [int(group) for group in mutual_best(sums, np.array(block, dtype=np.int32), least)]


def test_clusters_are_joined_when_each_is_the_others_best() -> None:
    # 10 degrees and 0 are each other's best; 22's best is 10, whose best it is not
    assert joined(at_angles(0, 10, 22, 90), [0, 1, 0, 1], least=0.95) == [0, 0, 1, 2]


def test_clusters_of_one_block_are_never_joined() -> None:
    assert joined(at_angles(0, 1, 2), [0, 0, 0]) == [0, 1, 2]
    # what was joined holds both blocks: a second cluster of either stays apart
    assert joined(at_angles(0, 1, 4, 6), [0, 1, 0, 1]) == [0, 0, 1, 1]


def test_joining_goes_on_until_nothing_is_left_to_join() -> None:
    assert joined(at_angles(0, 4, 10), [0, 1, 2]) == [0, 0, 0]


def test_too_different_clusters_stay_apart() -> None:
    assert joined(at_angles(0, 30), [0, 1], least=0.9) == [0, 1]
    assert joined(at_angles(0, 30), [0, 1], least=0.8) == [0, 0]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_join(count: int) -> None:
    assert joined(at_angles(*range(count)), [0] * count) == list(range(count))


def test_near_duplicates_are_chains_of_at_most_that_distance() -> None:
    """Cosine .98 is an angle of 11.48 degrees."""
    angles = np.radians([0, 11, 22, 60, 72, 200])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    found = exact_neighbours(vectors, 0, 6, 3)
    groups = near_duplicates(found.ids, found.distances).tolist()
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 4


def test_no_near_duplicates_among_random_directions() -> None:
    vectors = scattered(50)
    found = exact_neighbours(vectors, 0, 50, 5)
    assert len(set(near_duplicates(found.ids, found.distances).tolist())) == 50


def test_quotients_are_rounded_where_they_are_made() -> None:
    vectors = np.random.default_rng(0).normal(size=(4096, 256))
    divisors = np.arange(1, 4097)[:, None]
    tracemalloc.start()
    found = narrow_quotients(vectors, divisors)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, (vectors / divisors).astype(np.float32))
    assert most < 1.5 * found.nbytes  # in float64 they would be twice as large themselves
