"""Paths that the user may not use, and disks that are full: named with the remedy, not retried."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clustering_tasks.errors import ResourcesError, explaining

# imported while root's library can be read
from clustering_tasks.steps.snapshot.snapshot import snapshot as _snapshot  # noqa: F401
from clustering_tasks.workspace import kernel_cache
from tests.conftest import CommandLine, Outcome
from tests.stage3_folder import DIMENSION, Stage3Folder, blobs

NOBODY = 65534
NO_PLACE = Path("/proc/stage4-no-such-place")  # where not even root makes a folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users can enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "workspace").mkdir(mode=0o777)
    (folder / "workspace").chmod(0o777)
    Stage3Folder(folder / "indices").write("events", blobs([6, 6]))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_a_plain_user() -> Iterator[None]:
    """Give root's rights up for a while: root may read and write everything."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def snapshot(cli: CommandLine, place: Path, workspace: str = "workspace") -> Outcome:
    with as_a_plain_user():
        return cli(
            *("snapshot", "--level", "events", "--indices", place / "indices"),
            *("--workspace", place / workspace, "--set", f"input.dimension={DIMENSION}"),
        )


@pytest.mark.parametrize("file", ["events.index", "events_metadata.json"])
def test_a_file_that_may_not_be_read_is_named_with_the_user(
    cli: CommandLine, place: Path, file: str
) -> None:
    (place / "indices" / file).chmod(0)
    outcome = snapshot(cli, place)
    assert outcome.code == 69
    assert f"{place}/indices/{file} cannot be read or written by user " in outcome.error
    assert f"({NOBODY}:" in outcome.error or os.geteuid() != 0
    assert "give that user the right" in outcome.error


def test_a_folder_that_may_not_be_entered_is_named(cli: CommandLine, place: Path) -> None:
    (place / "indices").chmod(0)
    outcome = snapshot(cli, place)
    assert outcome.code == 69
    assert f"{place}/indices" in outcome.error
    (place / "indices").chmod(0o755)


@pytest.mark.parametrize("below", ["", "/a/b"])
def test_a_file_in_the_place_of_the_workspace_is_named(
    cli: CommandLine, place: Path, below: str
) -> None:
    (place / "file").write_text("of somebody")
    outcome = snapshot(cli, place, f"file{below}")
    assert outcome.code == 69
    assert f"{place}/file is a file, not a folder" in outcome.error
    assert (place / "file").read_text() == "of somebody"


def test_a_workspace_that_may_not_be_written_is_named(cli: CommandLine, place: Path) -> None:
    (place / "workspace").chmod(0o555)
    for workspace in ("workspace", "workspace/new"):
        outcome = snapshot(cli, place, workspace)
        assert outcome.code == 69
        assert f"{place}/{workspace}" in outcome.error


@pytest.fixture
def nowhere(place: Path) -> dict[str, tuple[Path, str]]:
    """Places where nothing can be made, and what is said of each."""
    (place / "loop").symlink_to(place / "loop")
    (place / "broken").symlink_to(place / "gone" / "away")
    return {
        "proc": (NO_PLACE, "cannot be made by"),
        "loop": (place / "loop", "is a link that leads nowhere"),
        "in a loop": (place / "loop" / "a", "is a link that leads nowhere"),
        "broken": (place / "broken", "is a link that leads nowhere"),
    }


@pytest.mark.parametrize("kind", ["proc", "loop", "in a loop", "broken"])
@pytest.mark.parametrize("option", ["--workspace", "--output"])
def test_a_place_where_nothing_can_be_made_is_named(
    cli: CommandLine, place: Path, nowhere: dict[str, tuple[Path, str]], kind: str, option: str
) -> None:
    path, told = nowhere[kind]
    places = {"--workspace": place / "workspace", "--output": place / "output", option: path}
    outcome = cli(
        *("run", "--level", "events", "--indices", place / "indices"),
        *(argument for pair in places.items() for argument in pair),
        *("--set", f"input.dimension={DIMENSION}"),
    )
    assert outcome.code == 69
    assert str(path) in outcome.error
    assert told in outcome.error
    assert f"set another path ({option}, STAGE4_{option[2:].upper()})" in outcome.error


