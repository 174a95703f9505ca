"""Complete, Ward and single linkage against scipy and scikit-learn."""

from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from sklearn.cluster import AgglomerativeClustering

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.bridging import bridged
from clustering_tasks.engine.complete_linkage import complete_linkage
from clustering_tasks.engine.linkage import Linkage, average_linkage
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.silhouette_cut import LEAST, MOST, ward_cuts
from clustering_tasks.engine.smoothing import smooth
from clustering_tasks.engine.ward_linkage import ward_linkage
from clustering_tasks.errors import ResourcesError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from tests.stage3_folder import blobs, scattered

Method = Literal["average", "complete", "single", "ward"]
METHODS: tuple[Method, ...] = ("average", "complete", "single", "ward")


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def similarities(vectors: F32, k: int) -> tuple[I32, F32]:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    return found.ids, (1 - np.square(found.distances) / 2).astype(np.float32)


def complete(vectors: F32, least: float = -1.0, k: int | None = None) -> Linkage:
    ids, similarity = similarities(vectors, k or len(vectors) - 1)
    return complete_linkage(vectors, ids, similarity, least, 1000)


def ward(vectors: F32, k: int | None = None, weight: I32 | None = None) -> Linkage:
    ids, _ = similarities(vectors, k or len(vectors) - 1)
    return ward_linkage(vectors, ids, ones(len(vectors)) if weight is None else weight, -np.inf)


