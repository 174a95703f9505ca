"""Parts for a GPU."""

from clustering_tasks.graph.parts import Unit
from clustering_tasks.graph.whole_blocks import whole_blocks
from clustering_tasks.settings.run import PartsSettings

UNITS = [
    Unit(0, 0, 50, "a"),
    Unit(0, 50, 90, "b"),
    Unit(1, 90, 95, "c"),
    Unit(2, 95, 99, "d"),
    Unit(3, 99, 160, "e"),
]


def blocks(settings: PartsSettings) -> list[list[int]]:
    return [[unit.block for unit in part] for part in whole_blocks(UNITS, settings)]


def test_a_block_is_never_cut_and_small_ones_share_a_part() -> None:
    assert blocks(PartsSettings(max_count=12, min_rows=8)) == [[0, 0], [1, 2, 3]]
    assert blocks(PartsSettings(max_count=160, min_rows=1)) == [[0, 0], [1], [2], [3]]


def test_there_are_at_most_so_many_parts() -> None:
    assert blocks(PartsSettings(max_count=1, min_rows=1)) == [[0, 0, 1, 2, 3]]
    assert blocks(PartsSettings(max_count=2, min_rows=1)) == [[0, 0], [1, 2, 3]]


def test_a_level_without_items_has_one_part() -> None:
    assert list(whole_blocks([], PartsSettings())) == [[]]
