"""Errors, and the exit codes by which a runner tells fatal from transient.

| code | class | retried | meaning |
|---|---|---|---|
| 0 | | | done |
| 1 | the interpreter, a library | yes | it ended the process, as OpenBLAS does without memory |
| 64 | `SettingsError` | no | a wrong value, an unknown key, an impossible pair |
| 65 | `BadInputError` | no | Stage 3's folder, or an earlier step's result, breaks its contract |
| 69 | `ResourcesError` | no | too little memory or disk, or a path that this user may not use |
| 70 | any other exception | yes | a defect of ours |
| 75 | `TransientError` | yes | may pass on a second try |
| 85 | SIGTERM | yes | what was found is kept, and the next try goes on from there |
| 137 | SIGKILL | yes | most often the kernel's, when memory runs out |

The numbers are those of `sysexits.h`; 85 is the one by which HTCondor's jobs say the same.
"""

import errno
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

INTERNAL_ERROR = 70
LIBRARY_ERROR = 1  # nothing of this package has ended the process
KILLED = 137  # 128 + SIGKILL
CHECKPOINTED = 85
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST, errno.ELOOP})
# what the dynamic loader says
_NOT_LOADED = re.compile("failed to map segment|annot allocate memory")
_SHORT_WRITE = re.compile(r"^\d+ requested and \d+ written$")  # numpy's, which has no errno


class Stage4Error(Exception):
    """A failure whose message says what happened, to what, and what to do."""

    exit_code: ClassVar[int]


class SettingsError(Stage4Error):
    """The caller's settings are refused; every problem is named in the message."""

    exit_code = 64


class BadInputError(Stage4Error):
    """The input breaks the contract; trying again cannot help."""

    exit_code = 65


class ResourcesError(Stage4Error):
    """The work would not fit into memory or disk, or this user may not read or write a path."""

    exit_code = 69


class TransientError(Stage4Error):
    """Something outside changed or went away; trying again may help."""

    exit_code = 75


FATAL_EXIT_CODES = frozenset(
    error.exit_code for error in (SettingsError, BadInputError, ResourcesError)
)


def of_memory(error: MemoryError | ImportError) -> ResourcesError | None:
    """Explain that a step was refused memory, as by `ulimit -v`; that does not pass by itself.

    Returns:
        None where a library could not be loaded for another reason.
    """
    if isinstance(error, ImportError) and not _NOT_LOADED.search(str(error)):
        return None
    return ResourcesError(
        f"the system refuses more memory ({error or 'no size is known'}): raise the limit of the "
        "process or of its container, use a larger machine, or cut the work into smaller parts "
        "(parts.max_count, parts.min_rows)"
    )


@contextmanager
def explaining(names: str) -> Iterator[None]:
    """Explain what the system refuses in a place, by what names that place: `STAGE4_OUTPUT`."""
    try:
        yield
    except OSError as error:
        if refused := of_the_system(error, names):
            raise refused from error
        raise


def make_folder(folder: Path, names: str) -> None:
    """Make a folder that will be written to.

    Args:
        folder: on this machine.
        names: what names it, for the message.

    Raises:
        ResourcesError: it cannot be made, for whatever reason.
    """
    try:
        with explaining(names):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourcesError(
            f"{folder} cannot be made by {_user()} ({error.strerror}): set another path ({names})"
        ) from error


def of_the_system(error: OSError, names: str | None = None) -> ResourcesError | None:
    """Explain what the system refuses for want of rights or space; None for anything else.

    Nothing of the kind passes by itself, so it is no transient error.

    Args:
        error: of the system.
        names: what names the place, where that is known.
    """
    paths = names or "STAGE4_WORKSPACE, STAGE4_INDICES, STAGE4_OUTPUT"
    path = error.filename if isinstance(error.filename, str) else None
    reason = str(error.strerror or (error.args[0] if error.args else ""))
    if error.errno in _REFUSED:
        return ResourcesError(
            f"{path or 'a file'} cannot be read or written by {_user()} ({error.strerror}): give "
            f"that user the right, or set another path ({paths})"
        )
    if error.errno in _NO_FOLDER and path and (file := _file_in_the_way(Path(path))):
        return ResourcesError(
            f"{path} cannot be made, for {file} is {_kind(file)}, not a folder: move it, or set "
            f"another path ({paths})"
        )
    if error.errno in _FULL or _SHORT_WRITE.search(reason):
        return ResourcesError(
            f"{path or 'a file'} could not be written by {_user()} ({reason}): free space, "
            f"raise the quota or the limit of a file's size, or set another path "
            f"({names or 'STAGE4_WORKSPACE'})"
        )
    return None


def _file_in_the_way(path: Path) -> Path | None:
    """Find what is no folder among a path's parents, or where a folder was to be."""
    first = next((each for each in (path, *path.parents) if os.path.lexists(each)), None)
    return None if first is None or first.is_dir() else first


def _kind(path: Path) -> str:
    return "a file" if path.exists() else "a link that leads nowhere"


def _user() -> str:
    number = os.geteuid()
    try:
        return f"user {pwd.getpwuid(number).pw_name} ({number}:{os.getegid()})"
    except KeyError:  # a container's user need not have a name
        return f"user {number}:{os.getegid()}"
