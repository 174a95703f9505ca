import io
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
import pytest
from upath import UPath

from clustering_tasks.workspace.storage import (
    is_local,
    read_exactly,
    read_json,
    to_json,
    write_atomically,
)


@pytest.mark.parametrize(
    ("uri", "local"),
    [("/a/b", True), ("file:///a/b", True), ("memory://a/b", False)],
)
def test_local_paths_are_told_from_others(uri: str, local: bool) -> None:
    assert is_local(UPath(uri)) is local


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_file_is_written_with_its_folder_and_leaves_nothing_beside(
    tmp_path: Path, prefix: str
) -> None:
    path = UPath(f"{prefix}{tmp_path}/a/b/c.json")
    write_atomically(path, b"1")
    write_atomically(path, b"2")
    assert path.read_bytes() == b"2"
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["c.json"]


def test_an_object_store_gets_the_whole_content() -> None:
    path = UPath("memory://test-storage/a/b.json")
    write_atomically(path, b"[1]")
    assert read_json(path) == [1]


def test_a_reader_sees_the_old_content_or_the_new(tmp_path: Path) -> None:
    path = UPath(tmp_path / "f")
    contents = {letter * 2_000_000 for letter in (b"a", b"b")}
    write_atomically(path, min(contents))
    done = threading.Event()

    def write() -> None:
        for _ in range(10):
            for content in contents:
                write_atomically(path, content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = {path.read_bytes() for _ in iter(done.is_set, True)}
    writer.join()
    assert seen
    assert seen <= contents


def test_a_write_that_fails_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = UPath(tmp_path / "f")
    write_atomically(path, b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_what_is_no_number_becomes_null() -> None:
    value = {
        "float": float("nan"),
        "infinite": [float("inf"), -float("inf")],
        "array": np.array([1.5, np.nan], dtype=np.float32),
        "scalar": np.float64("nan"),
    }
    assert orjson.loads(to_json(value)) == {
        "float": None,
        "infinite": [None, None],
        "array": [1.5, None],
        "scalar": None,
    }


def test_equal_values_give_equal_bytes() -> None:
    assert to_json({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'
    assert to_json(datetime(2026, 3, 1, tzinfo=UTC)) == b'"2026-03-01T00:00:00Z"'


class Dribble(io.BytesIO):
    """A file that gives three bytes at a time, as a network may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 3))


def test_short_reads_are_put_together() -> None:
    buffer = bytearray(10)
    read_exactly(Dribble(b"0123456789"), memoryview(buffer))
    assert buffer == b"0123456789"


def test_a_file_that_ends_too_early_is_noticed() -> None:
    with pytest.raises(EOFError, match="2 bytes are missing"):
        read_exactly(Dribble(b"01234567"), memoryview(bytearray(10)))
