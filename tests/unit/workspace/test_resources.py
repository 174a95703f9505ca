from pathlib import Path

import psutil
import pytest
from upath import UPath

from clustering_tasks.errors import ResourcesError
from clustering_tasks.workspace import resources
from clustering_tasks.workspace.resources import available_disk, available_memory, check_fits


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    files = tmp_path / "limit", tmp_path / "usage"
    monkeypatch.setattr(resources, "_CGROUP_FILES", (files,))
    return files


def test_without_a_container_the_machines_memory_counts(cgroup: tuple[Path, Path]) -> None:
    free = psutil.virtual_memory().available
    assert available_memory() == pytest.approx(free, rel=0.2)


def test_a_containers_limit_counts_less_what_is_used(cgroup: tuple[Path, Path]) -> None:
    limit, usage = cgroup
    limit.write_text("300000000\n")
    usage.write_text("100000000\n")
    assert available_memory() == 200_000_000
    usage.write_text("400000000\n")
    assert available_memory() == 0


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_container_without_a_limit_has_the_machines_memory(
    cgroup: tuple[Path, Path], limit: str
) -> None:
    cgroup[0].write_text(limit)
    cgroup[1].write_text("1000")
    assert available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_disk_is_known_for_local_folders_only(tmp_path: Path) -> None:
    free = available_disk(UPath(tmp_path))
    assert free is not None
    assert free > 0
    assert available_disk(UPath("memory://somewhere")) is None


def test_what_does_not_fit_is_refused_with_both_figures_and_advice() -> None:
    with pytest.raises(
        ResourcesError,
        match=r"^too little disk: about 3\.0 GB needed, 2\.0 GB available\. Free space$",
    ):
        check_fits(3_000_000_000, 2_000_000_000, "disk", "Free space")


@pytest.mark.parametrize("have", [3, 4, None])
def test_what_fits_or_is_unknown_passes(have: int | None) -> None:
    check_fits(3, have, "memory", "")
