"""What remains of clusters without a tenth of the items."""

from collections.abc import Callable

import numpy as np
import pytest

from clustering_tasks.algorithms.interface import Block, FlatClustering
from clustering_tasks.algorithms.method import Method, resolve_method
from clustering_tasks.arrays import F32, I32
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import RunSettings, run_settings
from clustering_tasks.steps.merge.stability import LARGEST, remaining, stability
from tests.stage3_folder import blobs, scattered


def block_of(vectors: F32, weight: I32 | None = None, k: int = 8) -> Block:
    found = exact_neighbours(vectors, 0, len(vectors), k)
    ones = np.ones(len(vectors), dtype=np.int32)
    return Block(vectors, found.ids, found.distances, ones if weight is None else weight)


def answering(labels_of: Callable[[Block], I32]) -> Callable[[Block], FlatClustering]:
    def algorithm(block: Block) -> FlatClustering:
        nothing = np.zeros(len(block.weight), dtype=np.float32)
        return FlatClustering(labels_of(block), nothing, nothing)

    return algorithm


def test_what_the_algorithm_sees_is_the_rest_of_the_block() -> None:
    block = block_of(scattered(40), np.arange(1, 41, dtype=np.int32))
    seen: list[Block] = []

    def look(part: Block) -> I32:
        seen.append(part)
        return np.zeros(len(part.weight), dtype=np.int32)

    remaining(block, np.zeros(40, dtype=np.int32), answering(look), 2)
    (part,) = seen
    kept = part.weight - 1  # weights name the nodes
    assert len(kept) == 36
    assert sorted(kept.tolist()) == kept.tolist()
    np.testing.assert_array_equal(part.vectors, block.vectors[kept])
    for at, node in enumerate(kept):
        there = np.isin(block.ids[node], kept)
        left = int(there.sum())
        assert kept[part.ids[at][:left]].tolist() == block.ids[node][there].tolist()
        assert part.distances[at][:left].tolist() == block.distances[node][there].tolist()
        assert (part.ids[at][left:] == -1).all()
        assert np.isinf(part.distances[at][left:]).all()


def test_it_is_the_highest_jaccard_similarity_by_items() -> None:
    weight = np.ones(20, dtype=np.int32)
    weight[3] = 4
    block = block_of(scattered(20), weight)
    labels = np.repeat([0, 1], 10).astype(np.int32)
    seen: list[I32] = []

    def halves(part: Block) -> I32:
        """The first cluster is found again, and with it half of the second; the rest is noise."""
        new = np.where(np.arange(len(part.weight)) < 14, 0, -1).astype(np.int32)
        seen.append(part.weight)
        return new

    found = remaining(block, labels, answering(halves), 2)
    weights = seen[0]
    kept = np.sort(np.random.default_rng(0).permutation(20)[2:])
    of = labels[kept]
    new = np.arange(18) < 14
    for cluster in (0, 1):
        both = weights[(of == cluster) & new].sum()
        either = weights[(of == cluster) | new].sum()
        assert found[cluster] == pytest.approx(both / either)


def test_clusters_that_became_too_small_are_not_judged() -> None:
    block = block_of(scattered(200))
    labels = np.full(200, -1, dtype=np.int32)
    labels[:120] = np.arange(120) // 2  # pairs
    found = remaining(
        block, labels, answering(lambda part: np.full(len(part.weight), -1, np.int32)), 2
    )
    kept = np.zeros(200, dtype=bool)
    kept[np.random.default_rng(0).permutation(200)[20:]] = True
    whole = kept[:120].reshape(60, 2).all(axis=1)
    assert 0 < whole.sum() < 60
    assert np.isnan(found).tolist() == (~whole).tolist()
    assert (found[whole] == 0).all()


def partition(vectors: F32, name: str) -> tuple[Block, FlatClustering, RunSettings, Method]:
    settings = run_settings({"algorithm": name})
    method = resolve_method(settings, LEVELS["documents"], len(vectors))
    block = block_of(vectors)
    return block, ALGORITHMS[name].load()(block, settings, method), settings, method


@pytest.mark.parametrize("name", ALGORITHMS)
def test_clear_groups_are_stable(name: str) -> None:
    block, found, settings, method = partition(blobs([15, 12, 9], spread=0.02), name)
    clusters = int(found.labels.max()) + 1
    values = stability(block, found, settings, method, 36)
    assert values.tolist() == [1] * clusters
    assert clusters == 3


def test_groups_in_a_cloud_are_less_stable_than_clear_ones() -> None:
    block, found, settings, method = partition(scattered(300), "hdbscan")
    values = stability(block, found, settings, method, 300)
    assert np.nanmean(values) < 0.95


def test_large_levels_are_not_measured() -> None:
    block, found, settings, method = partition(blobs([15, 12]), "hdbscan")
    assert np.isnan(stability(block, found, settings, method, LARGEST + 1)).tolist() == [True, True]


def test_a_block_without_items_has_no_clusters() -> None:
    block, found, settings, method = partition(scattered(1), "label_propagation")
    assert stability(block, found, settings, method, 1).tolist() == []