def same_partition(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    pairs = set(zip(one.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(one.tolist())) == len(set(other.tolist()))


def assert_same_tree(linkage: Linkage, expected: F64, count: int) -> None:
    """The heights are scipy's, as similarities, and so are the clusters at some of them."""
    heights = 1 - np.square(expected[:, 2]) / 2
    np.testing.assert_allclose(linkage.similarity, heights, atol=2e-5)
    for above, below in list(pairwise(heights))[::5]:
        if above - below > 1e-4:
            cut = float(above + below) / 2
            labels = hierarchy.fcluster(expected, np.sqrt(2 - 2 * cut), criterion="distance")
            assert same_partition(linkage.cut(count, cut), labels)


@pytest.mark.parametrize("seed", range(4))
def test_complete_linkage_is_scipys(seed: int) -> None:
    vectors = blobs([20, 12, 6], noise=20, seed=seed, spread=0.15)
    doubles = vectors.astype(np.float64)
    apart = np.sqrt(np.maximum(2 - 2 * doubles @ doubles.T, 0))
    np.fill_diagonal(apart, 0)
    expected = hierarchy.linkage(squareform(apart, checks=False), method="complete")
    assert_same_tree(complete(vectors), expected, len(vectors))


@pytest.mark.parametrize("seed", range(4))
def test_ward_on_the_complete_graph_is_scipys(seed: int) -> None:
    vectors = blobs([20, 12, 6], noise=20, seed=seed, spread=0.15)
    expected = hierarchy.linkage(vectors.astype(np.float64), method="ward")
    assert_same_tree(ward(vectors), expected, len(vectors))


@pytest.mark.parametrize("least", [0.9, 0.6, 0.2])
def test_components_one_by_one_are_the_whole(least: float) -> None:
    vectors = blobs([25, 15, 10], noise=30, seed=5, spread=0.2)
    whole, parts = complete(vectors), complete(vectors, least)
    assert len(parts.first) == (whole.similarity >= least).sum()
    for cut in (0.95, 0.9, 0.7, 0.5):
        if cut >= least:
            assert same_partition(whole.cut(80, cut), parts.cut(80, cut))


def test_a_component_that_is_too_large_is_refused_with_the_ways_out() -> None:
    vectors = blobs([30], spread=0.05)
    ids, similarity = similarities(vectors, 5)
    with pytest.raises(ResourcesError, match=r"30 different vectors.*average, ward or single") as e:
        complete_linkage(vectors, ids, similarity, 0.5, 29)
    for way in ("agglomerative.cut_similarity", "agglomerative.max_component"):
        assert way in str(e.value)
    assert len(complete_linkage(vectors, ids, similarity, 0.5, 30).first) == 29


def test_what_is_too_far_apart_in_time_never_meets_in_complete_linkage() -> None:
    vectors = blobs([12], spread=0.02)
    ids, similarity = similarities(vectors, 11)
    days = np.array([0.0] * 6 + [10.0] * 5 + [np.nan])
    span = np.stack([days, days], axis=1)
    for least in (0.1, -1.0):
        linkage = complete_linkage(vectors, ids, similarity, least, 100, span, 5.0)
        labels = linkage.cut(12, -2)
        assert same_partition(labels[:11], np.repeat([0, 1], [6, 5]))
        assert labels[11] in labels[:11]


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_as_good_as_copies_for_ward(seed: int) -> None:
    vectors = blobs([15, 10], noise=15, seed=seed)
    weight = np.random.default_rng(seed).choice([1, 2, 4], size=40).astype(np.int32)
    copies = np.repeat(np.arange(40), weight)
    nodes, rows = ward(vectors, weight=weight), ward(vectors[copies])
    for cut in (0.9, 0.6, 0.3, -0.5):
        assert same_partition(nodes.cut(40, cut)[copies], rows.cut(len(copies), cut))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grow", [ward, complete])
def test_the_order_of_the_rows_changes_nothing(grow: Any, seed: int) -> None:
    vectors = blobs([20, 12], noise=20, seed=seed)
    order = np.random.default_rng(seed).permutation(52)
    plain, shuffled = grow(vectors, k=8), grow(vectors[order], k=8)
    for cut in (0.9, 0.6, 0.3, -0.5):
        assert same_partition(plain.cut(52, cut)[order], shuffled.cut(52, cut))


def test_ties_of_complete_linkage_do_not_depend_on_the_order_of_the_rows() -> None:
    """All pairs of a simplex are as similar; which merge first follows from the vectors."""
    vectors = np.eye(16, dtype=np.float32)
    order = np.random.default_rng(3).permutation(16)
    plain, shuffled = complete(vectors), complete(vectors[order])
    merged = [
        [frozenset((rows[a], rows[b])) for a, b in zip(tree.first, tree.second, strict=True)]
        for rows, tree in ((np.arange(16), plain), (order, shuffled))
    ]
    assert merged[0] == merged[1]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_rows(count: int) -> None:
    vectors = scattered(count)
    ids = np.full((count, 2), -1, dtype=np.int32)
    similarity = np.full((count, 2), -np.inf, dtype=np.float32)
    for linkage in (
        ward_linkage(vectors, ids, ones(count), -np.inf),
        complete_linkage(vectors, ids, similarity, 0.5, 10),
    ):
        assert linkage.cut(count, 0.5).tolist() == list(range(count))


@pytest.mark.parametrize("grow", [average_linkage, ward_linkage])
def test_what_no_edge_links_is_joined_in_the_end(grow: Any) -> None:
    vectors = blobs([6, 6, 6, 6], spread=0.01, seed=2)
    ids, _ = similarities(vectors, 5)
    forest = grow(vectors, ids, ones(24), -np.inf)
    assert len(forest.first) == 20
    whole = bridged(forest, vectors, ones(24), grow)
    assert len(whole.first) == 23
    assert (np.diff(whole.similarity) <= 0).all()
    assert same_partition(whole.cut(24, forest.similarity.min()), np.repeat(range(4), 6))
    assert set(whole.cut(24, -np.inf)) == {0}
    every, _ = similarities(vectors, 23)
    np.testing.assert_allclose(
        whole.similarity[20:], grow(vectors, every, ones(24), -np.inf).similarity[20:], atol=1e-5
    )


def test_too_many_components_are_not_joined() -> None:
    vectors = scattered(5000)
    ids = np.full((5000, 1), -1, dtype=np.int32)
    nothing = average_linkage(vectors, ids, ones(5000), -np.inf)
    with pytest.raises(ResourcesError, match=r"5000 components.*linkage=single"):
        bridged(nothing, vectors, ones(5000), average_linkage)


def test_wards_cuts_reach_from_the_usual_to_the_last_merge() -> None:
    linkage = ward(blobs([30, 20], noise=10))
    cuts = ward_cuts(linkage)
    assert cuts[0] == pytest.approx(MOST)
    assert cuts[-1] == pytest.approx(linkage.similarity.min())
    assert (np.diff(cuts) < 0).all()
    assert linkage.similarity.min() < LEAST


def block_of(vectors: F32, k: int | None = None) -> Block:
    found = exact_neighbours(vectors, 0, len(vectors), k or len(vectors) - 1)
    return Block(vectors, found.ids, found.distances, ones(len(vectors)))


def clusters(block: Block, linkage: Method, **more: Any) -> I32:
    """Labels by the algorithm, nothing trimmed; clusters of one are noise."""
    own = {"linkage": linkage, "trim_similarity": -1.0, **more}
    settings = run_settings({"algorithm": "agglomerative", "agglomerative": own})
    method = resolve_method(settings, LEVELS["documents"], len(block.weight))
    return agglomerative(block, settings, method).labels


def alone(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make each noise node a cluster."""
    return np.where(labels >= 0, labels, np.arange(len(labels)) + len(labels))


@pytest.mark.parametrize("k", [1, 2, 3, 7, 30, 58, 100])
@pytest.mark.parametrize("linkage", METHODS)
def test_so_many_clusters_are_those_of_scikit_learn(linkage: Method, k: int) -> None:
    vectors = blobs([20, 12, 6], noise=20, seed=1, spread=0.15)
    block = block_of(vectors)
    smoothed = smooth(vectors, block.ids, block.distances, block.weight)
    # of unit vectors the mean of cosine distances orders as ours does
    metric = "euclidean" if linkage == "ward" else "cosine"
    model = AgglomerativeClustering(min(k, 58), linkage=linkage, metric=metric)
    expected = model.fit(smoothed.astype(np.float64)).labels_
    assert same_partition(alone(clusters(block, linkage, clusters=k)), expected)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9, 1.3])
@pytest.mark.parametrize("linkage", ["complete", "single", "ward"])
def test_a_distance_threshold_is_that_of_scikit_learn(linkage: Method, threshold: float) -> None:
    vectors = blobs([20, 12, 6], noise=20, seed=2, spread=0.15)
    block = block_of(vectors)
    smoothed = smooth(vectors, block.ids, block.distances, block.weight)
    model = AgglomerativeClustering(None, linkage=linkage, distance_threshold=threshold)
    expected = model.fit(smoothed.astype(np.float64)).labels_
    found = clusters(block, linkage, distance_threshold=threshold)
    assert same_partition(alone(found), expected)


@pytest.mark.parametrize("linkage", METHODS)
def test_without_a_threshold_the_cut_is_made_where_the_groups_are(linkage: Method) -> None:
    vectors = blobs([30, 20, 12, 8], spread=0.06, seed=3)
    found = clusters(block_of(vectors, 12), linkage)
    assert same_partition(found, np.repeat([0, 1, 2, 3], [30, 20, 12, 8]))


@pytest.mark.parametrize("linkage", METHODS)
def test_a_number_of_clusters_is_reached_although_the_graph_is_in_pieces(linkage: Method) -> None:
    vectors = blobs([8] * 6, spread=0.01, seed=4)
    labels = clusters(block_of(vectors, 5), linkage, clusters=2)
    assert len(set(labels)) == 2
    assert all(len(set(labels[n : n + 8])) == 1 for n in range(0, 48, 8))
