"""Processes for work in Python, which the interpreter's lock lets no two threads do at once.

Not `multiprocessing`'s: those run the caller's main module again, and stay when the caller is
killed. These end with the caller, whatever ended it: on Linux at once, elsewhere when they read
from a socket that closes with it.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.abc import MetaPathFinder
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Protocol, TypeVar

from clustering_tasks.engine.garbage import collect_seldom
from clustering_tasks.engine.threads import in_turn
from clustering_tasks.errors import TransientError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_PR_SET_PDEATHSIG = 1  # of Linux' prctl


class Each(Protocol):
    """Does work for every item."""

    def __call__(
        self, work: Callable[[_Item], _Result], items: Iterable[_Item], /
    ) -> Iterator[_Result]:
        """Yield `work` of every item, in their order."""


@dataclass(frozen=True)
class _Process:
    handle: subprocess.Popen[bytes]
    socket: Connection


@contextmanager
def work_processes(count: int) -> Iterator[Each]:
    """Open `count` processes that share items among them; with one, the caller works itself.

    Args:
        count: of processes, each of which imports what it needs: half a second of a processor.

    Yields:
        what does work: a function by its module's name, or a `partial` of one; what goes to the
        processes and comes back is pickled.
        It raises `TransientError` where a process was killed, `RuntimeError` where it failed: what
        happened stands on standard error.
    """
    if count < 2:
        yield map
        return
    free = SimpleQueue[_Process]()
    with ExitStack() as sockets, ThreadPoolExecutor(count) as pool, ExitStack() as handles:
        for _ in range(count):
            process = _start(sockets)
            handles.callback(_end, process.handle)  # before the threads end, which wait for it
            free.put(process)

        def each(work: Callable[[_Item], _Result], items: Iterable[_Item], /) -> Iterator[_Result]:
            return in_turn(pool, partial(_answer, free, work), items)

        yield each


def _start(sockets: ExitStack) -> _Process:
    ours, theirs = Pipe()
    sockets.enter_context(ours)
    with theirs:
        handle = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            # the caller's path, which may have been changed after its start
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
        )
    return _Process(handle, ours)


def _end(handle: "subprocess.Popen[bytes]") -> None:
    handle.kill()  # it has nothing to put in order
    handle.wait()


def _answer(
    free: "SimpleQueue[_Process]", work: Callable[[_Item], _Result], item: _Item
) -> _Result:
    process = free.get()
    try:
        process.socket.send((work, item))
        answer: _Result = process.socket.recv()
    except (EOFError, ConnectionError) as error:
        raise _failure(process.handle.wait()) from error
    finally:
        free.put(process)
    return answer


def _failure(code: int) -> Exception:
    if code < 0:
        return TransientError(
            f"a process that worked for this one was ended by {signal.Signals(-code).name}; if "
            f"memory is what it wanted, raise its limit, or set OMP_NUM_THREADS=1 to do without"
        )
    return RuntimeError(f"a process that worked for this one failed with code {code}: see its log")


def _end_with(caller: int) -> None:
    """End when the caller does, in the middle of work, too.

    Linux kills this process when the caller's thread that started it ends: the one that is in
    `work_processes` until this process is ended anyway.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != caller:  # it has ended before
        sys.exit()


def _serve(socket: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller is told, too, and ends this process
    with suppress(EOFError, ConnectionError):  # the caller has ended
        while True:
            work, item = socket.recv()
            socket.send(work(item))


class _WithoutPandas(MetaPathFinder):
    """Lets no pandas be found.

    pyarrow imports it, where it is there, with the first array that it makes of Python's values: a
    fifth of a second and 60 MB of each process.
    """

    def find_spec(self, fullname: str, *_: object) -> None:
        """Refuse it; whatever else is wanted is left to others."""
        if fullname == "pandas":
            raise ModuleNotFoundError("processes that work for others do without", name=fullname)


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutPandas())
    collect_seldom()
    _end_with(int(sys.argv[2]))
    _serve(Connection(int(sys.argv[1])))
