"""The neighbours of an earlier try beside those of this one, and the cutting into blocks."""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from clustering_tasks.arrays import I64
from clustering_tasks.engine.neighbours import Neighbours, all_cells
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.steps.cluster.kept_rows import KeptRows, joined, read_kept, search_blocks
from clustering_tasks.workspace.checkpoints import Checkpoint, Rows

LEVEL, K = 60, 2


def found(nodes: I64) -> Neighbours:
    """What a search finds for some nodes: it follows from the node."""
    ids = np.stack([nodes, (nodes + 1) % LEVEL], axis=1).astype(np.int32)
    return Neighbours(ids, ids.astype(np.float32))


def opened(folder: Path) -> Checkpoint:
    return Checkpoint(UPath(folder), "key", 0)


def read(folder: Path, own: I64) -> KeptRows:
    return read_kept(opened(folder), own, LEVEL, K)


@given(st.lists(st.lists(st.integers(0, LEVEL - 1), unique=True), max_size=5), st.data())
def test_what_is_kept_is_not_searched_again_and_nothing_else_changes(
    blocks: list[list[int]], data: st.DataObject
) -> None:
    own = np.arange(LEVEL)
    with TemporaryDirectory() as scratch:
        keeping = KeptRows(opened(Path(scratch)), np.empty(0, np.int64), found(own[:0]))
        for block in blocks:  # two tries at once may keep the same
            nodes = np.array(sorted(block), np.int64)
            keeping.add(nodes, found(nodes), "exact")
        kept = read(Path(scratch), own)
    queries = np.array(sorted(data.draw(st.sets(st.sampled_from(range(LEVEL))))), np.int64)
    missing = kept.missing(queries)
    assert set(missing) == set(queries) - {node for block in blocks for node in block}
    both = kept.completed(queries, missing, found(missing))
    np.testing.assert_array_equal(both.ids, found(queries).ids)
    np.testing.assert_array_equal(both.distances, found(queries).distances)
    assert kept.searches == (("exact",) if any(blocks) else ())


def block(nodes: I64, other: Rows | None = None) -> Rows:
    ways = np.full(len(nodes), "exact", dtype="U8")
    its: Rows = {"nodes": nodes, "ids": found(nodes).ids, "distances": found(nodes).distances}
    return {**its, "searches": ways, **(other or {})}


@pytest.mark.parametrize(
    "wrong",
    [
        {"nodes": np.array([5, 6, 50])},  # of another part
        {"nodes": np.array([5, 6], np.int32)},
        {"ids": np.zeros((2, K + 1), np.int32)},
        {"ids": np.full((2, K), LEVEL, np.int32)},
        {"ids": np.full((2, K), -2, np.int32)},
        {"distances": np.zeros((2, K))},
        {"distances": np.zeros((1, K), np.float32)},
    ],
)
def test_a_block_of_another_form_is_searched_again(tmp_path: Path, wrong: Rows) -> None:
    own = np.arange(5, 30)
    checkpoint = opened(tmp_path)
    checkpoint.add(block(np.array([7, 8])))
    checkpoint.add(block(np.array([5, 6]), wrong))
    kept = read(tmp_path, own)
    assert kept.nodes.tolist() == [7, 8]
    assert kept.blocks == 1


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    yield monkeypatch
    monkeypatch.undo()
    deployment.cache_clear()


def cut(monkeypatch: pytest.MonkeyPatch, per_row: float, rows: int, wanted: float) -> list[int]:
    """The sizes of the blocks of a search of that speed, all of whose rows are found in order."""
    monkeypatch.setenv("STAGE4_CHECKPOINT_SECONDS", str(wanted))
    deployment.cache_clear()
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def search(some: I64) -> Neighbours:
        clock[0] += per_row * len(some)
        return found(some)

    everything = np.arange(rows)
    blocks = list(search_blocks(everything, all_cells(rows), 768, search))
    np.testing.assert_array_equal(np.concatenate([some for some, _ in blocks]), everything)
    np.testing.assert_array_equal(joined([own for _, own in blocks], K).ids, found(everything).ids)
    return [len(some) for some, _ in blocks]


def test_blocks_take_about_as_long_as_asked(seconds: pytest.MonkeyPatch) -> None:
    per_row = 1 / 1024  # without rounding
    first, *middle, last = cut(seconds, per_row, rows=200_000, wanted=32)
    assert set(middle) == {32_768}
    assert last < 1.5 * 32_768
    assert first * per_row < 2 * 32


def test_a_small_search_is_one_block(seconds: pytest.MonkeyPatch) -> None:
    assert cut(seconds, per_row=0.0001, rows=20_000, wanted=30) == [20_000]


def test_without_checkpoints_a_search_is_one_block(seconds: pytest.MonkeyPatch) -> None:
    assert cut(seconds, per_row=10, rows=40_000, wanted=0) == [40_000]


def test_the_slowest_search_still_goes_on(seconds: pytest.MonkeyPatch) -> None:
    assert cut(seconds, per_row=10, rows=2000, wanted=0.001) == [512, 512, 512, 464]
