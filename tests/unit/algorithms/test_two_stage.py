"""HDBSCAN in cells: what cells see alike is one cluster, and the cells leave no trace."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from clustering_tasks.algorithms.hdbscan import hdbscan
from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import Method, resolve_method
from clustering_tasks.algorithms.two_stage import two_stage
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.joining import View, joined_cells, joined_views, with_nearest
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings, run_settings
from tests.stage3_folder import blobs, unit


def view(rows: list[int], labels: list[int]) -> View:
    return View(np.array(rows), np.array(labels, dtype=np.int32))


def ints(*values: int) -> I32:
    return np.array(values, dtype=np.int32)


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def test_clusters_that_hold_most_of_each_other_in_sight_of_both_are_one() -> None:
    left = view([0, 1, 2, 3, 4, 5], [0, 0, 0, 0, 0, -1])
    right = view([2, 3, 4, 5, 6, 7], [0, 0, 0, 0, 0, 0])
    # both see 2 to 5; the left holds three of them, the right four, and three are common
    assert joined_views([left, right], ones(8)).tolist() == [0, 0]


def test_half_is_not_enough() -> None:
    left = view([0, 1, 2, 3], [0, 0, 0, 0])
    right = view([1, 2, 3, 4], [0, 1, 0, 0])
    assert joined_views([left, right], ones(5)).tolist() == [0, 0, 1]
    right = view([0, 1, 2, 3], [0, 0, 1, 1])
    assert len(set(joined_views([left, right], ones(5)))) == 3


def test_a_small_cluster_does_not_join_one_that_holds_much_else_in_its_sight() -> None:
    """The large one sees the small one's whole story and says that it is but a part."""
    small = view([0, 1, 2, 3, 4, 5, 6], [0, 0, -1, -1, -1, -1, -1])
    large = view([0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0, 0])
    assert len(set(joined_views([small, large], ones(7)))) == 2


def test_a_cluster_over_three_views_is_one() -> None:
    views = [
        view([0, 1, 2, 3], [0, 0, 0, 0]),
        view([2, 3, 4, 5], [0, 0, 0, 0]),
        view([4, 5, 6, 7], [0, 0, 0, 0]),
    ]
    assert joined_views(views, ones(8)).tolist() == [0, 0, 0]


def test_clusters_of_one_view_are_never_joined() -> None:
    one, other = view([0, 1, 2, 3], [0, 0, 1, 1]), view([0, 1, 2, 3], [0, 0, 0, -1])
    group = joined_views([one, other], ones(4))
    assert group[0] != group[1]
    assert group[2] == group[0]


def test_items_count_and_not_nodes() -> None:
    left, right = view([0, 1, 2], [0, 0, 0]), view([0, 1, 2], [0, 1, 1])
    assert joined_views([left, right], ones(3)).tolist() == [0, 1, 0]
    heavy = np.array([5, 1, 1], dtype=np.int32)
    assert joined_views([left, right], heavy).tolist() == [0, 0, 1]


def test_where_nothing_is_clustered_there_is_nothing_to_join() -> None:
    assert joined_views([view([0, 1], [-1, -1]), view([1], [-1])], ones(2)).tolist() == []


def ring(count: int) -> I32:
    """Each node's neighbours are the next and the one before."""
    at = np.arange(count, dtype=np.int32)
    return np.stack([(at + 1) % count, (at - 1) % count], axis=1)


@pytest.mark.parametrize(("count", "joined"), [(40, True), (42, False)])
def test_cells_are_joined_where_a_tenth_of_one_is_astride(count: int, joined: bool) -> None:
    """Half of the ring is a cell; two of its nodes have a neighbour in the other."""
    cell_of = np.repeat(ints(0, 1), count // 2)
    cells = joined_cells(ring(count), ones(count), cell_of)
    assert (len(set(cells)) == 1) is joined


def test_one_sided_neighbours_are_not_astride() -> None:
    ids = ring(20)
    ids[[0, 10], 1] = -1
    ids[[9, 19], 0] = -1
    ids[[3, 4], 0] = ints(12, 13)  # 12 and 13 know nothing of it
    cells = joined_cells(ids, ones(20), np.repeat(ints(0, 1), 10))
    assert len(set(cells)) == 2


def test_items_make_the_tenth() -> None:
    weight = ones(60)
    cell_of = np.repeat(ints(0, 1), 30)
    assert len(set(joined_cells(ring(60), weight, cell_of))) == 2
    weight[0] = 3
    assert len(set(joined_cells(ring(60), weight, cell_of))) == 1


def test_cells_are_numbered_without_gaps() -> None:
    cells = joined_cells(ring(40), ones(40), np.repeat(ints(1, 3, 6, 7), 10))
    assert cells.tolist() == [0] * 40
    nothing = np.full((40, 2), -1, dtype=np.int32)
    cells = joined_cells(nothing, ones(40), np.repeat(ints(7, 3, 6, 1), 10))
    assert cells.tolist() == np.repeat([3, 1, 2, 0], 10).tolist()


def test_a_cell_joins_the_one_whose_centroid_is_nearest() -> None:
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0.2], [0, 0, 1], [1, 0, 0.2]])
    cells, alone = ints(0, 1, 1, 2, 0), np.array([False, False, True])
    assert with_nearest(unit(rows), ones(5), cells, alone).tolist() == [0, 1, 1, 0, 0]
    heavy = ints(9, 1, 9, 1, 1)
    assert with_nearest(unit(rows), heavy, cells, alone).tolist() == [0, 1, 1, 1, 0]


