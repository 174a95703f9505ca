"""Reading and writing through fsspec URIs: what UPath, numpy and pyarrow leave to their caller."""

import io
import os
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from upath import UPath


def is_local(path: UPath) -> bool:
    """Tell whether a path is on a file system of this machine."""
    return path.protocol in ("", "file", "local")


def write_atomically(path: UPath, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    An object store's put is atomic by itself; a local file is written beside its place and renamed.
    """
    if not is_local(path):
        path.write_bytes(data)
        return
    target = Path(path.path)  # a `file://` UPath cannot be renamed
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def to_json(value: Any) -> bytes:
    """Serialise to JSON; NaN and infinities become null, keys are sorted."""
    return orjson.dumps(
        value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z
    )


def read_json(path: UPath) -> Any:
    """Read a JSON file that this package wrote."""
    return orjson.loads(path.read_bytes())


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
