"""Mutual neighbours, against a direct search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.engine.mutual import mutual_neighbours


@given(st.integers(0, 2**32 - 1))
def test_each_pair_that_has_each_other_is_found_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 12)), 4
    ids = np.full((n, k), -1, dtype=np.int32)
    for i in range(n):
        count = int(rng.integers(0, min(k, n - 1) + 1))
        ids[i, :count] = rng.permutation(np.delete(np.arange(n), i))[:count]
    rank = int(rng.integers(1, k + 1))
    rows, columns, at = mutual_neighbours(ids, rank)
    expected = {
        (i, j)
        for i in range(n)
        for j in range(i + 1, n)
        if j in ids[i, :rank] and i in ids[j, :rank]
    }
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == sorted(expected)
    np.testing.assert_array_equal(ids[rows, at], columns)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_a_graph_without_edges_has_none(shape: tuple[int, int]) -> None:
    assert all(len(found) == 0 for found in mutual_neighbours(np.empty(shape, np.int32), 2))
