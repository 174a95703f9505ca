"""The tree and the choice of clusters, against the package `hdbscan` (McInnes, Healy, Astels)."""

from itertools import product
from typing import Any, Literal

import hdbscan
import numpy as np
import numpy.typing as npt
import pytest
from hdbscan._hdbscan_linkage import label as single_linkage
from hdbscan._hdbscan_tree import outlier_scores
from hdbscan.hdbscan_ import _tree_to_labels
from sklearn.metrics import adjusted_rand_score

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.condensed_tree import CondensedTree, Selection, condense, select
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.engine.spanning_tree import Edges, core_distances, spanning_tree
from tests.stage3_folder import blobs, scattered

Method = Literal["eom", "leaf"]


def grown(vectors: F32, weight: I32, k: int = 32, min_samples: int = 3) -> Edges:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    core = core_distances(found.ids, found.distances, weight, min_samples)
    return spanning_tree(vectors, found.ids, found.distances, core)


def clustered(vectors: F32, weight: I32 | None = None, **settings: Any) -> Selection:
    weight = np.ones(len(vectors), dtype=np.int32) if weight is None else weight
    k, min_samples = settings.pop("k", 32), settings.pop("min_samples", 3)
    size = settings.pop("min_cluster_size", 5)
    return select(condense(grown(vectors, weight, k, min_samples), weight, size), **settings)


