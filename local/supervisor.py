"""Airflow's four processes under `supervisord`, which starts again those that die."""

import configparser
import io
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from xmlrpc.client import ServerProxy

import psutil
from supervisor.states import STOPPED_STATES, ProcessStates
from supervisor.xmlrpc import SupervisorTransport

from local.errors import LocalError
from local.state import State, private_folder, write_private

# Log servers are left out: they listen on all interfaces, and the logs are files of this machine.
COMMANDS = {
    "api-server": ("api-server",),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
}
# The scheduler waits for running tasks when it is stopped; they get this long.
STOP_SECONDS = {"scheduler": 15}
ANSWER_SECONDS = 20
LOG_TAIL = 30
# What has only exited is started again without an order.
RESTING = (ProcessStates.STOPPED, ProcessStates.FATAL)
PROGRAM = {
    "autostart": "false",  # the stack starts them in order
    "autorestart": "true",
    # A process that ends sooner has not started: it is tried again, after longer and longer pauses.
    "startsecs": "10",
    "startretries": "5",
    "redirect_stderr": "true",
    "stdout_logfile": "NONE",
}


@dataclass(frozen=True)
class Supervisor:
    """The supervisor of one state's Airflow."""

    state: State

    @property
    def log(self) -> Path:
        """What the supervisor did: starts, ends, restarts."""
        return self.state.logs / "supervisor.log"

    @property
    def output(self) -> Path:
        """What supervisord prints: why it did not start."""
        return self.state.logs / "supervisor.out"

    @property
    def pid_file(self) -> Path:
        """Pid and start time: together they name a process for good."""
        return self.state.run / "supervisor.json"

    @property
    def configuration(self) -> Path:
        """The file that supervisord reads at its start."""
        return self.state.run / "supervisor.conf"

    @property
    def socket(self) -> Path:
        """Where supervisord takes orders."""
        return self.state.sockets / "supervisor.sock"

    def start(self, environment: Mapping[str, str], folder: Path, claim: IO[str]) -> None:
        """Start supervisord, without any service, as leader of its own session.

        It works in `folder`, and holds the lock of the open file `claim` until it ends: as its
        standard input, the one file that it neither closes nor gives to its services.
        """
        private_folder(self.state.sockets)
        write_private(self.configuration, self._configuration())
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", self.configuration],
                stdin=claim,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
                env=dict(environment),
            )
        started = psutil.Process(process.pid).create_time()
        write_private(self.pid_file, {"pid": process.pid, "started": started})
        self._wait_for_answer()

    def process(self) -> psutil.Process | None:
        """The running supervisor, None when it has ended or was never started."""
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
        """The session that supervisord led; None if its number now belongs to another process.

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

    def launch(self, *names: str) -> None:
        """Start the named services that do not run; the others are left alone."""
        states = self.states()
        for name in names:
            if states[name] in RESTING:
                self._orders().startProcess(name, False)

    def stop(self, name: str) -> None:
        """Stop a service, and wait for its end."""
        if self.states()[name] not in STOPPED_STATES:
            self._orders().stopProcess(name)

    def states(self) -> dict[str, int]:
        """The state of each service, a number of `supervisor.states.ProcessStates`."""
        return {name: each["state"] for name, each in self._services().items()}

    def service(self, name: str) -> psutil.Process | None:
        """The process of a service; None while it does not run."""
        pid = self._services()[name]["pid"]
        try:
            return psutil.Process(pid) if pid else None
        except psutil.NoSuchProcess:
            return None

    def service_log(self, name: str) -> Path:
        """Standard output and error of a service, of all its starts."""
        return self.state.logs / f"{name}.log"

    def all_run(self) -> bool:
        """Whether supervisord and all its services run."""
        up = (ProcessStates.STARTING, ProcessStates.RUNNING)
        return self.process() is not None and all(each in up for each in self.states().values())

    def check(self, *, first_start: bool = False) -> None:
        """Raise LocalError if supervisord has ended, or has given a service up.

        At the `first_start`, one failed attempt is enough: nothing that passes is the cause.
        """
        if self.process() is None:
            raise LocalError(
                f"Airflow's supervisor has ended: run `{self.state.make('up')}`. "
                f"Its log: {self.log}"
            )
        lost = {ProcessStates.FATAL} | ({ProcessStates.BACKOFF} if first_start else set())
        for name, state in self.states().items():
            if state in lost:
                raise LocalError(
                    f"Airflow's {name} has ended. The last lines of {self.service_log(name)}:\n"
                    f"{tail(self.service_log(name))}"
                )

    def _services(self) -> dict[str, dict[str, Any]]:
        try:
            return {each["name"]: each for each in self._orders().getAllProcessInfo()}
        except OSError as error:
            raise LocalError(
                f"Airflow's supervisor does not answer at {self.socket} ({error}): "
                f"run `{self.state.make('down')}`, then `{self.state.make('up')}`. "
                f"Its log: {self.log}"
            ) from error

    def _orders(self) -> Any:
        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        return ServerProxy("http://localhost", transport=transport).supervisor

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            if self.process() is None:
                raise LocalError(f"Airflow's supervisor has ended: {tail(self.output)}")
            try:
                self.states()
            except LocalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _configuration(self) -> str:
        parser = configparser.RawConfigParser()
        parser.read_dict(self._sections())
        text = io.StringIO()
        parser.write(text)
        return text.getvalue().replace("%", "%%")

    def _sections(self) -> dict[str, dict[str, str]]:
        factory = "supervisor.rpcinterface:make_main_rpcinterface"
        return {
            "supervisord": {
                "silent": "true",  # all is in the log
                "logfile": str(self.log),
                "logfile_maxbytes": "1MB",
                "logfile_backups": "1",
                "pidfile": str(self.state.run / "supervisord.pid"),
                "childlogdir": str(self.state.logs),
            },
            "unix_http_server": {"file": str(self.socket), "chmod": "0700"},
            "rpcinterface:supervisor": {"supervisor.rpcinterface_factory": factory},
        } | {f"program:{name}": self._program(name) for name in COMMANDS}

    def _program(self, name: str) -> dict[str, str]:
        # Into the file, not through a pipe of supervisord: tasks write there, too, and outlive a
        # scheduler that was killed.
        command = shlex.join((sys.executable, "-m", "airflow", *COMMANDS[name]))
        logged = f"exec {command} >>{shlex.quote(str(self.service_log(name)))} 2>&1"
        stop_seconds = str(STOP_SECONDS.get(name, 10))
        return PROGRAM | {
            "command": shlex.join(("/bin/sh", "-c", logged)),
            "stopwaitsecs": stop_seconds,
        }


def tail(log: Path, begin: int = 0) -> str:
    """The last lines of a log, or of what stands in it from a byte on."""
    try:
        lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(lines[-LOG_TAIL:])
