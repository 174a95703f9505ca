"""Parts for a GPU."""

import numpy as np

from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.graph.parts import NOTHING
from clustering_tasks.graph.whole_blocks import whole_blocks
from clustering_tasks.settings.groups.graph import PartsSettings

# block and nodes of each group
GROUPS = [(0, 50), (0, 40), (1, 5), (2, 4), (3, 61)]


def nodes_of(groups: list[tuple[int, int]]) -> Nodes:
    blocks, sizes = (np.array(each, dtype=np.int64) for each in zip(*groups, strict=True))
    count = int(sizes.sum())
    return Nodes(
        row=np.arange(count),
        weight=np.ones(count, dtype=np.int32),
        block=np.repeat(blocks, sizes).astype(np.int32),
        group=np.repeat(np.arange(len(groups)), sizes).astype(np.int32),
        node_of_row=np.arange(count, dtype=np.int32),
        group_names=np.array(list("abcde")[: len(groups)], dtype=np.str_),
    )


def parts(settings: PartsSettings) -> list[tuple[str, list[int]]]:
    """Name and blocks of each part."""
    nodes = nodes_of(GROUPS)
    found = whole_blocks(nodes, settings, "types")
    blocks = [
        np.unique(nodes.block[found.of_node == part]).tolist() for part in range(len(found.names))
    ]
    assert sum(found.items(nodes)) == len(nodes.row)
    return list(zip(found.names, blocks, strict=True))


def test_a_block_is_never_cut_and_small_ones_share_a_part() -> None:
    assert parts(PartsSettings(max_count=12, min_rows=8)) == [
        ("2 types", [0]),
        ("3 types", [1, 2, 3]),
    ]
    assert parts(PartsSettings(max_count=160, min_rows=1)) == [
        ("2 types", [0]),
        ("c", [1]),
        ("d", [2]),
        ("e", [3]),
    ]


def test_there_are_at_most_so_many_parts() -> None:
    assert parts(PartsSettings(max_count=1, min_rows=1)) == [("5 types", [0, 1, 2, 3])]
    assert [blocks for _, blocks in parts(PartsSettings(max_count=2, min_rows=1))] == [
        [0],
        [1, 2, 3],
    ]


def test_a_level_without_items_has_one_part() -> None:
    found = whole_blocks(nodes_of([(0, 0)]), PartsSettings(), "types")
    assert found.names == [NOTHING]
    assert len(found.of_node) == 0