def same_partition(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> bool:
    """Whether labels are equal up to their names; noise is noise."""
    pairs = set(zip(ours.tolist(), theirs.tolist(), strict=True))
    noise_agrees = all((a < 0) == (b < 0) for a, b in pairs)
    return noise_agrees and len(pairs) == len(set(ours)) == len(set(theirs))


def data(seed: int) -> F32:
    spread = np.random.default_rng(seed).uniform(0.05, 0.3)
    return blobs([40, 25, 12, 8], noise=40, seed=seed, spread=spread)


@pytest.mark.parametrize("seed", range(10))
def test_the_same_spanning_tree_gives_the_same_clusters(seed: int) -> None:
    vectors = data(seed)
    weight = np.ones(len(vectors), dtype=np.int32)
    edges = grown(vectors, weight)
    linkage = single_linkage(
        np.column_stack([edges.first, edges.second, edges.reachability]).astype(np.float64)
    )
    for size, method, epsilon, single in product([2, 5, 9], ["eom", "leaf"], [0, 0.3, 0.6], [0, 1]):
        case = f"{seed=} {size=} {method=} {epsilon=} {single=}"
        tree = condense(edges, weight, size)
        if method == "leaf" and single and len(tree.parent) == 1:
            continue  # nothing splits: for the package there is no leaf, for us the root is one
        ours = select(tree, method, epsilon, bool(single))  # type: ignore[arg-type]
        labels, probabilities, _, condensed, _ = _tree_to_labels(
            vectors, linkage, size, method, bool(single), False, epsilon
        )
        assert same_partition(ours.labels, labels), case
        np.testing.assert_allclose(ours.probabilities, probabilities, atol=1e-5, err_msg=case)
        np.testing.assert_allclose(
            ours.outlier_scores, outlier_scores(condensed), atol=1e-5, err_msg=case
        )


def answers_of_the_package(vectors: F32, method: Method) -> list[I64]:
    """Ties of mutual reachability make its labels depend on the order of the rows: try seven."""
    model = hdbscan.HDBSCAN(
        min_cluster_size=5,
        min_samples=3,
        cluster_selection_method=method,
        algorithm="generic",
        approx_min_span_tree=False,
    )
    orders = [np.random.default_rng(seed).permutation(len(vectors)) for seed in range(6)]
    answers = []
    for order in (np.arange(len(vectors)), *orders):
        labels = np.empty(len(vectors), dtype=np.int64)
        labels[order] = model.fit(vectors[order].astype(np.float64)).labels_
        answers.append(labels)
    return answers


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("seed", range(12))
def test_from_vectors_to_labels_it_is_one_of_hdbscans_own_answers(
    seed: int, method: Method
) -> None:
    vectors = data(seed)
    ours = clustered(vectors, k=len(vectors) - 1, method=method)
    theirs = answers_of_the_package(vectors, method)
    assert max(adjusted_rand_score(ours.labels, labels) for labels in theirs) >= 0.99


def test_well_separated_groups_are_found_exactly() -> None:
    vectors = blobs([30, 20, 10], spread=0.02, seed=1)
    ours = clustered(vectors)
    assert same_partition(ours.labels, np.repeat([0, 1, 2], [30, 20, 10]))
    theirs = hdbscan.HDBSCAN(min_cluster_size=5, min_samples=3, algorithm="generic")
    assert same_partition(ours.labels, theirs.fit(vectors.astype(np.float64)).labels_)


@pytest.mark.parametrize("method", ["eom", "leaf"])
@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_the_rows_changes_nothing(seed: int, method: Method) -> None:
    vectors = data(seed)
    order = np.random.default_rng(seed).permutation(len(vectors))
    plain = clustered(vectors, method=method, epsilon=0.2)
    shuffled = clustered(vectors[order], method=method, epsilon=0.2)
    assert same_partition(plain.labels[order], shuffled.labels)
    np.testing.assert_allclose(plain.probabilities[order], shuffled.probabilities, atol=1e-5)
    np.testing.assert_allclose(plain.outlier_scores[order], shuffled.outlier_scores, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_weight_is_as_good_as_copies(seed: int) -> None:
    """A node of weight w, and w rows with the same vector, give the same clusters."""
    vectors = blobs([20, 15], noise=25, seed=seed)
    rng = np.random.default_rng(seed)
    weight = rng.choice([1, 1, 1, 2, 3, 6], size=len(vectors)).astype(np.int32)
    copies = np.repeat(np.arange(len(vectors)), weight)
    nodes = clustered(vectors, weight, k=len(vectors) - 1)
    rows = clustered(vectors[copies], k=len(copies) - 1)
    assert nodes.labels.max() >= 1
    assert same_partition(nodes.labels[copies], rows.labels)
    np.testing.assert_allclose(nodes.probabilities[copies], rows.probabilities, atol=1e-5)
    np.testing.assert_allclose(nodes.outlier_scores[copies], rows.outlier_scores, atol=1e-5)
    np.testing.assert_allclose(nodes.stabilities, rows.stabilities, rtol=1e-4)


def test_copies_alone_can_make_a_cluster() -> None:
    vectors = scattered(12)
    weight = np.ones(12, dtype=np.int32)
    weight[[2, 7]] = 5
    found = clustered(vectors, weight, k=11)
    assert set(found.labels[[2, 7]]) == {0, 1}
    assert found.probabilities[[2, 7]].tolist() == [1, 1]


def sizes_of_clusters(selection: Selection, weight: I32) -> list[int]:
    kept = selection.labels >= 0
    return [int(size) for size in np.bincount(selection.labels[kept], weight[kept])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [2, 4, 7])
def test_no_cluster_is_smaller_than_asked_for(seed: int, size: int) -> None:
    vectors = data(seed)
    rng = np.random.default_rng(seed)
    weight = rng.choice([1, 1, 2], size=len(vectors)).astype(np.int32)
    for method, epsilon in product(["eom", "leaf"], [0.0, 0.4]):
        found = clustered(vectors, weight, min_cluster_size=size, method=method, epsilon=epsilon)
        assert min(sizes_of_clusters(found, weight), default=size) >= size
        assert ((found.probabilities > 0) == (found.labels >= 0)).all()
        assert found.probabilities.max(initial=0) <= 1
        assert found.outlier_scores.min() >= 0
        assert found.outlier_scores.max() <= 1


def test_a_parents_number_is_below_its_childrens() -> None:
    vectors = data(0)
    weight = np.ones(len(vectors), dtype=np.int32)
    tree: CondensedTree = condense(grown(vectors, weight), weight, 3)
    assert tree.parent[0] == -1
    assert (tree.parent[1:] < np.arange(1, len(tree.parent))).all()
    assert (tree.birth[1:] >= tree.birth[tree.parent[1:]]).all()
    assert (tree.leaves_at >= tree.birth[tree.leaves_from]).all()
    assert (tree.size[1:] <= tree.size[tree.parent[1:]]).all()
    assert tree.size[0] == len(vectors)
