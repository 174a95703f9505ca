"""Where the local Airflow keeps its files, and the secrets made on its first start."""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.errors import LocalError

REPO = Path(__file__).resolve().parent.parent
# Postgres refuses to run as root, and its data folder must then be reachable by another user:
# a folder of its own keeps a private home private.
ROOT_USERS_FOLDER = Path("/var/tmp")  # noqa: S108 - the owner is checked before use

VARIABLE = "STAGE4_STATE"
DEFAULT = REPO / ".local"

# A socket's path has at most 103 bytes on macOS; supervisord first makes it under a longer name.
MAX_FOLDER_OF_SOCKETS = 75


@dataclass(frozen=True)
class Secrets:
    """Distinct random values; `repr` never shows them."""

    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    password: str
    stage5_token: str
    deletion_secret: str

    def __repr__(self) -> str:
        return "Secrets(***)"

    @classmethod
    def generate(cls) -> "Secrets":
        """New random values; the fernet key is 32 bytes, URL-safe base64."""
        return cls(
            fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            jwt_secret=secrets.token_urlsafe(48),
            api_secret_key=secrets.token_urlsafe(48),
            password=secrets.token_urlsafe(12),
            stage5_token=secrets.token_urlsafe(24),
            deletion_secret=secrets.token_urlsafe(32),
        )


@dataclass(frozen=True)
class State:
    """The folders below one state folder."""

    root: Path

    @classmethod
    def open(cls, root: Path | None = None) -> "State":
        """The state at `root`, else at STAGE4_STATE, else `.local` of the checkout; made if new.

        Raises:
            LocalError: no folder can be there.
        """
        chosen = root or Path(os.environ.get(VARIABLE) or DEFAULT)
        try:
            state = cls(chosen.expanduser().resolve())
            for folder in (state.root, state.run, state.logs, state.airflow_home):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (OSError, RuntimeError) as error:  # a home that nobody knows is the latter
            raise LocalError(f"{VARIABLE}={chosen} can be no folder of ours: {error}") from None
        return state

    def make(self, target: str) -> str:
        """The command for a target of the Makefile and this state, from any shell."""
        if self.root == DEFAULT.resolve():
            return f"make {target}"
        return f"{VARIABLE}={shlex.quote(str(self.root))} make {target}"

    @property
    def demo(self) -> "State":
        """The state of `make demo`: its own database, workspace, results, port and secrets."""
        return State.open(self.root / "demo")

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: configuration and task logs."""
        return self.root / "airflow"

    @property
    def logs(self) -> Path:
        """One log file for each background process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Pid files, the port, the lock: what describes the running processes."""
        return self.root / "run"

    @property
    def workspace(self) -> Path:
        """Default of STAGE4_WORKSPACE."""
        return self.root / "workspace"

    @property
    def output(self) -> Path:
        """Default of STAGE4_OUTPUT."""
        return self.root / "output"

    @property
    def sample(self) -> Path:
        """The sample Stage 3 folder; default of STAGE4_INDICES."""
        return self.root / "sample"

    @property
    def postgres(self) -> Path:
        """Folder of the embedded PostgreSQL: data, socket, log."""
        if os.geteuid() != 0:
            return self.root / "postgres"
        return ROOT_USERS_FOLDER / f"stage4-{self.digest}" / "postgres"

    @property
    def sockets(self) -> Path:
        """Folder of sockets: `run`, or one in /tmp when a path there would be too long."""
        if len(os.fsencode(self.run)) <= MAX_FOLDER_OF_SOCKETS:
            return self.run
        return Path("/tmp") / f"stage4-run-{self.digest}"  # noqa: S108 - the owner is checked

    @property
    def digest(self) -> str:
        """A short name for this state folder, for paths outside it."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:12]

    def secrets(self) -> Secrets:
        """The secrets of this state, made on first use in a file that only its owner reads."""
        path = self.root / "secrets.json"
        if not path.exists():
            write_private(path, asdict(Secrets.generate()))
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise LocalError(f"{path} is readable by others (mode {mode:o}): chmod 600 {path}")
        kept = json.loads(path.read_text())
        complete = asdict(Secrets.generate()) | kept
        if complete.keys() != kept.keys():  # made by a version that had fewer
            write_private(path, complete)
        return Secrets(**complete)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold off a second `up` or `down` of the same state; waits for the first to end."""
        with (self.run / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def private_folder(folder: Path) -> Path:
    """Make `folder` for this user alone; raises LocalError where another user was first."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise LocalError(f"{folder} belongs to somebody else: look at it, then remove it")
    return folder


def write_private(path: Path, content: Any) -> None:
    """Write `content` (text as it is, else JSON) to `path` with mode 0600, atomically."""
    text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    scratch.replace(path)
