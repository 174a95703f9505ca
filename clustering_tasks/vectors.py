"""The snapshot's vectors: one `.npy` file, written and read in blocks of rows.

Read with `read`, not mapped: mapped pages count in a process's resident memory.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from upath import UPath

from clustering_tasks.storage import read_exactly

Matrix = npt.NDArray[np.float32]


def write_vectors(path: UPath, shape: tuple[int, int], blocks: Iterable[Matrix]) -> None:
    """Write blocks of rows, (m, d) float32 each, as one `.npy` file of `shape` (n, d)."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    with path.open("wb") as file:
        file.write(header.getvalue())
        for block in blocks:
            if block.size:  # a memoryview of nothing cannot be cast
                file.write(np.ascontiguousarray(block, dtype="<f4").data.cast("B"))


class VectorFile:
    """An open `.npy` file of (n, d) float32 rows."""

    def __init__(self, file: BinaryIO) -> None:
        np.lib.format.read_magic(file)
        self.shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != np.float32:
            raise TypeError(f"expected float32 rows, got {dtype}")
        self._file = file
        self._start = file.tell()

    def read(self, start: int, stop: int) -> Matrix:
        """Read the rows from `start` up to `stop`: (stop - start, d) float32."""
        rows = np.empty((stop - start, self.shape[1]), dtype=np.float32)
        self._file.seek(self._start + start * self.shape[1] * 4)
        if rows.size:  # a memoryview of nothing cannot be cast
            read_exactly(self._file, rows.data.cast("B"))
        return rows

    def blocks(self, size: int = 32_768) -> Iterator[tuple[int, Matrix]]:
        """Yield the first row's number and the rows of each block of at most `size`."""
        for start in range(0, self.shape[0], size):
            yield start, self.read(start, min(start + size, self.shape[0]))

    def take(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """Gather rows, in the order given: (len(rows), d) float32.

        Reads the file once from the first row wanted to the last, in blocks, so that it costs as
        little for rows in disorder.
        """
        taken = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        wanted = rows[order]
        for start in range(0, self.shape[0], 32_768):
            stop = min(start + 32_768, self.shape[0])
            here = slice(*np.searchsorted(wanted, [start, stop]))
            if here.stop > here.start:
                taken[order[here]] = self.read(start, stop)[wanted[here] - start]
        return taken


@contextmanager
def open_vectors(path: UPath) -> Iterator[VectorFile]:
    """Open a file that `write_vectors` wrote."""
    with path.open("rb") as file:
        yield VectorFile(file)
