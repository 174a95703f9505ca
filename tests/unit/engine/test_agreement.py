"""Which of two hierarchies is taken, and where the second one is cut."""

from dataclasses import replace

import numpy as np
import pytest

from clustering_tasks.algorithms.agglomerative import agglomerative
from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.agreement import MORE, WORSE, agrees, cuts_about
from clustering_tasks.engine.linkage import Linkage
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.silhouette_cut import Cut
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from tests.stage3_folder import blobs


def pairs(clusters: int, alone: int = 0) -> I32:
    """Labels of clusters of two, and of some of one."""
    of_pairs = np.repeat(np.arange(clusters), 2)
    return np.append(of_pairs, clusters + np.arange(alone)).astype(np.int32)


def ones(count: int) -> I32:
    return np.ones(count, dtype=np.int32)


def chain(nodes: int) -> Linkage:
    """A tree that adds one node to the cluster of the first at a time."""
    second = np.arange(1, nodes, dtype=np.int32)
    similarity = np.linspace(1, -5, nodes - 1).astype(np.float32)
    return Linkage(np.zeros(nodes - 1, dtype=np.int32), second, similarity)


@pytest.mark.parametrize(("nodes", "groups"), [(1000, 100), (50, 40), (50, 49), (10, 1), (2, 1)])
def test_a_second_tree_is_cut_into_about_as_many(nodes: int, groups: int) -> None:
    tree = chain(nodes)
    cuts = cuts_about(tree, nodes, groups)
    left = [nodes - tree.merges(cut) for cut in cuts]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == len(left)
    assert groups in left or len(left) > 15
    assert max(left) <= max(round(1.1 * groups), 1)
    assert min(left) == max(round(groups / 2), 1)


def test_a_tree_in_pieces_is_cut_as_far_as_it_goes() -> None:
    tree = replace(chain(10), similarity=np.linspace(1, 0, 9).astype(np.float32))
    halves = Linkage(tree.first[:4], tree.second[:4], tree.similarity[:4])
    cuts = cuts_about(halves, 10, 3)
    assert len(cuts) == 1
    assert cuts[0] < halves.similarity[-1]


@pytest.mark.parametrize(
    ("clusters", "silhouette", "agreed"),
    [
        (40, 0.8, True),
        (int(40 * MORE), 0.8, True),
        (int(40 * MORE) + 1, 0.9, False),
        (25, 0.8 - WORSE / 2, True),
        (25, 0.8 - WORSE * 2, False),
        (40, None, False),
    ],
)
def test_it_is_taken_where_it_sees_hardly_more_and_as_well(
    clusters: int, silhouette: float | None, agreed: bool
) -> None:
    first = Cut(pairs(40, alone=20), 0.5, 0.8)
    second = Cut(pairs(clusters, alone=100 - 2 * clusters), 0.4, silhouette)
    assert agrees(second, first, ones(100)) is agreed


def test_a_node_of_two_items_is_a_cluster() -> None:
    labels = np.arange(40, dtype=np.int32)
    first, second = Cut(pairs(20), 0.5, 0.8), Cut(labels, 0.4, 0.9)
    assert agrees(second, first, ones(40))  # nothing in it is a cluster
    assert not agrees(second, first, ones(40) * 2)


def found(vectors: F32, linkage: str, **more: float) -> tuple[object, I32]:
    at = exact_neighbours(vectors, 0, len(vectors), 30)
    block = Block(vectors, at.ids, at.distances, ones(len(vectors)))
    own = {"linkage": linkage, **more}
    settings = run_settings({"algorithm": "agglomerative", "agglomerative": own})
    method = resolve_method(settings, LEVELS["documents"], len(vectors))
    partition = agglomerative(block, settings, method)
    return partition.facts["linkage"], partition.labels


def test_wards_borders_are_taken_where_both_see_the_same_clusters() -> None:
    vectors = blobs([30, 20, 12, 8], spread=0.06, seed=3)
    linkage, labels = found(vectors, "auto")
    assert linkage == "ward"
    assert (labels == found(vectors, "average")[1]).all()


def test_average_linkage_is_taken_where_ward_sees_more() -> None:
    vectors = blobs([60, 60, 60], noise=100, spread=0.1, seed=1)  # it makes clusters of the noise
    linkage, labels = found(vectors, "auto", lone_deviations=0)
    assert linkage == "average"
    assert (labels == found(vectors, "average", lone_deviations=0)[1]).all()


@pytest.mark.parametrize("cut", [{"clusters": 3}, {"cut_similarity": 0.5}])
def test_where_the_caller_cuts_there_is_one_hierarchy(cut: dict[str, float]) -> None:
    vectors = blobs([30, 20, 12, 8], spread=0.06, seed=3)
    assert found(vectors, "auto", **cut)[0] == "average"
