"""A small level, clustered and published, that tests copy and then break."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from upath import UPath

from tests.conftest import Workbench
from tests.stage3_folder import Stage3Folder, blobs


@dataclass(frozen=True)
class Published:
    """A workspace whose level `events` is published, and the folder that it was made from."""

    workbench: Workbench

    @property
    def stage3(self) -> Stage3Folder:
        return self.workbench.stage3

    @property
    def workspace(self) -> Path:
        return Path(self.workbench.workspace.path)

    def kept(self) -> dict[str, bytes]:
        """Every file with its content, but for the records of runs."""
        return {
            str(path.relative_to(self.workspace)): path.read_bytes()
            for path in self.workspace.rglob("*")
            if path.is_file() and "runs" not in path.relative_to(self.workspace).parts
        }


@pytest.fixture(scope="session")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    stage3 = Stage3Folder(folder / "indices")
    for level in ("events", "documents"):
        stage3.write(level, blobs([6, 6], noise=3))
    done = Workbench(stage3, UPath(folder / "workspace")).perform("events", "good")
    assert done["published"]
    return folder


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Published:
    shutil.copytree(published_once, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "workspace").rglob("*.json"):  # results name their files in full
        path.write_text(path.read_text().replace(str(published_once), str(tmp_path)))
    stage3 = Stage3Folder(tmp_path / "indices")
    return Published(Workbench(stage3, UPath(tmp_path / "workspace")))
