"""All processes of a stack, found again by session and marker, and their end."""

import contextlib
import os
import signal
import time
from xmlrpc.client import Error

import psutil

from local.configuration import MARKER
from local.errors import LocalError
from local.state import State
from local.supervisor import Supervisor

TERM_SECONDS, KILL_SECONDS, REPEAT_SECONDS = 10, 5, 4


def members(state: State) -> list[psutil.Process]:
    """Every process of the stack, also tasks, their steps and orphans of an earlier crash.

    Airflow's processes rename themselves, which may overwrite the marker: they are found by their
    session. What a task starts in a session of its own is found by the marker.
    """
    session = Supervisor(state).session()
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own and belongs(process, session, str(state.root))
    ]


def belongs(process: psutil.Process, session: int | None, marker: str) -> bool:
    """Whether `process` is in the session or carries the marker."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if os.getsid(process.pid) == session:
            return True
        return bool(process.environ().get(MARKER) == marker)
    except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
        return False


def stop(state: State) -> None:
    """Stop everything: the scheduler and its tasks with time to end, the rest, then by force."""
    supervisor = Supervisor(state)
    process = supervisor.process()
    if process is not None:
        # A supervisor that does not answer ends with the rest.
        with contextlib.suppress(LocalError, OSError, Error):
            supervisor.stop("scheduler")
        signal_one(process, signal.SIGTERM)  # from now on it starts nothing again
    end(state, signal.SIGTERM, TERM_SECONDS)
    end(state, signal.SIGKILL, KILL_SECONDS)
    left = members(state)
    if left:
        raise LocalError(f"Still running after SIGKILL: {', '.join(map(str, left))}")
    supervisor.pid_file.unlink(missing_ok=True)


def end(state: State, number: signal.Signals, seconds: float) -> None:
    """Signal every member, also those born meanwhile, and wait until all have ended.

    Signals are repeated: Airflow's handlers raise SystemExit, and Python drops that when it hits a
    destructor or an after-fork hook (seen with the dag-processor, which then ran on).
    """
    deadline = time.monotonic() + seconds
    due: dict[psutil.Process, float] = {}
    while (found := members(state)) and (now := time.monotonic()) < deadline:
        for process in found:
            if due.get(process, 0.0) <= now:
                signal_one(process, number)
                due[process] = now + REPEAT_SECONDS
        psutil.wait_procs(found, timeout=0.3)


def signal_one(process: psutil.Process, number: signal.Signals) -> None:
    """Send `number` to `process` if it still exists."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
