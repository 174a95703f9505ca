from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from clustering_tasks.arrays import F32
from clustering_tasks.workspace.vector_files import (
    FileRows,
    new_vectors,
    open_vectors,
    write_vectors,
)

ROWS, DIMENSION = 70_000, 3  # more than two of the blocks in which `take` reads


@pytest.fixture(params=["local", "memory://"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UPath]:
    if request.param == "local":
        yield UPath(tmp_path / "vectors.npy")
        return
    path = UPath("memory://test-vectors/vectors.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink()


@pytest.fixture
def rows(path: UPath) -> F32:
    """What the file holds; it was written in blocks of different sizes."""
    rows = np.random.default_rng(1).normal(size=(ROWS, DIMENSION)).astype(np.float32)
    write_vectors(path, rows.shape, (rows[:1], rows[1:1], rows[1:50_000], rows[50_000:]))
    return rows


def test_what_was_written_is_read_by_numpy_too(path: UPath, rows: F32) -> None:
    with path.open("rb") as file:
        np.testing.assert_array_equal(np.load(file, allow_pickle=False), rows)


def test_ranges_and_blocks_are_read(path: UPath, rows: F32) -> None:
    with open_vectors(path) as file:
        assert file.shape == rows.shape
        np.testing.assert_array_equal(file.read(69_990, ROWS), rows[69_990:])
        np.testing.assert_array_equal(file.read(5, 8), rows[5:8])
        assert file.read(5, 5).shape == (0, DIMENSION)
        blocks = list(file.blocks(30_000))
    assert [start for start, _ in blocks] == [0, 30_000, 60_000]
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), rows)


def test_rows_are_gathered_in_any_order_also_twice(path: UPath, rows: F32) -> None:
    wanted = np.random.default_rng(2).integers(0, ROWS, 5_000)
    wanted[:4] = [ROWS - 1, 0, 40_000, 0]
    with open_vectors(path) as file:
        np.testing.assert_array_equal(file.take(wanted), rows[wanted])
        np.testing.assert_array_equal(file.take(wanted[:1]), rows[wanted[:1]])
        few = np.array([69_000, 5, 4000, 4001, 4001, 8191, 9000])  # by themselves, not in blocks
        np.testing.assert_array_equal(file.take(few), rows[few])
        assert file.take(np.empty(0, np.int64)).shape == (0, DIMENSION)


@pytest.mark.parametrize(
    "wanted", [[3, 4, 5], [69_999], [3, 5, 4, 6], [3, 3, 5], [5, 4, 3], [3, 6]]
)
def test_rows_beside_each_other_are_those_that_are_wanted(
    path: UPath, rows: F32, wanted: list[int]
) -> None:
    with open_vectors(path) as file:
        np.testing.assert_array_equal(file.take(np.array(wanted)), rows[wanted])


def test_no_rows_are_a_file_too(path: UPath) -> None:
    write_vectors(path, (0, DIMENSION), [])
    with open_vectors(path) as file:
        assert file.shape == (0, DIMENSION)
        assert list(file.blocks()) == []
        assert file.take(np.empty(0, np.int64)).shape == (0, DIMENSION)


def test_a_file_of_doubles_is_refused(path: UPath) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros((2, 2)))
    with pytest.raises(TypeError, match="float64"), open_vectors(path):
        pass


def test_a_file_that_was_cut_off_is_noticed(path: UPath, rows: F32) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with open_vectors(path) as file:
        file.read(0, ROWS - 1)
        with pytest.raises(EOFError):
            file.read(ROWS - 2, ROWS)


def test_rows_are_written_in_any_order(path: UPath) -> None:
    rows = np.random.default_rng(1).normal(size=(50, DIMENSION)).astype(np.float32)
    order = np.random.default_rng(0).permutation(50)
    with new_vectors(path, rows.shape) as file:
        for some in (order[:20], order[20:20], order[20:]):
            file.write(some, rows[some])
    with open_vectors(path) as written:
        np.testing.assert_array_equal(written.read(0, 50), rows)


def test_a_range_of_a_file_is_read_like_an_array(path: UPath, rows: F32) -> None:
    with open_vectors(path) as file:
        part = FileRows(file, 10, 25)
        assert len(part) == 15
        np.testing.assert_array_equal(part[3:7], rows[13:17])
        np.testing.assert_array_equal(part[12:99], rows[22:25])
        np.testing.assert_array_equal(part[20:30], rows[25:25])
        np.testing.assert_array_equal(part[np.array([4, 0, 4])], rows[[14, 10, 14]])
        np.testing.assert_array_equal(np.asarray(part), rows[10:25])
