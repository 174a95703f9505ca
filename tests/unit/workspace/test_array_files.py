"""Arrays of a file, some rows at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace.array_files import array_parts, open_arrays
from tests.unit.workspace.object_store import store


def file_of(folder: Path, **arrays: Any) -> UPath:
    path = UPath(folder) / "merge" / "key" / "attempt" / "centroids.npz"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


@pytest.mark.parametrize("sizes", [[], [5], [2, 0, 3], [1] * 5])
def test_parts_are_the_rows_of_the_array(tmp_path: Path, sizes: list[int]) -> None:
    whole = np.arange(15, dtype=np.float32).reshape(5, 3)
    path = file_of(tmp_path, other=np.zeros(2), centroids=whole)
    parts = list(array_parts(path, "centroids", sizes))
    assert [len(part) for part in parts] == sizes
    assert np.array_equal(np.concatenate([whole[:0], *parts]), whole[: sum(sizes)])
    assert all(part.dtype == whole.dtype for part in parts)


def test_an_array_that_is_not_there_is_another_versions(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="array `centroids`"):
        next(array_parts(file_of(tmp_path, other=np.zeros(2)), "centroids", [1]))


@pytest.mark.parametrize("arrays", [{}, {"some": np.arange(5)}])
def test_a_file_of_an_object_store_is_read_as_another(arrays: dict[str, Any]) -> None:
    path = store("/plan/key/attempt/cells.npz")
    with path.open("wb") as file:
        np.savez(file, **arrays)
    with open_arrays(path) as read:
        assert {name: read[name].tolist() for name in read} == (
            {name: array.tolist() for name, array in arrays.items()}
        )
