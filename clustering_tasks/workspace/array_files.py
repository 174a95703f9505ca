"""Arrays by name, as a step leaves them in an artefact (`.npz`)."""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.workspace.artefacts import made_by_another_version
from clustering_tasks.workspace.storage import is_local

_WITHOUT_ARRAYS = 22  # bytes of an archive without a member
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Arrays(Mapping[str, npt.NDArray[Any]]):
    """The arrays of an open file, each read when it is asked for."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], path: UPath) -> None:
        self._arrays = arrays
        self._path = path

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Read an array.

        Raises:
            BadInputError: the file has none of this name: another version wrote it.
        """
        if name not in self._arrays:
            raise _lacking(name, self._path)
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether the file has an array of this name."""
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self._arrays)


@contextmanager
def _opened(path: UPath) -> Iterator[IO[bytes]]:
    """Open an archive; `zipfile` looks before its start, which an object store's file refuses."""
    with path.open("rb") as file:
        small = not is_local(path) and path.stat().st_size <= _WITHOUT_ARRAYS
        yield io.BytesIO(file.read()) if small else file


def _lacking(name: str, path: UPath) -> BadInputError:
    key = path.parent.parent  # <step>/<key>/<attempt>/<file>
    return made_by_another_version(key.parent.name, str(key), f"array `{name}` in `{path.name}`")


@contextmanager
def open_arrays(path: UPath) -> Iterator[Arrays]:
    """Open a file of an artefact that holds arrays by name."""
    with _opened(path) as file, np.load(file, allow_pickle=False) as arrays:
        yield Arrays(arrays, path)


def read_arrays(path: UPath, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Read some arrays of a file of an artefact."""
    with open_arrays(path) as arrays:
        return {name: arrays[name] for name in names}


def array_parts(path: UPath, name: str, sizes: Iterable[int]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array of a file of an artefact some rows at a time: all at once may be a gigabyte.

    Args:
        path: of the file.
        name: of the array.
        sizes: rows of each part, from the first row on.

    Raises:
        BadInputError: the file has none of this name.
    """
    with _opened(path) as file, ZipFile(file) as arrays:
        if f"{name}.npy" not in arrays.namelist():
            raise _lacking(name, path)
        with arrays.open(f"{name}.npy") as array:
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(array)](array)
            width = dtype.itemsize * math.prod(shape[1:])
            for size in sizes:
                rows = np.frombuffer(array.read(size * width), dtype)
                yield rows.reshape(size, *shape[1:])


def check_arrays(path: UPath) -> None:
    """Read a file of arrays to its end, so that damage is found before they are needed.

    Raises:
        BadZipFile: a checksum is wrong, or the file is cut short.
    """
    with _opened(path) as file, ZipFile(file) as arrays:
        if (broken := arrays.testzip()) is not None:
            raise BadZipFile(f"the checksum of {broken} is wrong")
