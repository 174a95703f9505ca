"""Links in Stage 3's folder: followed to regular files, named in the report; they leak nothing."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from clustering_tasks.errors import BadInputError
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import Workbench
from tests.stage3_folder import blobs

SECRET = "AKIA-hunter2"
FILES = ("events.index", "events_metadata.json")


@pytest.fixture
def folder(workbench: Workbench) -> Path:
    workbench.stage3.write("events", blobs([6, 6]))
    return workbench.stage3.path


def linked(folder: Path, name: str, target: Path) -> None:
    (folder / name).unlink()
    (folder / name).symlink_to(target)


def test_stage_3_may_publish_by_links_and_the_report_names_their_targets(
    workbench: Workbench, folder: Path
) -> None:
    plain = snapshot(workbench.start("events", "plain"))
    assert not {"index_target", "metadata_target"} & plain.metrics.keys()
    published = folder.parent / "published-7"
    published.mkdir()
    for name in FILES:
        shutil.move(folder / name, published / name)
        (folder / name).symlink_to(f"../published-7/{name}")
    done = workbench.perform("events", "linked", hdbscan={"min_cluster_size": 3})
    report = json.loads(Path(done["report"]).read_text())["input"]
    assert report["index_target"] == str(published / FILES[0])
    assert report["metadata_target"] == str(published / FILES[1])
    assert snapshot(workbench.start("events", "again")).key == plain.key


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "content", [f"{SECRET}\n", f'{{"aws": {{"{SECRET}": "{SECRET}"}}}}', f'{{"{SECRET}": NaN}}']
)
def test_a_link_to_a_file_that_is_not_ours_tells_nothing_of_it(
    workbench: Workbench, folder: Path, name: str, content: str
) -> None:
    secret = folder.parent / "credentials"
    secret.write_text(content)
    linked(folder, name, secret)
    with pytest.raises(BadInputError) as refused:
        snapshot(workbench.start("events"))
    told = str(refused.value) + "".join(
        path.read_text() for path in Path(workbench.workspace.path).rglob("*.json")
    )
    assert name in str(refused.value)
    for at in range(len(SECRET) - 3):
        assert SECRET[at : at + 4] not in told


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    os.chdir(path.parent)  # a socket's path may have 107 bytes
    socket.socket(socket.AF_UNIX).bind(path.name)


@pytest.mark.parametrize("by_link", [False, True])
@pytest.mark.parametrize(
    ("make", "named"),
    [(fifo, "a pipe"), (Path.mkdir, "a folder"), (unix_socket, "a socket")],
)
def test_what_is_no_file_is_refused_and_not_waited_for(
    workbench: Workbench,
    folder: Path,
    make: Callable[[Path], object],
    named: str,
    by_link: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    place = folder.parent / "elsewhere" if by_link else folder / FILES[1]
    (folder / FILES[1]).unlink()
    make(place)
    if by_link:
        (folder / FILES[1]).symlink_to(place)
    with pytest.raises(BadInputError, match=rf"events_metadata\.json is.* {named}, no file"):
        snapshot(workbench.start("events"))


def test_a_device_behind_a_link_is_refused(workbench: Workbench, folder: Path) -> None:
    linked(folder, FILES[0], Path("/dev/zero"))
    with pytest.raises(BadInputError, match=r"is, by a link, /dev/zero a device, no file"):
        snapshot(workbench.start("events"))


@pytest.mark.parametrize("target", ["nowhere", FILES[1]])
def test_a_link_that_leads_nowhere_is_named_with_its_target(
    workbench: Workbench, folder: Path, target: str
) -> None:
    linked(folder, FILES[1], Path(target))
    with pytest.raises(BadInputError, match=r"is a link to .*, where there is nothing"):
        snapshot(workbench.start("events"))
