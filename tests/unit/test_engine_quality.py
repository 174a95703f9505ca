from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics

from clustering_tasks.engine.centroids import (
    Sums,
    centroid_similarity,
    cluster_sums,
)
from clustering_tasks.engine.duplicates import near_duplicates
from clustering_tasks.engine.joining import mutual_best
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.quality import davies_bouldin, mean_spread, silhouette
from tests.stage3_folder import Matrix, blobs, scattered, unit

Labels = npt.NDArray[np.int32]
SIZES = [30, 21, 10, 2]


def blocks(vectors: Matrix, size: int = 17) -> Iterator[tuple[int, Matrix]]:
    for start in range(0, len(vectors), size):
        yield start, vectors[start : start + size]


@pytest.fixture
def vectors() -> Matrix:
    order = np.random.default_rng(7).permutation(sum(SIZES) + 12)
    return blobs(SIZES, noise=12, spread=0.15)[order]


@pytest.fixture
def labels() -> Labels:
    order = np.random.default_rng(7).permutation(sum(SIZES) + 12)
    return np.repeat([0, 1, 2, 3, -1], [*SIZES, 12]).astype(np.int32)[order]


@pytest.fixture
def sums(vectors: Matrix, labels: Labels) -> Sums:
    return cluster_sums(blocks(vectors), labels, 4, 16)


def test_centroids_are_normalised_means(vectors: Matrix, labels: Labels, sums: Sums) -> None:
    assert sums.sizes.tolist() == SIZES
    for cluster in range(4):
        mean = vectors[labels == cluster].astype(float).mean(axis=0)
        np.testing.assert_allclose(sums.centroids[cluster], mean / np.linalg.norm(mean), atol=1e-6)


def test_intra_similarity_is_the_mean_cosine_of_all_pairs(
    vectors: Matrix, labels: Labels, sums: Sums
) -> None:
    for cluster in range(4):
        members = vectors[labels == cluster].astype(float)
        pairs = [float(a @ b) for a, b in combinations(members, 2)]
        assert sums.intra_similarity[cluster] == pytest.approx(np.mean(pairs), abs=1e-6)
    alone = Sums(vectors[:1].astype(float), np.array([1]))
    assert np.isnan(alone.intra_similarity).all()


def test_similarity_is_the_cosine_to_the_own_centroid(
    vectors: Matrix, labels: Labels, sums: Sums
) -> None:
    found = centroid_similarity(blocks(vectors), labels, sums.centroids)
    assert np.isnan(found[labels < 0]).all()
    kept = labels >= 0
    expected = (vectors[kept] * sums.centroids[labels[kept]]).sum(axis=1)
    np.testing.assert_allclose(found[kept], expected, atol=1e-6)


def test_sums_of_joined_clusters_are_those_of_their_members(
    vectors: Matrix, labels: Labels, sums: Sums
) -> None:
    group = np.array([0, 1, 0, 2], dtype=np.int32)
    together = np.where(labels >= 0, group[labels], -1).astype(np.int32)
    expected = cluster_sums(blocks(vectors), together, 3, 16)
    grouped = sums.grouped(group)
    np.testing.assert_allclose(grouped.vectors, expected.vectors, atol=1e-9)
    assert grouped.sizes.tolist() == expected.sizes.tolist() == [40, 21, 2]


def test_silhouette_is_scikit_learns(vectors: Matrix, labels: Labels, sums: Sums) -> None:
    kept = labels >= 0
    expected = metrics.silhouette_score(vectors[kept], labels[kept], metric="cosine")
    found = silhouette(blocks(vectors), labels, sums)
    assert found == pytest.approx(expected, abs=1e-5)


def test_an_item_alone_in_its_cluster_has_no_width(vectors: Matrix) -> None:
    labels = np.repeat([0, 1, 2], [1, 40, len(vectors) - 41]).astype(np.int32)
    sums = cluster_sums(blocks(vectors), labels, 3, 16)
    expected = metrics.silhouette_score(vectors, labels, metric="cosine")
    assert silhouette(blocks(vectors), labels, sums) == pytest.approx(expected, abs=1e-5)


def test_davies_bouldin_is_scikit_learns(vectors: Matrix, labels: Labels, sums: Sums) -> None:
    kept = labels >= 0
    expected = metrics.davies_bouldin_score(vectors[kept], labels[kept])
    found = davies_bouldin(mean_spread(blocks(vectors), labels, sums), sums)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("clusters", [0, 1])
def test_quality_of_fewer_than_two_clusters_is_unknown(vectors: Matrix, clusters: int) -> None:
    labels = np.full(len(vectors), clusters - 1, dtype=np.int32)
    sums = cluster_sums(blocks(vectors), labels, clusters, 16)
    assert silhouette(blocks(vectors), labels, sums) is None
    assert davies_bouldin(mean_spread(blocks(vectors), labels, sums), sums) is None


def test_davies_bouldin_of_clusters_with_the_same_mean_is_unknown() -> None:
    vectors = unit(np.array([[1, 1], [1, -1], [1, 1], [1, -1]]))
    labels = np.array([0, 0, 1, 1], dtype=np.int32)
    sums = cluster_sums(blocks(vectors), labels, 2, 2)
    assert davies_bouldin(mean_spread(blocks(vectors), labels, sums), sums) is None


def at_angles(*degrees: float) -> Sums:
    """Clusters of two identical members at these angles in a plane."""
    radians = np.radians(degrees)
    directions = np.column_stack([np.cos(radians), np.sin(radians)])
    return Sums(2 * directions, np.full(len(degrees), 2))


def joined(sums: Sums, block: list[int], least: float = 0.9) -> list[int]:
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
