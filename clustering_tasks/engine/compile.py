"""How kernels are compiled: to machine code, once, into a cache that outlives the process."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

from clustering_tasks.workspace.source_version import source_version

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def kernel(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Compile a function to machine code without the interpreter lock.

    The cache (`NUMBA_CACHE_DIR`) is filled by `python -m clustering_tasks warm-up` when an
    environment or an image is built: compiling takes 10 s and more, loading some milliseconds.

    Without fast-math: the bits do not depend on the processor that the code was compiled for, so an
    image (`NUMBA_CPU_NAME=generic`) and a process find the same.
    """
    compiled = numba.njit(cache=True, nogil=True)(function)
    # Numba looks at the file of the function alone: without this, what a change elsewhere leaves
    # behind would be the old machine code of a kernel that this one calls.
    module = function.__module__.partition(".")[2]
    compiled._cache._cache_file._source_stamp = source_version(module)  # noqa: SLF001
    return cast("Callable[_Parameters, _Returned]", compiled)
