"""How kernels are compiled: to machine code, once, into a cache that outlives the process."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

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
    return cast("Callable[_Parameters, _Returned]", compiled)
