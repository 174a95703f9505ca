"""The GPU's path, on the index of a CPU: there is no GPU here.

What only a GPU can do, run out of its memory, is pretended by an index that fails as FAISS does.
"""

from typing import Any

import numpy as np
import pytest

from clustering_tasks.arrays import F32, I64
from clustering_tasks.engine import gpu as module
from clustering_tasks.engine.gpu import has_gpu, make_index, propose, without_self
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.cluster.cluster import on_gpu
from tests.stage3_folder import blobs, scattered

VECTORS = blobs([120, 80, 60], noise=140, dimension=32)
N = len(VECTORS)


class Forgetful:
    """An index whose GPU has no room for more than `most` queries."""

    def __init__(self, index: Any, most: int) -> None:
        self._index = index
        self._most = most
        self.calls: list[int] = []

    def search(self, queries: F32, count: int) -> tuple[F32, I64]:
        self.calls.append(len(queries))
        if len(queries) > self._most:
            raise RuntimeError("Error in ... err == cudaSuccess failed: out of memory")
        found: tuple[F32, I64] = self._index.search(queries, count)
        return found


def test_the_graph_is_that_of_the_exact_search() -> None:
    exact = exact_neighbours(VECTORS, 0, N, 12)
    for rows in (np.arange(100), np.arange(100, N), np.arange(1, N, 7)):
        found = on_gpu(VECTORS, rows, run_settings({"neighbours.k": 12}).neighbours, "cpu")
        assert found is not None
        np.testing.assert_array_equal(found.ids, exact.ids[rows])
        np.testing.assert_array_equal(found.distances, exact.distances[rows])


def test_an_inverted_file_finds_nearly_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FLAT_ROWS", 100)
    monkeypatch.setattr(module, "_ROWS", 64)
    found = on_gpu(VECTORS, np.arange(N), run_settings({}).neighbours, "cpu")
    assert found is not None
    exact = exact_neighbours(VECTORS, 0, N, 32)
    same = (found.ids[:, :16, None] == exact.ids[:, None, :16]).any(axis=2).mean()
    assert 0.8 < same < 1


def test_without_memory_the_batch_is_halved_until_it_fits() -> None:
    many = scattered(6000)
    index = Forgetful(make_index(many, 8, float16=False, device="cpu"), most=1500)
    found = propose(index, many, np.arange(len(many)), 5)
    assert found.batch == 1024
    assert index.calls[0] == 6000
    plain = propose(make_index(many, 8, float16=False, device="cpu"), many, np.arange(len(many)), 5)
    np.testing.assert_array_equal(found.ids, plain.ids)


def test_without_any_memory_the_cpu_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*arguments: Any) -> Forgetful:
        return Forgetful(make_index(*arguments), most=0)

    monkeypatch.setattr("clustering_tasks.steps.cluster.cluster.make_index", make)
    assert on_gpu(VECTORS, np.arange(N), run_settings({}).neighbours, "cpu") is None


def test_other_errors_of_the_index_are_not_taken_for_want_of_memory() -> None:
    index = make_index(VECTORS, 8, float16=False, device="cpu")

    def fail(*_: Any) -> None:
        raise RuntimeError("illegal address")

    index.search = fail
    with pytest.raises(RuntimeError, match="illegal address"):
        propose(index, VECTORS, np.arange(N), 5)


def test_a_row_is_not_its_own_candidate_even_behind_copies() -> None:
    found = np.array([[0, 3, 2], [4, 2, 3], [0, 2, 1]])
    np.testing.assert_array_equal(without_self(found, np.arange(3)), [[3, 2], [4, 2], [0, 1]])
    np.testing.assert_array_equal(
        without_self(found, np.array([3, 4, 9])), [[0, 2], [2, 3], [0, 2]]
    )


def test_there_is_no_gpu_without_a_driver() -> None:
    assert not has_gpu()
