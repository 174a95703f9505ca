"""A private copy of a level's pair of files, noticed when it changes under our hands (IN-6)."""

import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import structlog
from upath import UPath

from clustering_tasks.errors import BadInputError, TransientError
from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.workspace.storage import is_local, naming, unfinished

log = structlog.get_logger()

_CHUNK = 1 << 18  # 4 MB are new memory from the system each time: 2.5 times the work
_PREFIX = "copy-"
_AGAIN = "Let Stage 3 write the pair again"
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


@dataclass(frozen=True)
class Copy:
    """A level's two files, copied; nobody else writes to them.

    Attributes:
        index: the copy of the index.
        metadata: the copy of the metadata.
        digests: SHA-256 of both.
        attempts: how often the folder was copied.
        targets: `index_target`, `metadata_target`: where a link led to; without those of no link.
    """

    index: Path
    metadata: Path
    digests: tuple[str, str]
    attempts: int
    targets: dict[str, str]


def find_pair(indices: UPath, level: Level) -> tuple[UPath, UPath]:
    """Locate a level's index and metadata in Stage 3's folder.

    Raises:
        BadInputError: naming what is missing and what is there instead.
    """
    if not indices.is_dir():
        raise BadInputError(
            f"Stage 3's folder {indices} does not exist: name the one that it writes, by --indices "
            "or, in Airflow, by STAGE4_INDICES"
        )
    pair = indices / level.pair[0], indices / level.pair[1]
    for path in pair:
        _refuse_irregular(path)
    missing = [path.name for path in pair if not path.is_file()]
    if not missing:
        return pair
    pickles = sorted(path.name for path in indices.glob(f"{level.name}*.p*kl*"))
    hint = f" Pickles are refused ({', '.join(pickles)}): write JSON." if pickles else ""
    there = [name for name in LEVELS if (indices / f"{name}.index").is_file()]
    raise BadInputError(
        f"{indices} has no {' and no '.join(missing)}; levels with an index there: "
        f"{', '.join(there) or 'none'}.{hint} Let Stage 3 write the pair"
    )


def has_pair(indices: UPath, level: Level) -> bool:
    """Tell whether Stage 3's folder has a level's index and metadata."""
    return all((indices / name).is_file() for name in level.pair)


@contextmanager
def copied_pair(
    indices: UPath, level: Level, scratch: Path | None, settings: InputSettings
) -> Iterator[Copy]:
    """Copy a level's pair of files; the copy is removed when the context ends.

    Args:
        indices: Stage 3's folder.
        level: which pair.
        scratch: a local folder with room for both files; None: the system's temporary folder.
        settings: how often to try while the folder changes.

    Raises:
        BadInputError: when a file is missing.
        TransientError: when the folder changed during every attempt.
    """
    for left in scratch.glob(f"{_PREFIX}*") if scratch else ():
        shutil.rmtree(left)  # of a try that was killed
    with TemporaryDirectory(prefix=_PREFIX, dir=scratch) as folder, unfinished(UPath(folder)):
        for attempt in range(1, settings.copy_attempts + 1):
            pair = find_pair(indices, level)
            before = [_fingerprint(path) for path in pair]
            targets = [Path(folder) / path.name for path in pair]
            with ThreadPoolExecutor(len(pair)) as pool:  # digests and files need no interpreter
                digests = list(pool.map(_copy, pair, targets))
            if before == [_fingerprint(path) for path in find_pair(indices, level)]:
                yield Copy(
                    targets[0], targets[1], (digests[0], digests[1]), attempt, _link_targets(pair)
                )
                return
            log.warning("folder changed while copied", indices=str(indices), attempt=attempt)
            time.sleep(settings.copy_wait_seconds)
    raise TransientError(
        f"{indices} changed during each of {settings.copy_attempts} copies of {level.name}: wait "
        f"for Stage 3 to finish, or raise input.copy_attempts or input.copy_wait_seconds"
    )


def _fingerprint(path: UPath) -> tuple[object, ...]:
    info = path.fs.info(path.path)
    fields = ("size", "mtime", "ino", "ETag", "etag", "LastModified", "generation")
    return tuple(str(info.get(field)) for field in fields)


def _copy(source: UPath, target: Path) -> str:
    digest = hashlib.sha256()
    with _open_regular(source) as reader, naming(target), target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()


def _refuse_irregular(path: UPath) -> None:
    """Refuse what stands in a file's place and is none: a folder, a pipe, a link to nothing.

    Links are followed, because Stage 3 may publish by them.
    """
    if not is_local(path):
        return
    file = Path(path.path)
    if file.is_symlink() and not file.exists():
        raise BadInputError(
            f"{path} is a link to {_link_target(file)}, where there is nothing (a container sees "
            f"only what is mounted into it). {_AGAIN}"
        )
    if file.exists() and not file.is_file():
        target = f", by a link, {file.resolve()}" if file.is_symlink() else ""
        raise BadInputError(f"{path} is{target} a {_kind(file.stat().st_mode)}, no file. {_AGAIN}")


def _open_regular(path: UPath) -> BinaryIO:
    """Open a file that may have been exchanged since it was looked at; a pipe is not waited for."""
    if not is_local(path):
        opened: BinaryIO = path.open("rb")
        return opened
    number = os.open(path.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise BadInputError(f"{path} is a {_kind(mode)}, no file. {_AGAIN}")
    return os.fdopen(number, "rb", buffering=_CHUNK)


def _kind(mode: int) -> str:
    return next((name for is_one, name in _KINDS if is_one(mode)), "special file")


def _link_targets(pair: Iterable[UPath]) -> dict[str, str]:
    """Name where the index and the metadata really are, of those that are reached by a link."""
    found = zip(("index_target", "metadata_target"), pair, strict=True)
    local = [(name, Path(path.path)) for name, path in found if is_local(path)]
    return {
        name: _link_target(file) for name, file in local if file.resolve() != Path(normpath(file))
    }


def _link_target(file: Path) -> str:
    try:
        return str(file.resolve())
    except (OSError, RuntimeError):  # Python before 3.13 raises the second for links in a circle
        return "itself"
