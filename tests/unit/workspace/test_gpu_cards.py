"""nvidia-smi's lines, and the cards that CUDA shows to a process."""

from pathlib import Path

import pytest

from clustering_tasks.workspace import gpu_cards
from clustering_tasks.workspace.gpu_cards import (
    has_driver,
    parse_cards,
    read_cards,
    visible_cards,
)

LINES = """GPU-a, NVIDIA H200, 143771, 1024, 37
GPU-b, Tesla, 10, 5, [N/A]
GPU-c, sliced, 81920, [Insufficient Permissions], [N/A]
"""


def test_lines() -> None:
    first, second = parse_cards(LINES)
    assert (first.uuid, first.name, first.utilisation_percent) == ("GPU-a", "NVIDIA H200", 37)
    assert (first.total_bytes, first.used_bytes) == (143771 << 20, 1024 << 20)
    assert (second.uuid, second.utilisation_percent) == ("GPU-b", None)
    assert list(parse_cards("")) == []


@pytest.mark.parametrize(
    ("names", "uuids"),
    [
        (None, ["GPU-a", "GPU-b"]),
        ("1,0", ["GPU-b", "GPU-a"]),
        ("GPU-b", ["GPU-b"]),
        ("", []),
        ("0,7,1", ["GPU-a"]),
    ],
)
def test_visible_cards(names: str | None, uuids: list[str]) -> None:
    environment = {} if names is None else {"CUDA_VISIBLE_DEVICES": names}
    found = visible_cards(list(parse_cards(LINES)), environment)
    assert [card.uuid for card in found] == uuids


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 9\n", "no program"])
def test_a_driver_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_cards() == []


def test_a_driver_is_a_file_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidiactl"
    monkeypatch.setattr(gpu_cards, "_DRIVERS", (driver,))
    assert not has_driver()
    driver.touch()
    assert has_driver()
