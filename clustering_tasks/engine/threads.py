"""Threads over tiles: each runs its own matrix products, alone on its core.

The threads of a linear algebra library and those of a compiled kernel, one after the other, would
spin against each other for the same cores; products of a tile are too small to be worth cutting up,
anyhow.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from clustering_tasks.errors import SettingsError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def thread_count() -> int:
    """Threads that this process may use: OMP_NUM_THREADS, else the processors it may run on.

    Raises:
        SettingsError: OMP_NUM_THREADS has another form than OpenMP's.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").strip()
    first = given.partition(",")[0].strip() or "0"  # the others are of nested regions
    if not (first.isascii() and first.isdigit() and len(first) < 5):
        raise SettingsError(f"OMP_NUM_THREADS={given!r}: set a number of threads, or unset it")
    return int(first) or len(os.sched_getaffinity(0))


@cache
def _libraries() -> ThreadpoolController:
    """Find the process's linear algebra, which numpy brought along; looking takes 3 ms."""
    return ThreadpoolController()


@contextmanager
def tile_threads() -> Iterator[ThreadPoolExecutor]:
    """Open a pool of `thread_count` threads, within which linear algebra has one thread each."""
    limited = _libraries().limit(limits=1, user_api="blas")
    with limited, ThreadPoolExecutor(thread_count()) as pool:
        yield pool


def in_turn(
    pool: ThreadPoolExecutor, work: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """Yield `work` of every item, in their order, a few of which are in memory at a time."""
    pending: deque[Future[_Result]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > thread_count():
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


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
