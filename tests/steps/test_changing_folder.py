"""A folder that Stage 3 writes to while it is copied (IN-6)."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from upath import UPath

from clustering_tasks.errors import TransientError
from clustering_tasks.settings.groups.source import InputSettings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3 import copy as copying
from clustering_tasks.stage3.copy import copied_pair
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import DIMENSION, Stage3Folder, scattered
from tests.steps.conftest import Published

FAST = ("--set", f"input.dimension={DIMENSION}", "--set", "input.copy_wait_seconds=0.05")


@pytest.fixture
def slow_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a copy take as long as that of a large file: Stage 3 writes meanwhile, if it writes."""
    copy = copying._copy

    def slow(source: UPath, target: Path) -> str:
        size = source.stat().st_size
        digest = copy(source, target)
        until = time.monotonic() + 0.2
        while source.stat().st_size == size and time.monotonic() < until:
            time.sleep(0.001)
        return digest

    monkeypatch.setattr(copying, "_copy", slow)


@contextmanager
def appended_to(path: Path) -> Iterator[Callable[[], None]]:
    """Append to a file without pause, in another thread; what is yielded ends that."""
    stop = threading.Event()

    def append() -> None:
        with path.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"x")

    writer = threading.Thread(target=append)

    def rest() -> None:
        stop.set()
        writer.join()

    writer.start()
    try:
        yield rest
    finally:
        rest()


@pytest.mark.usefixtures("slow_copy")
@pytest.mark.parametrize("file", ["events.index", "events_metadata.json"])
def test_a_folder_that_never_rests_is_transient(
    cli: CommandLine, published: Published, file: str
) -> None:
    before = published.kept()
    with appended_to(published.stage3.path / file):
        outcome = cli(
            *("snapshot", "--level", "events", "--workspace", published.workspace),
            *("--indices", published.stage3.path, "--job", "changing", *FAST),
            *("--set", "input.copy_attempts=3"),
        )
    assert outcome.code == 75
    warnings = [entry for entry in outcome.logs if entry["level"] == "warning"]
    assert [entry["attempt"] for entry in warnings] == [1, 2, 3]
    assert "changed during each of 3 copies of events" in outcome.error
    assert "raise input.copy_attempts or input.copy_wait_seconds" in outcome.error
    assert published.kept() == before
    run = published.workspace / "events" / "runs" / "changing"
    # the context has not changed
    assert {path.name for path in run.iterdir()} == {"run.json", "context.json"}


def settings(attempts: int = 3, wait: float = 0) -> InputSettings:
    return InputSettings(copy_attempts=attempts, copy_wait_seconds=wait)


@pytest.mark.usefixtures("slow_copy")
def test_a_folder_that_comes_to_rest_is_copied_as_it_is_then(
    stage3: Stage3Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage 3 finishes its work during the pause after the second copy."""
    stage3.write("events", scattered(3))
    pauses: list[float] = []
    with appended_to(stage3.index("events")) as rest:

        def pause(seconds: float) -> None:
            if seconds == 7:
                pauses.append(seconds)
            if len(pauses) == 2:
                rest()

        monkeypatch.setattr(time, "sleep", pause)
        pair = copied_pair(UPath(stage3.path), LEVELS["events"], tmp_path, settings(5, wait=7))
        with pair as copy:
            assert copy.attempts == 3
            assert copy.index.read_bytes() == stage3.index("events").read_bytes()
            assert copy.metadata.read_bytes() == stage3.metadata("events").read_bytes()
    assert pauses == [7, 7]


def test_a_file_that_is_replaced_by_one_of_the_same_size_is_noticed(
    stage3: Stage3Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Stage 3 would replace it: written beside, then renamed, between the two files' copies."""
    stage3.write("events", scattered(3, seed=1))
    replacement = Stage3Folder(tmp_path / "new")
    replacement.write("events", scattered(3, seed=2))
    copied: list[str] = []
    copy_file = copying._copy

    def replace_before_metadata(source: UPath, target: Path) -> str:
        copied.append(source.name)
        if copied == ["events.index", "events_metadata.json"]:
            shutil.copy2(stage3.index("events"), tmp_path / "old")
            replacement.index("events").replace(stage3.index("events"))
        return copy_file(source, target)

    monkeypatch.setattr(copying, "_copy", replace_before_metadata)
    with copied_pair(UPath(stage3.path), LEVELS["events"], tmp_path, settings()) as copy:
        assert copy.attempts == 2
        assert copy.index.read_bytes() == stage3.index("events").read_bytes()
        assert copy.index.read_bytes() != (tmp_path / "old").read_bytes()


@pytest.mark.usefixtures("slow_copy")
def test_a_copy_does_not_outlive_its_use(stage3: Stage3Folder, tmp_path: Path) -> None:
    stage3.write("events", scattered(3))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with copied_pair(UPath(stage3.path), LEVELS["events"], scratch, settings()) as copy:
        assert copy.index.is_relative_to(scratch)
    assert list(scratch.iterdir()) == []
    with (
        appended_to(stage3.index("events")),
        pytest.raises(TransientError),
        copied_pair(UPath(stage3.path), LEVELS["events"], scratch, settings()),
    ):
        pass
    assert list(scratch.iterdir()) == []


def test_what_a_killed_try_left_is_removed(stage3: Stage3Folder, tmp_path: Path) -> None:
    stage3.write("events", scattered(3))
    left = tmp_path / "copy-of-a-killed-try"
    left.mkdir()
    (left / "events.index").write_bytes(b"x")
    (tmp_path / "run.json").write_text("{}")
    with copied_pair(UPath(stage3.path), LEVELS["events"], tmp_path, settings()):
        assert not left.exists()
    assert (tmp_path / "run.json").exists()


def test_the_copies_are_counted_in_the_metrics(workbench: Workbench) -> None:
    workbench.stage3.write("events", scattered(3))
    assert snapshot(workbench.start("events")).metrics["copies"] == 1


def test_a_folder_in_an_object_store_is_read(stage3: Stage3Folder, workbench: Workbench) -> None:
    stage3.write("events", scattered(3))
    store = UPath("memory://test-indices/stage3")
    store.mkdir(parents=True, exist_ok=True)
    for file in stage3.path.iterdir():
        (store / file.name).write_bytes(file.read_bytes())
    local = snapshot(workbench.start("events", "local"))
    stored = snapshot(replace(workbench.start("events", "store"), indices=str(store)))
    assert stored.key == local.key  # the same content is the same snapshot, wherever it lies
    assert stored.reused
