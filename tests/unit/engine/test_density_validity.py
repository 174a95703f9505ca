"""Validity on the spanning tree, against the package `hdbscan` and by hand."""

from typing import Any

import hdbscan
import numpy as np
import pytest

from clustering_tasks.arrays import F64
from clustering_tasks.engine.density_validity import relative_validity
from tests.stage3_folder import blobs


def path(lengths: list[float], labels: list[int], weights: list[int] | None = None) -> float | None:
    """Validity of nodes in a row, with these lengths between them."""
    order = np.argsort(lengths, kind="stable")
    first = np.arange(len(lengths), dtype=np.int32)[order]
    return relative_validity(
        first,
        (first + 1).astype(np.int32),
        np.array(lengths, dtype=np.float32)[order],
        np.array(labels, dtype=np.int32),
        np.array(weights or [1] * len(labels), dtype=np.int32),
    )


def test_two_clusters_side_by_side() -> None:
    # sparseness .2 and .4, apart by .8
    validity = path([0.1, 0.2, 0.8, 0.4], [0, 0, 0, 1, 1])
    assert validity == pytest.approx((3 * (0.8 - 0.2) / 0.8 + 2 * (0.8 - 0.4) / 0.8) / 5)


def test_a_cluster_sparser_than_what_separates_it_counts_below_zero() -> None:
    validity = path([0.1, 0.5, 0.9], [0, 0, 1, 1])
    assert validity == pytest.approx((2 * (0.5 - 0.1) / 0.5 + 2 * (0.5 - 0.9) / 0.9) / 4)


def test_through_noise_the_longest_edge_of_the_way_separates() -> None:
    validity = path([0.1, 0.6, 0.7, 0.2], [0, 0, -1, 1, 1])
    assert validity == pytest.approx((2 * (0.7 - 0.1) / 0.7 + 2 * (0.7 - 0.2) / 0.7) / 5)


def test_items_count_not_nodes() -> None:
    validity = path([0.1, 0.8, 0.4], [0, 0, 1, 1], [5, 1, 1, 1])
    assert validity == pytest.approx((6 * (0.8 - 0.1) / 0.8 + 2 * (0.8 - 0.4) / 0.8) / 8)


def test_trees_with_one_cluster_or_none_are_left_out() -> None:
    assert path([0.1, 0.2], [0, 0, 0]) is None
    assert path([0.1, 0.2], [-1, -1, -1]) is None
    assert path([], [0]) is None
    nodes = np.array([0, 2, 1, 5, 7, 6], dtype=np.int32)
    lengths = np.array([0.1, 0.2, 0.8, 0.1, 0.1, 0.1], dtype=np.float32)
    labels = np.array([0, 0, 1, 1, -1, 2, 2, 2, 2], dtype=np.int32)
    found = relative_validity(
        nodes, (nodes + 1).astype(np.int32), lengths, labels, np.ones(9, np.int32)
    )
    assert found == pytest.approx((2 * (0.8 - 0.1) / 0.8 + 2 * (0.8 - 0.2) / 0.8) / 4)


def packages(seed: int, noise: int) -> tuple[Any, F64]:
    vectors = blobs([40, 25, 12], noise=noise, seed=seed, spread=0.2).astype(np.float64)
    model = hdbscan.HDBSCAN(min_cluster_size=5, min_samples=3, gen_min_span_tree=True).fit(vectors)
    tree = model.minimum_spanning_tree_.to_numpy()
    return model, tree[np.argsort(tree[:, 2], kind="stable")]


@pytest.mark.parametrize("seed", range(6))
def test_where_clusters_touch_it_is_the_packages(seed: int) -> None:
    model, tree = packages(seed, noise=0)
    # without noise every cluster has a direct edge to another
    nearest = tree[:, :2].astype(np.int32)
    labels = model.labels_.copy()
    noisy = np.flatnonzero(labels < 0)
    for _ in range(len(labels)):  # what little noise there is joins its neighbour in the tree
        for a, b in nearest:
            labels[a] = labels[b] if labels[a] < 0 else labels[a]
            labels[b] = labels[a] if labels[b] < 0 else labels[b]
    model.labels_ = labels
    assert (labels >= 0).all()
    assert len(noisy) < 20
    ours = relative_validity(
        nearest[:, 0].copy(),
        nearest[:, 1].copy(),
        tree[:, 2].astype(np.float32),
        labels.astype(np.int32),
        np.ones(len(labels), np.int32),
    )
    assert ours == pytest.approx(model.relative_validity_, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_with_noise_between_it_never_flatters_more_than_the_package(seed: int) -> None:
    model, tree = packages(seed, noise=40)
    ours = relative_validity(
        tree[:, 0].astype(np.int32),
        tree[:, 1].astype(np.int32),
        tree[:, 2].astype(np.float32),
        model.labels_.astype(np.int32),
        np.ones(len(model.labels_), np.int32),
    )
    assert ours is not None
    assert ours <= model.relative_validity_ + 1e-6