@pytest.mark.parametrize("option", ["--workspace", "--output", "--indices"])
@pytest.mark.parametrize("value", ["", "  ", "s4://foo"])
def test_what_is_no_place_is_refused(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"--workspace": tmp_path / "w", "--indices": tmp_path / "i", option: value}
    arguments = [argument for pair in places.items() for argument in pair]
    outcome = cli("run", "--level", "events", *arguments)
    assert outcome.code == 64
    assert f"{option} {value!r}: " in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_of_the_output_is_not_the_workspaces(tmp_path: Path) -> None:
    with pytest.raises(ResourcesError, match="free space") as refused, explaining("STAGE4_OUTPUT"):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
    assert "set another path (STAGE4_OUTPUT)" in str(refused.value)
    assert "STAGE4_WORKSPACE" not in str(refused.value)


@pytest.mark.parametrize("blocks", [0, 1, 2, 4])
def test_a_disk_that_fills_is_named_and_leaves_no_artefact(place: Path, blocks: int) -> None:
    workspace = place / "workspace"
    step = f"snapshot --level events --indices {place}/indices --workspace {workspace}"
    program = f"ulimit -f {blocks} && exec {sys.executable} -m clustering_tasks {step}"
    done = subprocess.run(
        ["bash", "-c", f"{program} --set input.dimension={DIMENSION}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    assert str(place) in done.stderr
    assert "free space, raise the quota" in done.stderr
    assert not list(workspace.rglob("result.json"))
    assert not list(workspace.rglob("*.npy"))


def test_a_short_write_of_numpy_is_a_full_disk(tmp_path: Path) -> None:
    program = (
        "import numpy as np, sys\n"
        "from clustering_tasks.errors import of_the_system\n"
        "from clustering_tasks.workspace.storage import naming\n"
        "try:\n"
        f"    with naming('x.npy'), open({str(tmp_path / 'x.npy')!r}, 'wb') as file:\n"
        "        np.save(file, np.zeros(100_000))\n"
        "except OSError as error:\n"
        "    print(of_the_system(error))\n"
    )
    command = f'ulimit -f 8 && exec {sys.executable} -c "$0"'
    done = subprocess.run(
        ["bash", "-c", command, program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("x.npy could not be written by ")
    assert "written): free space, raise the quota" in done.stdout


NO_MEMORY_FOR = {
    "an array": "module.copied_pair = lambda *_: bytearray(1 << 62)",
    "a library": """
def load(*_):
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1, most))
    try:
        import cmath  # nothing has loaded it before
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
module.copied_pair = load
""",
}


@pytest.mark.parametrize("what", NO_MEMORY_FOR)
def test_memory_that_is_refused_is_no_defect(place: Path, what: str) -> None:
    workspace = place / "workspace"
    step = f"snapshot --level events --indices {place}/indices --workspace {workspace}"
    program = (
        "import resource, sys; from clustering_tasks import cli\n"
        "import clustering_tasks.steps.snapshot.snapshot as module\n"
        f"{NO_MEMORY_FOR[what]}\n"
        f"sys.argv = ['clustering_tasks', *{step.split()!r}]; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 69, done.stderr
    assert "refuses more memory" in done.stderr


def test_kernels_have_a_place_where_neither_checkout_nor_home_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernel_cache, "_PACKAGE", NO_PLACE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(NO_PLACE))
    monkeypatch.delenv(kernel_cache.VARIABLE, raising=False)
    kernel_cache.keep_kernels()
    first = Path(os.environ[kernel_cache.VARIABLE])
    assert first.parent == tmp_path
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    monkeypatch.setenv(kernel_cache.VARIABLE, str(NO_PLACE))
    kernel_cache.keep_kernels()
    assert os.environ[kernel_cache.VARIABLE] == str(first)


def test_kernels_are_not_read_from_a_folder_that_others_can_write(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernel_cache, "_PACKAGE", NO_PLACE)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(NO_PLACE))
    monkeypatch.setenv(kernel_cache.VARIABLE, str(NO_PLACE))
    planted = tmp_path / f"stage4-kernels-{os.geteuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    kernel_cache.keep_kernels()
    chosen = Path(os.environ[kernel_cache.VARIABLE])
    assert chosen != planted
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o700


def test_a_cache_that_can_be_written_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(kernel_cache.VARIABLE, str(tmp_path))
    kernel_cache.keep_kernels()
    assert os.environ[kernel_cache.VARIABLE] == str(tmp_path)
