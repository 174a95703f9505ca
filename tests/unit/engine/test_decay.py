"""Decay in time, in the tree and in the cut."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.decay import TIMELESS, Decay, decay_of, decayed, exp_minus
from clustering_tasks.engine.linkage import average_linkage
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.silhouette_cut import choose_cut, grouped, mean_silhouette
from clustering_tasks.engine.ward_linkage import ward_linkage
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from tests.stage3_folder import blobs, scattered


def on(*days: float) -> F64:
    return np.array([days, days], dtype=np.float64).T.copy()


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def every(vectors: F32) -> I32:
    return exact_neighbours(vectors, 0, len(vectors), len(vectors) - 1).ids


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.1, 1.0, 3.3, 10.0, 40.0])
def test_the_exponential_is_right(x: float) -> None:
    assert exp_minus(x) == pytest.approx(math.exp(-x), rel=1e-6)


def test_the_exponential_never_rises() -> None:
    values = [exp_minus(x) for x in np.linspace(0, 80, 4001)]
    assert (np.diff(values) <= 0).all()
    assert exp_minus(1e9) < 1e-25


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0), (10, 12), 0.5 * math.exp(-1)),
        ((10, 12), (0, 0), 0.5 * math.exp(-1)),
        ((0, 5), (3, 12), 0.5),
        ((0, 5), (np.nan, np.nan), 0.5),
        ((np.nan, np.nan), (0, 5), 0.5),
    ],
)
def test_similarity_decays_by_the_days_between(one: Any, other: Any, expected: float) -> None:
    found = decayed(np.float32(0.5), np.array(one, float), np.array(other, float), 0.1)
    assert found == pytest.approx(expected, rel=1e-6)


def test_decay_makes_nothing_more_similar() -> None:
    assert decayed(np.float32(-0.5), np.zeros(2), np.full(2, 90.0), 1.0) == np.float32(-0.5)


def test_a_group_is_when_its_dated_nodes_are() -> None:
    spans = np.array([[1, 2], [np.nan, np.nan], [0, 1], [np.nan, np.nan], [7, 9]])
    labels = np.array([0, 0, 0, 1, 2], dtype=np.int32)
    found = Decay(spans, 1.0).of_groups(labels, np.array([3, 9, 1, 1, 1], dtype=np.int32))
    np.testing.assert_array_equal(found.hulls, [[0, 2], [np.nan, np.nan], [7, 9]])
    np.testing.assert_array_equal(found.means[:, 0], [1.25, np.nan, 8])
    np.testing.assert_array_equal(found.spans, [[1, 2], [0, 2], [0, 1], [np.nan, np.nan], [7, 9]])


@pytest.mark.parametrize(
    ("spans", "days"), [(None, 9.0), (on(1, 2), None), (on(np.nan, 1, np.nan), 9.0)]
)
def test_time_does_not_count_without_two_dates(spans: F64 | None, days: float | None) -> None:
    assert decay_of(spans, days) is TIMELESS


@pytest.mark.parametrize("grow", [average_linkage, ward_linkage])
def test_the_tree_merges_like_nodes_of_one_time_first(grow: Any) -> None:
    vectors = blobs([40], spread=0.05, seed=1)
    months = np.arange(40) % 4
    decay = decay_of(on(*(30.0 * months)), 10.0)
    tree = grow(vectors, every(vectors), ones(40), -np.inf, decay)
    assert (np.diff(tree.similarity) <= 0).all()
    cut = tree.cut(40, float(np.sort(tree.similarity)[3]))  # four clusters
    assert {len(set(months[cut == label])) for label in set(cut)} == {1}
    timeless = grow(vectors, every(vectors), ones(40), -np.inf)
    mixed = timeless.cut(40, float(np.sort(timeless.similarity)[3]))
    assert {len(set(months[mixed == label])) for label in set(mixed)} != {1}


def test_the_tree_is_average_linkage_of_decayed_similarities() -> None:
    """Of two moments, no hull grows by merges of one of them: scipy's tree, until both meet."""
    vectors = scattered(30, seed=3) + np.float32(0.2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    days = np.where(np.arange(30) < 15, 0.0, 20.0)
    products = vectors @ vectors.T
    apart = np.abs(days[:, None] - days)
    expected = np.where(products > 0, products * np.exp(-apart / 40), products)
    pairs = squareform(1 - expected, checks=False)
    tree = average_linkage(vectors, every(vectors), ones(30), -np.inf, decay_of(on(*days), 40.0))
    wanted = 1 - hierarchy.linkage(pairs, "average")[:, 2]
    one_time = np.array(
        [len({days[a], days[b]}) == 1 for a, b in zip(tree.first, tree.second, strict=True)]
    )
    first_mixed = int(np.argmin(one_time)) if not one_time.all() else len(one_time)
    assert first_mixed > 5
    np.testing.assert_allclose(tree.similarity[:first_mixed], wanted[:first_mixed], atol=1e-5)


@pytest.mark.parametrize("grow", [average_linkage, ward_linkage])
def test_merges_below_the_least_similarity_are_left_out(grow: Any) -> None:
    vectors = blobs([10, 10], spread=0.05, seed=2)
    decay = decay_of(on(*np.arange(20.0)), 5.0)
    whole = grow(vectors, every(vectors), ones(20), -np.inf, decay)
    least = float(whole.similarity[9])
    some = grow(vectors, every(vectors), ones(20), least, decay)
    np.testing.assert_array_equal(some.similarity, whole.similarity[: len(some.similarity)])
    assert some.similarity.min() >= least > whole.similarity[len(some.similarity)]


def test_the_silhouette_prefers_clusters_of_one_time() -> None:
    vectors = blobs([60], spread=0.2, seed=1)
    months = (np.arange(60) % 3).astype(np.int32)
    mixed = (np.arange(60) % 2).astype(np.int32)
    decay = decay_of(on(*(30.0 * months)), 10.0)

    def score(labels: I32, decay: Decay) -> float:
        grouping = grouped(labels, vectors, ones(60), ones(60).astype(np.float32))
        return mean_silhouette(grouping, vectors, every(vectors), ones(60), np.arange(60), decay)

    assert score(months, decay) > score(months, TIMELESS) + 0.2
    assert score(months, decay) > score(mixed, decay) + 0.2


def test_a_cluster_spread_over_time_scores_less() -> None:
    vectors = blobs([20, 20], spread=0.1, seed=1)
    labels = np.repeat(np.arange(2, dtype=np.int32), 20)
    grouping = grouped(labels, vectors, ones(40), ones(40).astype(np.float32))

    def score(days: F64) -> float:
        decay = decay_of(on(*days), 30.0)
        return mean_silhouette(grouping, vectors, every(vectors), ones(40), np.arange(40), decay)

    assert score(np.tile([0.0, 40.0], 20)) < score(np.zeros(40)) - 0.1


def test_the_cut_sees_what_the_tree_saw() -> None:
    vectors = blobs([30, 30, 30], spread=0.15, seed=1)
    stories = np.arange(90) // 10
    decay = decay_of(on(*(100.0 * (stories % 3))), 30.0)
    tree = average_linkage(vectors, every(vectors), ones(90), 0.08, decay)
    cut = choose_cut(tree, vectors, every(vectors), ones(90), None, decay)
    assert len(set(zip(cut.labels.tolist(), stories.tolist(), strict=True))) == 9
    assert len(set(cut.labels.tolist())) == 9


def clustered(span: F64 | None, decay_days: float | None, **own: Any) -> FlatClustering:
    vectors = blobs([12, 9, 7], noise=6, spread=0.3, seed=4)
    found = exact_neighbours(vectors, 0, len(vectors), 8)
    block = Block(vectors, found.ids, found.distances, ones(len(vectors)), span, decay_days)
    settings = run_settings({"algorithm": "agglomerative", "agglomerative": own})
    return agglomerative(block, settings, resolve_method(settings, LEVELS["documents"], 34))


@pytest.mark.parametrize(
    "own", [{}, {"linkage": "ward"}, {"linkage": "average"}, {"linkage": "ward", "clusters": 3}]
)
def test_undated_levels_get_the_same_bits(own: dict[str, Any]) -> None:
    plain = clustered(None, None, **own)
    for span in (np.full((34, 2), np.nan), on(*np.full(34, 7.0))):
        found = clustered(span, 9.0, **own)
        np.testing.assert_array_equal(found.labels, plain.labels)
        np.testing.assert_array_equal(found.probabilities, plain.probabilities)
        assert found.facts == plain.facts
        for name, values in plain.tree.items():
            np.testing.assert_array_equal(found.tree[name], values)
