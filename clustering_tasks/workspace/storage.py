"""Reading and writing through fsspec URIs: what UPath, numpy and pyarrow leave to their caller."""

import io
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson
from upath import UPath

from clustering_tasks.errors import BadInputError, make_folder

_COPY_CHUNK = 1 << 20
_DRAFT = re.compile(r"\..+\.[0-9a-f]{32}")
_AnyPath = TypeVar("_AnyPath", Path, UPath)
_unfinished: list[UPath] = []


def is_local(path: UPath) -> bool:
    """Tell whether a path is on a file system of this machine."""
    return path.protocol in ("", "file", "local")


def make_local_folder(folder: UPath, names: str) -> None:
    """Make a folder that will be written to; an object store needs none.

    Args:
        folder: of this machine, or of a store.
        names: what names it, for the message.

    Raises:
        ResourcesError: it cannot be made.
    """
    if is_local(folder):
        make_folder(Path(folder.path), names)


def write_atomically(path: UPath, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    An object store's put is atomic by itself; a local file is written beside its place and renamed.
    """
    if not is_local(path):
        path.write_bytes(data)
        return
    target = Path(path.path)  # a `file://` UPath cannot be renamed
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _draft_of(target)
    try:
        with naming(path), beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def is_draft(name: str) -> bool:
    """Tell by its name whether a file was being written, to be renamed when it is whole.

    Whoever is ended by SIGKILL leaves it, and nobody writes to that name again.
    """
    return _DRAFT.fullmatch(name) is not None


@contextmanager
def naming(path: UPath | Path) -> Iterator[None]:
    """Give an error of the system that names no file, as one of a full disk, this path's name."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def unfinished(folder: UPath) -> Iterator[None]:
    """Let a signal that ends this process within the block take the folder along."""
    _unfinished.append(folder)
    try:
        yield
    finally:
        _unfinished.remove(folder)


def remove_unfinished() -> None:
    """Remove what this process is writing, before a signal ends it."""
    for folder in _unfinished:
        if folder.exists():  # an object store has no folder without a file
            folder.fs.rm(folder.path, recursive=True)


def to_json(value: Any) -> bytes:
    """Serialise to JSON; NaN and infinities become null, keys are sorted."""
    return orjson.dumps(
        value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z
    )


def read_json(path: UPath) -> Any:
    """Read a JSON file that this package wrote."""
    return orjson.loads(path.read_bytes())


def recorded_time(text: str) -> datetime:
    """Read a moment of such a file, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def read_exactly(file: BinaryIO, buffer: memoryview) -> None:
    """Fill a buffer from a file, however short its reads are; a local one without a copy between.

    Raises:
        EOFError: when the file ends before.
    """
    filled = 0
    while filled < len(buffer):
        read = _read_into(file, buffer[filled:])
        if not read:
            raise EOFError(f"{len(buffer) - filled} bytes are missing at the end")
        filled += read


def _read_into(file: BinaryIO, buffer: memoryview) -> int:
    if isinstance(file, io.BufferedReader):
        return file.readinto(buffer)
    # fsspec's buffered files take no memoryview in readinto; a read of what is left does
    chunk = file.read(min(len(buffer), 1 << 24))
    buffer[: len(chunk)] = chunk
    return len(chunk)


def read_path(uri: str) -> UPath:
    """Return a URI's path; a local one as a path that can be renamed, which `file://` cannot."""
    path = UPath(uri)
    return UPath(path.path) if is_local(path) else path


def copy_whole(source: UPath, target: UPath) -> None:
    """Copy a file so that a reader of the target sees the old content or the new, never a part.

    Raises:
        BadInputError: when the source does not exist.
    """
    if not source.exists():
        raise BadInputError(f"{source} is gone: perform (or clear) `label` again")
    if is_local(target):
        _replace_local(source, target)
        return
    # From a local file, because a stream into an object store that breaks off in the middle is
    # closed, and closing it publishes the part that was written.
    with tempfile.TemporaryDirectory() as folder:
        local = source
        if not is_local(source):
            local = UPath(folder) / "copy"
            source.fs.get_file(source.path, local.path)
        target.fs.put_file(local.path, target.path)


def _replace_local(source: UPath, target: UPath) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = _draft_of(target)
    try:
        with naming(target), source.open("rb") as reader, beside.open("wb") as writer:
            shutil.copyfileobj(reader, writer, _COPY_CHUNK)
            writer.flush()
            os.fsync(writer.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _draft_of(target: _AnyPath) -> _AnyPath:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}")
