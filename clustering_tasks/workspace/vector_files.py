"""Files of vectors: one `.npy` file, written and read in blocks of rows.

Read with `read`, not mapped: mapped pages count in a process's resident memory.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.arrays import F32, I64
from clustering_tasks.workspace.storage import is_local, read_exactly

# 12 MB of 768 dimensions: a block is still in the processor's cache when it has been read, and its
# memory is that of the one before. Of 32,768 rows each is new memory from the system: reading
# them took half as long again.
BLOCK_ROWS = 4096
# Where fewer than one of so many rows is wanted, each is read by itself: a read costs as much as
# the bytes of some eight rows.
_SPARSE = 8


def write_vectors(path: UPath, shape: tuple[int, int], blocks: Iterable[F32]) -> None:
    """Write blocks of rows, (m, d) float32 each, as one `.npy` file of `shape` (n, d)."""
    with path.open("wb") as file:
        file.write(_header(shape))
        for block in blocks:
            if block.size:  # a memoryview of nothing cannot be cast
                file.write(np.ascontiguousarray(block, dtype="<f4").data.cast("B"))


def _header(shape: tuple[int, int]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return header.getvalue()


class VectorFile:
    """An open `.npy` file of (n, d) float32 rows."""

    def __init__(self, file: BinaryIO) -> None:
        np.lib.format.read_magic(file)
        self.shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != np.float32:
            raise TypeError(f"expected float32 rows, got {dtype}")
        self._file = file
        self._start = file.tell()

    def read(self, start: int, stop: int) -> F32:
        """Read the rows from `start` up to `stop`: (stop - start, d) float32."""
        rows = np.empty((stop - start, self.shape[1]), dtype=np.float32)
        self._file.seek(self._start + start * self.shape[1] * 4)
        if rows.size:  # a memoryview of nothing cannot be cast
            read_exactly(self._file, rows.data.cast("B"))
        return rows

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[tuple[int, F32]]:
        """Yield the first row's number and the rows of each block of at most `size`."""
        for start in range(0, self.shape[0], size):
            yield start, self.read(start, min(start + size, self.shape[0]))

    def take(self, rows: I64) -> F32:
        """Gather rows, in the order given: (len(rows), d) float32.

        Reads the file once from the first row wanted to the last, so that it costs as little for
        rows in disorder: in blocks, and where few of a block are wanted, these alone.
        """
        if _in_a_row(rows):  # a seventh of the work
            return self.read(int(rows[0]), int(rows[-1]) + 1)
        taken = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        wanted = rows[order]
        bounds = np.append(np.flatnonzero(np.diff(wanted // BLOCK_ROWS, prepend=-1)), len(wanted))
        for here in map(slice, bounds[:-1].tolist(), bounds[1:].tolist()):
            taken[order[here]] = self._some(wanted[here])
        return taken

    def _some(self, wanted: I64) -> F32:
        """Gather rows of one block, (m,) ascending."""
        first, last = int(wanted[0]), int(wanted[-1]) + 1
        if last - first <= _SPARSE * len(wanted):
            return self.read(first, last)[wanted - first]
        starts = np.flatnonzero(np.diff(wanted, prepend=-2) != 1)
        lasts = np.append(starts[1:], len(wanted)) - 1
        runs = zip(wanted[starts].tolist(), wanted[lasts].tolist(), strict=True)
        return np.concatenate([self.read(first, last + 1) for first, last in runs])


def _in_a_row(rows: I64) -> bool:
    return (
        len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
    )


class FileRows:
    """A range of a file's rows, read when they are asked for by a slice or an array of numbers."""

    def __init__(self, file: VectorFile, first: int, last: int) -> None:
        self._file = file
        self._first = first
        self._last = last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, rows: slice | npt.NDArray[np.integer[Any]]) -> F32:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._file.read(self._first + start, self._first + max(start, stop))
        return self._file.take(self._first + rows.astype(np.int64))

    def __array__(self, dtype: Any = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class PickedRows:
    """Some rows of a file, (m,), read when they are asked for."""

    def __init__(self, file: VectorFile, rows: I64) -> None:
        self._file = file
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice | npt.NDArray[np.integer[Any]]) -> F32:
        return self._file.take(self._rows[rows])

    def __array__(self, dtype: Any = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


class VectorWriter:
    """A `.npy` file whose rows are written in any order."""

    def __init__(self, descriptor: int, shape: tuple[int, int]) -> None:
        header = _header(shape)
        os.pwrite(descriptor, header, 0)
        os.ftruncate(descriptor, len(header) + shape[0] * shape[1] * 4)
        self._descriptor = descriptor
        self._start = len(header)

    def write(self, positions: npt.NDArray[np.integer[Any]], rows: F32) -> None:
        """Write rows, (m, d), to their positions, (m,); neighbours in one go."""
        if not len(positions):
            return
        if (np.diff(positions) < 0).any():
            order = np.argsort(positions)
            positions, rows = positions[order], rows[order]
        rows = np.ascontiguousarray(rows, dtype="<f4")
        starts = np.flatnonzero(np.diff(positions, prepend=-2) != 1)
        width, data = rows.shape[1] * 4, rows.data.cast("B")
        bounds = (np.append(starts, len(positions)) * width).tolist()
        offsets = (self._start + positions[starts].astype(np.int64) * width).tolist()
        for (first, last), offset in zip(pairwise(bounds), offsets, strict=True):
            _write_at(self._descriptor, data[first:last], offset)


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    while data:  # a write may be cut short
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


@contextmanager
def new_vectors(path: UPath, shape: tuple[int, int]) -> Iterator[VectorWriter]:
    """Open a new file of (n, d) rows; an object store gets it whole, from a local copy."""
    if is_local(path):
        descriptor = os.open(path.path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o666)
        try:
            yield VectorWriter(descriptor, shape)
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as scratch, (Path(scratch) / "rows").open("w+b") as local:
        yield VectorWriter(local.fileno(), shape)
        with path.open("wb") as file:
            shutil.copyfileobj(local, file)


@contextmanager
def open_vectors(path: UPath) -> Iterator[VectorFile]:
    """Open a file that `write_vectors` wrote."""
    with path.open("rb") as file:
        yield VectorFile(file)
