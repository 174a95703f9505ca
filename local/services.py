"""Background processes that outlive their starter, found again by pid file, session and marker."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.configuration import MARKER
from local.errors import LocalError
from local.state import State, write_private

# Log servers are left out: they listen on all interfaces, and the logs are files of this machine.
COMMANDS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
GRACE_SECONDS, TERM_SECONDS, KILL_SECONDS, REPEAT_SECONDS = 15, 10, 5, 4
LOG_TAIL = 30


@dataclass(frozen=True)
class Service:
    """One of the processes of Airflow."""

    name: str
    state: State

    @property
    def log(self) -> Path:
        """Standard output and error of the process, of all its starts."""
        return self.state.logs / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """Pid and start time: together they name a process for good."""
        return self.state.run / f"{self.name}.json"

    def start(self, environment: Mapping[str, str], folder: Path) -> None:
        """Start the process in `folder` as leader of its own session, without a terminal."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *COMMANDS[self.name]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
                env=dict(environment),
            )
        started = psutil.Process(process.pid).create_time()
        write_private(self.pid_file, {"pid": process.pid, "started": started})

    def process(self) -> psutil.Process | None:
        """The running process, None when it has ended or was never started."""
        recorded = self.recorded()
        if recorded is None:
            return None
        pid, started = recorded
        try:
            process = psutil.Process(pid)
            same = process.create_time() == started
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def recorded(self) -> tuple[int, float] | None:
        """Pid and start time of the last start."""
        try:
            content = json.loads(self.pid_file.read_text())
        except FileNotFoundError:
            return None
        return int(content["pid"]), float(content["started"])

    def session(self) -> int | None:
        """The session that the process led; None if its number now belongs to another process.

        The kernel gives no number away while a session bears it, so what is left of the session of
        a dead leader can still be told from strangers.
        """
        recorded = self.recorded()
        if recorded is None:
            return None
        pid, started = recorded
        try:
            return pid if psutil.Process(pid).create_time() == started else None
        except psutil.NoSuchProcess:
            return pid

    def log_tail(self) -> str:
        """The last lines of the log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(lines[-LOG_TAIL:])


def services(state: State) -> list[Service]:
    """The four processes of Airflow, in the order of their start."""
    return [Service(name, state) for name in COMMANDS]


def running(state: State) -> list[Service]:
    """Those that run now."""
    return [service for service in services(state) if service.process() is not None]


def check_alive(state: State) -> None:
    """Raise LocalError with the log's end if one of the four has ended."""
    for service in services(state):
        if service.process() is None:
            raise LocalError(
                f"Airflow's {service.name} has ended. The last lines of {service.log}:\n"
                f"{service.log_tail()}"
            )


def members(state: State) -> list[psutil.Process]:
    """Every process of the stack, also tasks, their steps and orphans of an earlier crash.

    Airflow's processes rename themselves, which may overwrite the marker: they are found by their
    session. What a task starts in a session of its own is found by the marker.
    """
    sessions = {session for service in services(state) if (session := service.session())}
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own and belongs(process, sessions, str(state.root))
    ]


def belongs(process: psutil.Process, sessions: set[int], marker: str) -> bool:
    """Whether `process` is in one of the sessions or carries the marker."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if os.getsid(process.pid) in sessions:
            return True
        return bool(process.environ().get(MARKER) == marker)
    except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
        return False


def stop(state: State) -> None:
    """Stop everything: the scheduler and its tasks with time to end, the rest, then by force."""
    scheduler = Service("scheduler", state).process()
    if scheduler is not None:
        signal_one(scheduler, signal.SIGTERM)
        psutil.wait_procs([scheduler], timeout=GRACE_SECONDS)
    end(state, signal.SIGTERM, TERM_SECONDS)
    end(state, signal.SIGKILL, KILL_SECONDS)
    left = members(state)
    if left:
        raise LocalError(f"Still running after SIGKILL: {', '.join(map(str, left))}")
    for service in services(state):
        service.pid_file.unlink(missing_ok=True)


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
