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
import numpy.typing as npt

from clustering_tasks.errors import BadInputError

_KIND = struct.Struct("4s")
_HEADER = struct.Struct("<iqqq?i")  # dimension, vectors, two unused numbers, is trained, metric
_COUNT = struct.Struct("<Q")
_FLAT = (b"IxFI", b"IxF2")  # inner product, L2
_ID_MAPS = (b"IxMp", b"IxM2")
_OTHERS = {b"IwFl": "IndexIVFFlat", b"IHNf": "IndexHNSWFlat", b"IxSQ": "IndexScalarQuantizer"}


@dataclass(frozen=True)
class FlatIndex:
    """The vectors of an index and the integer ids under which FAISS knows them.

    Attributes:
        vectors: (n, d) float32, a view of the mapped file: read it in blocks.
        ids: (n,) int64.
    """

    vectors: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]


def open_index(path: Path, dimension: int) -> FlatIndex:
    """Map a FAISS index file into memory.

    Args:
        path: a local file.
        dimension: the d that it must have.

    Raises:
        BadInputError: when the file is unreadable or truncated, of another kind or dimension.
    """
    with path.open("rb") as file:
        return _Reader(file, path).index(dimension)


class _Reader:
    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = path.stat().st_size

    def index(self, dimension: int) -> FlatIndex:
        kind = self._kind()
        if kind not in _ID_MAPS:
            vectors = self._flat(kind, dimension)
            return FlatIndex(vectors, np.arange(len(vectors), dtype=np.int64))
        count = self._header()[1]
        vectors = self._flat(self._kind(), dimension)
        ids = self._array(np.dtype("<i8"), self._numbers(_COUNT)[0])
        if not len(vectors) == len(ids) == count:
            raise BadInputError(
                f"{self._path.name} has {len(vectors)} vectors but {len(ids)} ids (its header "
                f"says {count}): let Stage 3 write it again"
            )
        return FlatIndex(vectors, np.asarray(ids, dtype=np.int64))

    def _flat(self, kind: bytes, dimension: int) -> npt.NDArray[np.float32]:
        if kind not in _FLAT:
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
        return self._array(np.dtype("<f4"), floats).reshape(count, d)

    def _of_another_kind(self, kind: bytes) -> BadInputError:
        name = kind.decode("ascii", "replace")
        if not (name.startswith("I") and name.isalnum()):
            return self._damaged("it does not start like one")
        return BadInputError(
            f"{self._path.name} is of the kind {_OTHERS.get(kind, name)}; only flat indices "
            f"(IndexFlatIP, IndexFlatL2), also within an IndexIDMap, hold the exact vectors. "
            f"Let Stage 3 write a flat one"
        )

    def _kind(self) -> bytes:
        kind: bytes = self._numbers(_KIND)[0]
        return kind

    def _header(self) -> tuple[int, int]:
        d, count, *_ = self._numbers(_HEADER)
        return d, count

    def _numbers(self, layout: struct.Struct) -> tuple[Any, ...]:
        read = self._file.read(layout.size)
        if len(read) < layout.size:
            raise self._damaged(f"it ends after {self._size} bytes")
        return layout.unpack(read)

    def _array(self, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """Map an array at the current position and step over it."""
        start = self._file.tell()
        stop = start + count * dtype.itemsize
        if stop > self._size:
            raise self._damaged(f"it ends after {self._size} bytes, {stop} are needed")
        self._file.seek(stop)
        if not count:
            return np.empty(0, dtype)
        return np.memmap(self._path, dtype, "r", start, (count,))

    def _damaged(self, how: str) -> BadInputError:
        return BadInputError(
            f"{self._path.name} is no readable FAISS index ({how}): it may be truncated. "
            f"Let Stage 3 write it again"
        )
