"""Threads over tiles: each runs its own matrix products, alone on its core.

The threads of a linear algebra library and those of a compiled kernel, one after the other, would
spin against each other for the same cores; products of a tile are too small to be worth cutting up,
anyhow.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from threadpoolctl import threadpool_limits

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def thread_count() -> int:
    """Threads that this process may use: OMP_NUM_THREADS, else the processors it may run on."""
    return int(os.environ.get("OMP_NUM_THREADS") or 0) or len(os.sched_getaffinity(0))


@contextmanager
def tile_threads() -> Iterator[ThreadPoolExecutor]:
    """Open a pool of `thread_count` threads, within which linear algebra has one thread each."""
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(thread_count()) as pool:
        yield pool


def ahead(
    pool: ThreadPoolExecutor, read: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Yield `read` of every item, the next one being read while the caller works on this one."""
    items = iter(items)
    pending = [pool.submit(read, item) for item in islice(items, 1)]
    while pending:
        # one at a time: a file has one position
        now = pending.pop().result()
        pending += [pool.submit(read, item) for item in islice(items, 1)]
        yield now
