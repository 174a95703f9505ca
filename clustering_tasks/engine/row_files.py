"""Rows of a file in any order, read without the interpreter."""

from typing import Any

from numba import types

from clustering_tasks.arrays import F32, I64
from clustering_tasks.engine.compile import kernel

_pread: Any = types.ExternalFunction(
    "pread", types.intp(types.int32, types.voidptr, types.uintp, types.int64)
)


@kernel
def read_rows(descriptor: int, start: int, positions: I64, rows: F32) -> int:
    """Read the rows at some positions, each with a `pread` of its own.

    Read one by one from Python, each would have to get the interpreter lock back from a thread
    that is busy with metadata, and that may keep it for 5 ms (`sys.getswitchinterval`).

    Args:
        descriptor: of the open file.
        start: where in it the rows begin, in bytes.
        positions: (m,) numbers of rows.
        rows: (m, d), written here.

    Returns:
        how many were read before one could not be: m if all could.
    """
    width = rows.shape[1] * 4
    for i in range(len(positions)):
        offset = start + positions[i] * width
        if _pread(descriptor, rows[i].ctypes, width, offset) != width:
            return i
    return len(positions)
