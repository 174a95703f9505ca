"""A place for compiled kernels that can be written, where neither checkout nor home can.

Numba keeps machine code beside the source, else in the user's cache, and without either it fails.
"""

import os
import stat
import tempfile
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_PACKAGE = Path(__file__).parents[1]
_ROOMS = ("engine", "stage3")  # of the kernels


def keep_kernels() -> None:
    """Set the cache's folder for this process, before numba is imported, if numba finds none."""
    given = os.environ.get(VARIABLE)
    places = [_PACKAGE / room / "__pycache__" for room in _ROOMS]
    if (given and _is_writable(Path(given))) or all(map(_is_writable, places)):
        return
    if given or not _is_writable(_of_the_user()):
        os.environ[VARIABLE] = str(_of_this_machine())


def _of_the_user() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba"


def _of_this_machine() -> Path:
    """A temporary folder that nobody else can write: code is read from it."""
    folder = Path(tempfile.gettempdir()) / f"stage4-kernels-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if is_own and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return folder
    return Path(tempfile.mkdtemp(prefix="stage4-kernels-"))


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
