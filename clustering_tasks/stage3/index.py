"""Stage 3's FAISS indices: flat ones, also wrapped in an IDMap (IN-1).

The file is read here and not by FAISS, whose mapped reader (1.15.1) ends the process with a
segmentation fault when the file breaks off in its header, and whose other reader holds all vectors
in memory. The layout is that of `faiss/impl/index_write.cpp`, little-endian:

    flat    kind, header, number of floats, the floats
    IDMap   kind, header, the wrapped index, number of ids, the ids
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clustering_tasks.arrays import F32, I64
from clustering_tasks.engine.row_files import read_rows
from clustering_tasks.errors import BadInputError
from clustering_tasks.stage3.formats import MOST_BYTES, other_format
from clustering_tasks.stage3.index_header import FLAT, HEADER, ID_MAPS, KIND

_COUNT = struct.Struct("<Q")
# Files of other kinds may be anybody's, behind a link: no byte of theirs gets into a message.
_OTHERS = {
    b"IwFl": "IndexIVFFlat",
    b"IwPQ": "IndexIVFPQ",
    b"IwSQ": "IndexIVFScalarQuantizer",
    b"IwSq": "IndexIVFScalarQuantizer",
    b"IHNf": "IndexHNSWFlat",
    b"IHN2": "IndexHNSW2Level",
    b"IHNp": "IndexHNSWPQ",
    b"IHNs": "IndexHNSWSQ",
    b"IxSQ": "IndexScalarQuantizer",
    b"IxPq": "IndexPQ",
    b"IxPT": "IndexPreTransform",
    b"IxRF": "IndexRefineFlat",
    b"IxHe": "IndexLSH",
    b"IBxF": "IndexBinaryFlat",
}
_FLAT_ONE = "Let Stage 3 write a flat FAISS index"
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class FlatIndex:
    """The vectors of an index and the integer ids under which FAISS knows them.

    Attributes:
        path: the file.
        start: where in it the vectors begin.
        dimension: d.
        ids: (n,) int64.
    """

    path: Path
    start: int
    dimension: int
    ids: I64

    def take(self, positions: I64) -> F32:
        """Gather vectors: (len(positions), d) float32.

        Read, not mapped: mapped pages count in a process's resident memory, and where the vectors
        lie in disorder that is the whole file.

        Raises:
            OSError: when the file cannot be read as far as it was checked.
        """
        vectors = np.empty((len(positions), self.dimension), dtype=np.float32)
        with self.path.open("rb") as file:
            read = read_rows(file.fileno(), self.start, positions, vectors)
        if read < len(positions):
            raise OSError(f"{self.path}: vector {positions[read]} could not be read")
        return vectors


def open_index(path: Path, dimension: int) -> FlatIndex:
    """Read a FAISS index file but for its vectors, which `FlatIndex.take` reads.

    Args:
        path: a local file.
        dimension: the d that it must have.

    Raises:
        BadInputError: when the file is unreadable, truncated or too long, of another kind or
            dimension.
    """
    with path.open("rb") as file:
        return _Reader(file, path, dimension).index()


class _Reader:
    def __init__(self, file: BinaryIO, path: Path, dimension: int) -> None:
        self._dimension = dimension
        self._file = file
        self._path = path
        self._size = path.stat().st_size

    def index(self) -> FlatIndex:
        dimension, kind = self._dimension, self._kind()
        if kind not in ID_MAPS:
            start, count = self._flat(kind, dimension)
            self._check_end()
            return FlatIndex(self._path, start, dimension, np.arange(count, dtype=np.int64))
        promised = self._header()[1]
        start, count = self._flat(self._kind(), dimension)
        ids = self._ids()
        self._check_end()
        if not count == len(ids) == promised:
            raise BadInputError(
                f"{self._path.name} has {count} vectors but {len(ids)} ids (its header "
                f"says {promised}): let Stage 3 write it again"
            )
        return FlatIndex(self._path, start, dimension, ids)

    def _flat(self, kind: bytes, dimension: int) -> tuple[int, int]:
        """Step over the vectors; return where they begin and how many there are."""
        if kind not in FLAT:
            raise self._of_another_kind(kind)
        d, count = self._header()
        if d != dimension:
            raise BadInputError(
                f"{self._path.name} holds vectors of dimension {d}, input.dimension is "
                f"{dimension}: set input.dimension={d} or let Stage 3 embed with the right model"
            )
        floats = self._numbers(_COUNT)[0]
        if floats != count * d:
            raise self._damaged(f"{count} vectors of dimension {d} cannot have {floats} values")
        return self._step_over(floats * 4), count

    def _ids(self) -> I64:
        count = self._numbers(_COUNT)[0]
        self._file.seek(self._step_over(count * 8))
        return np.fromfile(self._file, "<i8", count).astype(np.int64, copy=False)

    def _check_end(self) -> None:
        """Refuse a file that goes on: no telling which half of it is the index that was meant."""
        end = self._file.tell()
        if end != self._size:
            raise self._damaged(
                f"it has {self._size} bytes, an index of this shape has {end}",
                "two writers or an append may have mixed",
            )

    def _of_another_kind(self, kind: bytes) -> BadInputError:
        name = _OTHERS.get(kind)
        if name is None:
            return self._no_index()
        return BadInputError(
            f"{self._path.name} is of the kind {name}; only flat indices "
            f"(IndexFlatIP, IndexFlatL2), also within an IndexIDMap, hold the exact vectors. "
            f"{_FLAT_ONE}"
        )

    def _no_index(self) -> BadInputError:
        """Say what a file may be that starts like no index."""
        self._file.seek(0)
        if other := other_format(self._file.read(MOST_BYTES)):
            return BadInputError(f"{self._path.name} is {other}. {_FLAT_ONE}")
        if self._size and self._size % (self._dimension * _FLOAT_BYTES) == 0:
            return BadInputError(
                f"{self._path.name} is no readable FAISS index: it does not start like one, and "
                f"its size is that of rows of {self._dimension} numbers, without a header. "
                f"{_FLAT_ONE}"
            )
        return self._damaged("it does not start like one", "it may be another file")

    def _kind(self) -> bytes:
        kind: bytes = self._numbers(KIND)[0]
        return kind

    def _header(self) -> tuple[int, int]:
        d, count, *_ = self._numbers(HEADER)
        return d, count

    def _numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        read = self._file.read(layout.size)
        if len(read) < layout.size:
            raise self._damaged(f"it ends after {self._size} bytes")
        return layout.unpack(read)

    def _step_over(self, size: int) -> int:
        """Move on by some bytes, which must be there; return where they begin."""
        start = self._file.tell()
        if start + size > self._size:
            raise self._damaged(f"it ends after {self._size} bytes, {start + size} are needed")
        self._file.seek(start + size)
        return start

    def _damaged(self, how: str, why: str = "it may be truncated") -> BadInputError:
        return BadInputError(
            f"{self._path.name} is no readable FAISS index ({how}): {why}. "
            f"Let Stage 3 write it again"
        )