def block_of(vectors: F32, k: int = 12) -> Block:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    return Block(vectors, found.ids, found.distances, ones(len(vectors)))


def settings_of(cell_size: int, **more: Any) -> tuple[RunSettings, Method]:
    hdbscan = {"min_cluster_size": 5, "min_samples": 3, **more}
    settings = run_settings(
        {
            "algorithm": "two_stage",
            "hdbscan": hdbscan,
            "two_stage": {"cell_size": cell_size, **hdbscan},
        }
    )
    return settings, resolve_method(settings, LEVELS["documents"], 0)


def alone(labels: I32) -> I32:
    return np.where(labels >= 0, labels, np.arange(len(labels)) + len(labels)).astype(np.int32)


def assert_equal(one: FlatClustering, other: FlatClustering) -> None:
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.outlier_scores, other.outlier_scores)


@pytest.mark.parametrize("method", ["eom", "leaf"])
def test_one_cell_is_hdbscan(method: str) -> None:
    block = block_of(blobs([40, 30, 20], noise=60, seed=1))
    chosen = settings_of(150, cluster_selection_method=method)
    found, expected = two_stage(block, *chosen), hdbscan(block, *chosen)
    assert_equal(found, expected)
    assert found.facts == {"cells": 1}
    for name, array in expected.tree.items():
        suffix = "" if name == "nodes" else "_in_cell"
        np.testing.assert_array_equal(found.tree[name + suffix], array)


@pytest.mark.parametrize("seed", range(4))
def test_groups_that_fill_several_cells_are_found_whole(seed: int) -> None:
    block = block_of(blobs([120, 90, 60, 30], noise=100, seed=seed, spread=0.12), 32)
    chosen = settings_of(50)
    found, expected = two_stage(block, *chosen), hdbscan(block, *chosen)
    assert int(found.facts["cells"] or 0) < 8
    assert adjusted_rand_score(alone(found.labels), alone(expected.labels)) > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_cells_leave_no_trace(seed: int) -> None:
    sizes = [150, 60, 60, 50, 50, 40, 40, 30, 30, 20]
    vectors = blobs(sizes, noise=70, seed=seed, spread=0.08, dimension=48)
    block = block_of(vectors, 32)
    chosen = settings_of(60)
    found, expected = two_stage(block, *chosen), hdbscan(block, *chosen)
    assert 2 < int(found.facts["cells"] or 0) <= 10
    assert adjusted_rand_score(alone(found.labels), alone(expected.labels)) > 0.96
    assert np.bincount(found.labels[found.labels >= 0]).min() >= 5
    assert ((found.probabilities > 0) == (found.labels >= 0)).all()


def test_a_group_that_is_its_cell_stands_out_in_a_larger_one() -> None:
    """Its neighbours are its own, so that its cell sees nothing else."""
    block = block_of(blobs([30, 30, 30], spread=0.02, seed=2), 12)
    found = two_stage(block, *settings_of(30))
    assert int(found.facts["cells"] or 0) < 3
    assert [len(set(found.labels[n : n + 30])) for n in (0, 30, 60)] == [1, 1, 1]
    assert set(found.labels) == {0, 1, 2}


def test_the_tree_holds_the_trees_of_the_cells() -> None:
    block = block_of(blobs([40, 30, 20], noise=60, seed=2))
    tree = two_stage(block, *settings_of(40)).tree
    count = len(tree["cell"])
    assert np.asarray(tree["nodes"]).shape == (2, count)
    assert len(tree["reachability_in_cell"]) == len(tree["distance_in_cell"]) == count
    assert set(np.asarray(tree["nodes"]).ravel().tolist()) == set(range(150))


def test_the_order_of_the_rows_changes_nothing() -> None:
    vectors = blobs([40, 30, 20], noise=60, seed=3)
    order = np.random.default_rng(0).permutation(150)
    plain = two_stage(block_of(vectors), *settings_of(40))
    moved = two_stage(block_of(vectors[order]), *settings_of(40))
    pairs = set(zip(alone(plain.labels)[order].tolist(), alone(moved.labels).tolist(), strict=True))
    clusters = len(set(alone(plain.labels)))
    assert len(pairs) == clusters == len(set(alone(moved.labels)))
    np.testing.assert_array_equal(plain.probabilities[order], moved.probabilities)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_hardly_any_nodes(count: int) -> None:
    found = two_stage(block_of(blobs([count]), 3), *settings_of(10))
    assert found.labels.tolist() == [-1] * count
