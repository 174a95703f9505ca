"""A private copy of a level's pair of files, noticed when it changes under our hands (IN-6)."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from upath import UPath

from clustering_tasks.errors import BadInputError, TransientError
from clustering_tasks.settings.levels import LEVELS, Level
from clustering_tasks.settings.run import InputSettings

log = structlog.get_logger()

_CHUNK = 1 << 18  # 4 MB are new memory from the system each time: 2.5 times the work
_PREFIX = "copy-"


@dataclass(frozen=True)
class Copy:
    """A level's two files, copied; nobody else writes to them."""

    index: Path
    metadata: Path
    digests: tuple[str, str]
    attempts: int


def find_pair(indices: UPath, level: Level) -> tuple[UPath, UPath]:
    """Locate a level's index and metadata in Stage 3's folder.

    Raises:
        BadInputError: naming what is missing and what is there instead.
    """
    if not indices.is_dir():
        raise BadInputError(f"Stage 3's folder {indices} does not exist: set STAGE4_INDICES")
    pair = indices / level.pair[0], indices / level.pair[1]
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
    with TemporaryDirectory(prefix=_PREFIX, dir=scratch) as folder:
        for attempt in range(1, settings.copy_attempts + 1):
            pair = find_pair(indices, level)
            before = [_fingerprint(path) for path in pair]
            targets = [Path(folder) / path.name for path in pair]
            with ThreadPoolExecutor(len(pair)) as pool:  # digests and files need no interpreter
                digests = list(pool.map(_copy, pair, targets))
            if before == [_fingerprint(path) for path in find_pair(indices, level)]:
                yield Copy(targets[0], targets[1], (digests[0], digests[1]), attempt)
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
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()
