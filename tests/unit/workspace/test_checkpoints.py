"""Checkpoints: what is read again, and what never is."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from clustering_tasks.workspace.checkpoints import (
    Checkpoint,
    Rows,
    kept,
    remove_checkpoint,
    save_checkpoints,
)

LONG = 3600.0  # nothing is written by itself
PIECES = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def rows(first: int, count: int) -> Rows:
    nodes = np.arange(first, first + count)
    return {"nodes": nodes, "ids": np.stack([nodes, nodes + 1], axis=1).astype(np.int32)}


def pieces(sizes: list[int]) -> list[Rows]:
    starts = np.cumsum([0, *sizes]).tolist()
    return [rows(first, count) for first, count in zip(starts, sizes, strict=False)]


def nodes(found: list[Rows]) -> list[int]:
    return sorted(int(node) for block in found for node in block["nodes"])


def write(folder: Path, key: str, sizes: list[int]) -> list[Path]:
    """Keep each piece as a block of its own."""
    checkpoint = Checkpoint(UPath(folder), key, 0)
    for piece in pieces(sizes):
        checkpoint.add(piece)
    return sorted(folder.iterdir())


@given(PIECES, st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 6))
def test_a_killed_try_loses_what_it_has_not_written(
    sizes: list[int], saves: list[bool], killed: int
) -> None:
    with TemporaryDirectory() as scratch:
        folder = UPath(scratch) / "task.checkpoint"
        checkpoint = Checkpoint(folder, "key", LONG)
        written = 0
        for number, piece in enumerate(pieces(sizes)[:killed]):
            checkpoint.add(piece)
            if saves[number]:
                checkpoint.save()
                written = number + 1
        following = Checkpoint(folder, "key", LONG)
        found = list(following.read())
        assert nodes(found) == list(range(sum(sizes[:written])))
        assert following.blocks == len(found) == checkpoint.blocks
        for block in found:
            np.testing.assert_array_equal(block["ids"][:, 1], block["nodes"] + 1)


@given(PIECES, st.data())
def test_a_damaged_block_is_left_out_and_the_others_stay(
    sizes: list[int], data: st.DataObject
) -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "task.checkpoint"
        damaged = data.draw(st.sampled_from(write(folder, "key", sizes)))
        content = bytearray(damaged.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[place:]
        else:
            content[place] ^= data.draw(st.integers(1, 255))
        held = dict(np.load(damaged))["nodes"].tolist()
        damaged.write_bytes(content)
        found = list(Checkpoint(UPath(folder), "key", LONG).read())
        assert nodes(found) == [node for node in range(sum(sizes)) if node not in held]
        assert not damaged.exists()


@given(PIECES)
def test_another_key_reads_nothing_even_of_a_block_that_bears_its_name(sizes: list[int]) -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "task.checkpoint"
        first, *_ = write(folder, "key", sizes)
        first.rename(first.with_name(first.name.replace("key-", "other-")))
        assert list(Checkpoint(UPath(folder), "other", LONG).read()) == []


def test_what_is_done_soon_is_not_written(tmp_path: Path) -> None:
    folder = UPath(tmp_path / "task.checkpoint")
    with kept(Checkpoint(folder, "key", LONG)) as checkpoint:
        for piece in pieces([3, 4]):
            checkpoint.add(piece)
    assert not folder.exists()
    remove_checkpoint(folder)


def test_an_error_and_a_signal_save_first(tmp_path: Path) -> None:
    folder = UPath(tmp_path / "task.checkpoint")
    checkpoint = Checkpoint(folder, "key", LONG)

    def work() -> None:
        with kept(checkpoint):
            checkpoint.add(rows(0, 3))
            assert save_checkpoints() == 1
            assert save_checkpoints() == 1
            checkpoint.add(rows(3, 2))
            raise MemoryError

    with pytest.raises(MemoryError):
        work()
    assert save_checkpoints() == 0
    assert nodes(list(Checkpoint(folder, "key", LONG).read())) == list(range(5))
    remove_checkpoint(folder)
    assert not folder.exists()


def test_an_object_store_keeps_them_too() -> None:
    folder = UPath("memory://workspace/events/runs/job/cluster-0.checkpoint")
    checkpoint = Checkpoint(folder, "key", 0)
    checkpoint.add(rows(0, 3))
    assert nodes(list(Checkpoint(folder, "key", 0).read())) == [0, 1, 2]
    remove_checkpoint(folder)
    assert list(Checkpoint(folder, "key", 0).read()) == []
