import numpy as np
import pytest

from clustering_tasks.arrays import F32
from clustering_tasks.engine.edge_threshold import LEAST, MOST, choose_threshold
from clustering_tasks.engine.label_propagation import propagate
from clustering_tasks.engine.neighbours import exact_neighbours
from tests.stage3_folder import blobs


def chosen(vectors: F32) -> tuple[float, float, int]:
    """The threshold, its silhouette, and how many communities of several nodes it makes."""
    found = exact_neighbours(vectors, 0, len(vectors), 12)
    similarity = (1 - np.square(found.distances) / 2).astype(np.float32)
    weight = np.ones(len(vectors), dtype=np.int32)
    least, silhouette = choose_threshold(vectors, found.ids, similarity, weight, 12)
    labels = propagate(found.ids, similarity, weight, least, 12)
    return least, silhouette, int((np.unique(labels, return_counts=True)[1] > 1).sum())


@pytest.mark.parametrize("spread", [0.05, 0.2])
def test_the_threshold_parts_what_is_apart(spread: float) -> None:
    least, silhouette, communities = chosen(blobs([20, 15, 10, 8], spread=spread, seed=3))
    assert LEAST - 1e-9 <= least <= MOST + 1e-9
    assert communities == 4
    assert silhouette > 0.5


def test_the_order_of_the_rows_changes_nothing() -> None:
    vectors = blobs([20, 15, 10], noise=15, seed=2)
    order = np.random.default_rng(0).permutation(60)
    assert chosen(vectors)[0] == chosen(vectors[order])[0]
