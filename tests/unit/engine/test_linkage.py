"""Average linkage on the graph against scipy's, and the choice of its cut."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.linkage import Linkage, average_linkage
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.silhouette_cut import (
    FALLBACK,
    choose_cut,
    grouped,
    mean_silhouette,
)
from clustering_tasks.engine.ward_linkage import ward_linkage
from tests.stage3_folder import blobs, scattered, unit


def neighbours(vectors: F32, k: int) -> I32:
    return exact_neighbours(vectors, 0, len(vectors), k).ids


def grown(vectors: F32, k: int | None = None, weight: I32 | None = None) -> Linkage:
    count = len(vectors)
    weight = np.ones(count, dtype=np.int32) if weight is None else weight
    return average_linkage(vectors, neighbours(vectors, k or max(count - 1, 1)), weight, -1.0)


def same_partition(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_on_the_complete_graph_it_is_scipys(seed: int) -> None:
    vectors = blobs([20, 12, 6], noise=20, seed=seed, spread=0.15)
    doubles = vectors.astype(np.float64)
    apart = 1 - doubles @ doubles.T
    np.fill_diagonal(apart, 0)
    expected = hierarchy.linkage(squareform(apart, checks=False), method="average")
    linkage = grown(vectors)
    np.testing.assert_allclose(1 - linkage.similarity, expected[:, 2], atol=1e-5)
    heights = 1 - expected[:, 2]
    for above, below in list(pairwise(heights))[::7]:
        cut = float(above + below) / 2
        if above - below > 1e-4:
            labels = hierarchy.fcluster(expected, 1 - cut, criterion="distance")
            assert same_partition(linkage.cut(len(vectors), cut), labels)


def test_merges_come_most_similar_first_and_end_in_one_cluster() -> None:
    vectors = blobs([20, 12], noise=10)
    linkage = grown(vectors)
    assert (np.diff(linkage.similarity) <= 0).all()
    assert set(linkage.cut(len(vectors), -1)) == {0}
    assert len(set(linkage.cut(len(vectors), 1.1))) == len(vectors)


def test_what_the_graph_does_not_link_never_merges() -> None:
    labels = grown(blobs([6, 6, 6], spread=0.01, seed=2), k=5).cut(18, -1)
    assert same_partition(labels, np.repeat([0, 1, 2], 6))


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_as_good_as_copies(seed: int) -> None:
    vectors = blobs([15, 10], noise=15, seed=seed)
    weight = np.random.default_rng(seed).choice([1, 2, 4], size=40).astype(np.int32)
    copies = np.repeat(np.arange(40), weight)
    nodes, rows = grown(vectors, weight=weight), grown(vectors[copies])
    for cut in (0.9, 0.6, 0.3):
        assert same_partition(nodes.cut(40, cut)[copies], rows.cut(len(copies), cut))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_rows_changes_nothing(seed: int) -> None:
    vectors = blobs([20, 12], noise=20, seed=seed)
    order = np.random.default_rng(seed).permutation(len(vectors))
    plain, shuffled = grown(vectors, k=8), grown(vectors[order], k=8)
    for cut in (0.9, 0.6, 0.3):
        assert same_partition(plain.cut(52, cut)[order], shuffled.cut(52, cut))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_rows(count: int) -> None:
    linkage = grown(scattered(count), k=2)
    assert len(linkage.first) == max(count - 1, 0)
    assert len(linkage.cut(count, 0.5)) == count


def test_the_cut_is_made_where_the_groups_are() -> None:
    vectors = blobs([30, 20, 12, 8], spread=0.06, seed=3)
    weight = np.ones(70, dtype=np.int32)
    cut = choose_cut(grown(vectors), vectors, neighbours(vectors, 20), weight)
    assert same_partition(cut.labels, np.repeat([0, 1, 2, 3], [30, 20, 12, 8]))
    assert cut.silhouette is not None
    assert cut.silhouette > 0.8
    np.testing.assert_array_equal(grown(vectors).cut(70, cut.similarity), cut.labels)


def test_where_no_cut_is_good_a_fixed_one_is_made() -> None:
    vectors = np.eye(16, dtype=np.float32)
    cut = choose_cut(grown(vectors), vectors, neighbours(vectors, 5), np.ones(16, np.int32))
    assert (cut.similarity, cut.silhouette) == (FALLBACK, None)
    assert len(set(cut.labels)) == 16


def test_the_simplified_silhouette_is_that_of_the_centroids() -> None:
    vectors = blobs([12, 9, 7], spread=0.3)
    labels = np.repeat([0, 1, 2], [12, 9, 7]).astype(np.int32)
    weight = np.ones(28, dtype=np.int32)
    ones = np.ones(28, dtype=np.float32)
    grouping = grouped(labels, vectors, weight, ones)
    assert grouping.sizes.tolist() == [12, 9, 7]
    to_all = 1 - vectors @ unit(grouping.sums).T
    own = to_all[np.arange(28), labels]
    to_all[np.arange(28), labels] = np.inf
    other = to_all.min(axis=1)
    expected = ((other - own) / np.maximum(own, other)).mean()
    found = mean_silhouette(grouping, vectors, neighbours(vectors, 5), weight, np.arange(28))
    assert found == pytest.approx(expected, abs=1e-5)
    # and it ranks as the full one does
    worse = np.random.default_rng(0).permutation(labels)
    assert found > mean_silhouette(
        grouped(worse, vectors, weight, ones),
        vectors,
        neighbours(vectors, 5),
        weight,
        np.arange(28),
    )
    assert silhouette_score(vectors, labels) > silhouette_score(vectors, worse)


@pytest.mark.parametrize(
    ("grow", "seed"),
    [
        (average_linkage, 605),
        (average_linkage, 726),
        (ward_linkage, 144),
        (ward_linkage, 851),
    ],
)
def test_a_chain_that_comes_back_to_itself_ends(grow: Callable[..., Linkage], seed: int) -> None:
    """Clusters are compared along a sparse graph, where a merge may bring two others nearer.

    With these graphs, few in a thousand, a chain comes back to one of its clusters.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, 5))
    scattered = rng.normal(size=(26, 5)) * rng.uniform(0.1, 1, size=(26, 1))
    vectors = unit((scattered + centres[rng.integers(0, 3, 26)]).astype(np.float32))
    near = np.argsort(-(vectors @ vectors.T), axis=1)[:, 1:6]
    ids = rng.permuted(near, axis=1)[:, :2].astype(np.int32)
    linkage = grow(vectors, ids, np.ones(26, np.int32), -np.inf)
    assert (np.diff(linkage.similarity) <= 0).all()
    links = (np.ones(52), (np.repeat(np.arange(26), 2), ids.ravel()))
    graph = sparse.csr_array(links, shape=(26, 26))
    components = sparse.csgraph.connected_components(graph, directed=False)[1]
    assert same_partition(linkage.cut(26, -np.inf), components)
