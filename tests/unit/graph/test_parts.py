from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from upath import UPath

from clustering_tasks.graph import parts as module
from clustering_tasks.graph.make_nodes import make_nodes
from clustering_tasks.graph.nodes import Nodes, load_nodes
from clustering_tasks.graph.parts import Parts, make_parts
from clustering_tasks.settings.groups.graph import PartsSettings
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import Workbench
from tests.stage3_folder import plain_metadata, scattered


def nodes_of(groups: list[tuple[int, int]]) -> Nodes:
    """Nodes of groups given as (block, size), one after the other."""
    sizes = [size for _, size in groups]
    count = sum(sizes)
    return Nodes(
        row=np.arange(count),
        weight=np.ones(count, dtype=np.int32),
        block=np.repeat([block for block, _ in groups], sizes).astype(np.int32),
        group=np.repeat(np.arange(len(groups)), sizes).astype(np.int32),
        node_of_row=np.arange(count, dtype=np.int32),
        group_names=np.array([f"group {number}" for number in range(len(groups))], dtype=np.str_),
    )


def in_disorder(nodes: Nodes) -> Nodes:
    """Nodes of one block, as they are in the order of cells."""
    return nodes.sorted_by(np.random.default_rng(0).permutation(len(nodes.row)))


def shares(nodes: Nodes, parts: Parts) -> list[tuple[str, int]]:
    return list(zip(parts.names, parts.items(nodes), strict=True))


GROUPS = st.lists(st.integers(1, 60), max_size=12).map(
    lambda sizes: [(number // 2, size) for number, size in enumerate(sizes)]
)


@given(GROUPS, st.integers(1, 12), st.integers(1, 90), st.integers(1, 90), st.booleans())
@examples(max_examples=300)
def test_each_node_is_in_one_part_of_its_group(
    groups: list[tuple[int, int]], max_count: int, small: int, large: int, cells: bool
) -> None:
    nodes = nodes_of(groups)
    nodes = in_disorder(nodes) if cells else nodes
    settings = PartsSettings(max_count=max_count, min_rows=small, max_rows=large)
    parts = make_parts(nodes, settings, "groups")
    assert 1 <= len(parts.names) <= max_count
    assert len(set(parts.names)) == len(parts.names)
    assert sorted(set(parts.of_node.tolist())) == list(range(len(parts.names) if groups else 0))
    sharing = set[int]()
    for number, name in enumerate(parts.names):
        there = set(nodes.group[parts.of_node == number].tolist())
        if name.startswith("other"):
            sharing |= there
            assert int(name.split("(")[1].split(")")[0]) > 1
        elif groups:
            assert [name.partition(" (")[0].split()[1]] == [str(group) for group in there]
    own = {group for group, (_, size) in enumerate(groups) if size >= small}
    assert len(sharing) != 1
    if len(groups) <= max_count:
        assert not own & sharing


@pytest.mark.parametrize("cells", [False, True])
def test_a_group_is_a_part_and_the_small_ones_share_one(cells: bool) -> None:
    nodes = nodes_of([(0, 12), (0, 3), (0, 40), (0, 10), (0, 9)])
    nodes = in_disorder(nodes) if cells else nodes
    parts = make_parts(nodes, PartsSettings(min_rows=10, max_rows=40), "domains")
    assert shares(nodes, parts) == [
        ("group 2", 40),
        ("group 0", 12),
        ("group 3", 10),
        ("other domains (2)", 12),
    ]


def test_a_single_small_group_keeps_its_name() -> None:
    nodes = nodes_of([(0, 12), (0, 3)])
    parts = make_parts(nodes, PartsSettings(min_rows=10), "domains")
    assert shares(nodes, parts) == [("group 0", 12), ("group 1", 3)]


@pytest.mark.parametrize("cells", [False, True])
def test_a_large_group_is_cut_evenly_and_says_so(cells: bool) -> None:
    nodes = nodes_of([(0, 100), (0, 41), (0, 40)])
    nodes = in_disorder(nodes) if cells else nodes
    parts = make_parts(nodes, PartsSettings(min_rows=10, max_rows=40), "domains")
    assert shares(nodes, parts) == [
        ("group 0 1/3", 34),
        ("group 0 2/3", 33),
        ("group 0 3/3", 33),
        ("group 1 1/2", 21),
        ("group 1 2/2", 20),
        ("group 2", 40),
    ]


def test_cuts_do_not_exceed_the_most_parts_and_the_largest_are_cut_first() -> None:
    nodes = nodes_of([(0, 100), (0, 41), (0, 40)])
    settings = PartsSettings(min_rows=10, max_rows=10, max_count=5)
    found = shares(nodes, make_parts(nodes, settings, "domains"))
    assert [name for name, _ in found] == [
        "group 0 1/3",
        "group 0 2/3",
        "group 0 3/3",
        "group 1",
        "group 2",
    ]


def test_more_groups_than_parts_share_evenly_filled_ones() -> None:
    nodes = nodes_of([(0, 50)] + [(0, 10)] * 20)
    settings = PartsSettings(min_rows=5, max_rows=20, max_count=6)
    found = shares(nodes, make_parts(nodes, settings, "types"))
    assert found == [
        ("group 0", 50),
        ("other types (20) 1/5", 40),
        ("other types (20) 2/5", 40),
        ("other types (20) 3/5", 40),
        ("other types (20) 4/5", 40),
        ("other types (20) 5/5", 40),
    ]


def test_one_part_holds_all() -> None:
    nodes = nodes_of([(0, 50), (1, 10)])
    settings = PartsSettings(min_rows=5, max_rows=20, max_count=1)
    assert shares(nodes, make_parts(nodes, settings, "types")) == [("other types (2)", 60)]


def test_parts_of_a_block_in_cells_are_not_cut_below_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    nodes = nodes_of([(0, 40), (1, 200), (1, 60)])
    settings = PartsSettings(min_rows=5, max_rows=20)
    assert [name for name, _ in shares(nodes, make_parts(nodes, settings, "types", {1}))] == [
        "group 1 1/4",
        "group 1 2/4",
        "group 1 3/4",
        "group 1 4/4",
        "group 2",
        "group 0 1/2",
        "group 0 2/2",
    ]


def test_a_name_is_no_longer_than_airflow_holds() -> None:
    nodes = replace(nodes_of([(0, 9)]), group_names=np.array(["x" * 400]))
    (name,) = make_parts(nodes, PartsSettings(), "types").names
    assert (len(name), name[-2:]) == (100, "x…")


def items(**columns: list[Any]) -> pd.DataFrame:
    count = len(columns["first_identical_row"])
    empty = {name: [None] * count for name in ("domain", "event_type", "entity_type")}
    return pd.DataFrame(empty | columns)


def make(level: str, frame: pd.DataFrame, **settings: Any) -> Nodes:
    return make_nodes(frame, LEVELS[level], run_settings(settings))


def test_identical_rows_are_one_node() -> None:
    nodes = make("documents", items(first_identical_row=[0, 1, 0, 3, 1, 0]))
    assert nodes.row.tolist() == [0, 1, 3]
    assert nodes.weight.tolist() == [3, 2, 1]
    assert nodes.node_of_row.tolist() == [0, 1, 0, 2, 1, 0]
    assert nodes.block_bounds().tolist() == [0, 3]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.sampled_from(["b", "a", "a \u00e9", "Z", None]),
            st.sampled_from(["x", "a", None]),
            st.booleans(),
        ),
        max_size=30,
    ),
    st.sampled_from(["level", "domain"]),
    st.sampled_from(["domain", "event_type", "domain_event_type"]),
)
def test_nodes_are_those_of_the_definition(
    drawn: list[tuple[int, str | None, str | None, bool]], scope: str, by: str
) -> None:
    first_of: dict[int, int] = {}
    first_identical_row = [
        first_of.setdefault(number, row) for row, (number, *_) in enumerate(drawn)
    ]
    domain, kind = [each[1] for each in drawn], [each[2] for each in drawn]
    frame = items(first_identical_row=first_identical_row, domain=domain, event_type=kind)
    kept = np.array([each[3] for each in drawn], dtype=bool)
    chosen = {"scope": scope, "parts.by": by}
    nodes = make_nodes(frame, LEVELS["events"], run_settings(chosen), kept)

    names = [name or "general_news" for name in domain]
    types = [what or "unknown" for what in kind]
    finer = [f"{name} {what}" for name, what in zip(names, types, strict=True)]
    group = {"domain": names, "event_type": types, "domain_event_type": finer}[by]
    block = group if scope == "domain" else [""] * len(drawn)
    rows = [row for row in range(len(drawn)) if kept[row]]
    first: dict[tuple[str, int], int] = {}
    for row in rows:
        first.setdefault((block[row], first_identical_row[row]), row)
    expected = sorted(first.values(), key=lambda row: (block[row], names[row], row))
    assert nodes.row.tolist() == expected
    at = {row: node for node, row in enumerate(expected)}
    node_of_row = [-1] * len(drawn)
    for row in rows:
        node_of_row[row] = at[first[block[row], first_identical_row[row]]]
    assert nodes.node_of_row.tolist() == node_of_row
    assert nodes.weight.tolist() == [node_of_row.count(node) for node in range(len(expected))]
    blocks = sorted({block[row] for row in expected})
    assert nodes.block.tolist() == [blocks.index(block[row]) for row in expected]
    assert [nodes.group_names[number] for number in nodes.group] == [group[r] for r in expected]
    assert nodes.group_names.tolist() == sorted({group[row] for row in expected})


def test_no_rows_are_no_nodes() -> None:
    nodes = make("events", items(first_identical_row=[]))
    assert len(nodes.row) == 0
    assert nodes.block_bounds().tolist() == [0]


DOMAINS = ["sports_entertainment", "economic_activity", None, "economic_activity"]


def test_at_level_scope_domains_are_groups_of_one_block() -> None:
    nodes = make("events", items(first_identical_row=[0, 1, 2, 0], domain=DOMAINS))
    assert nodes.block.tolist() == [0, 0, 0]
    # identical rows are one node, whatever their domains; it lies in that of the first
    assert nodes.node_of_row[0] == nodes.node_of_row[3]
    names = [str(nodes.group_names[group]) for group in nodes.group]
    assert names == ["economic_activity", "general_news", "sports_entertainment"]


def test_at_domain_scope_domains_are_blocks() -> None:
    nodes = make("events", items(first_identical_row=[0, 1, 2, 0], domain=DOMAINS), scope="domain")
    assert nodes.block.tolist() == [0, 0, 1, 2]
    assert nodes.row[nodes.node_of_row].tolist() == [0, 1, 2, 3]
    assert nodes.weight.tolist() == [1, 1, 1, 1]


def test_a_cut_by_event_type_is_finer() -> None:
    frame = items(
        first_identical_row=[0, 1, 2],
        domain=["health_medical"] * 3,
        event_type=["protest", None, "protest"],
    )
    chosen = {"scope": "domain", "parts.by": "domain_event_type"}
    nodes = make("events", frame, **chosen)
    assert [str(nodes.group_names[group]) for group in nodes.group[nodes.node_of_row]] == [
        "health_medical protest",
        "health_medical unknown",
        "health_medical protest",
    ]


@pytest.mark.parametrize("scope", ["level", "domain"])
def test_entity_types_are_blocks_at_any_scope(scope: str) -> None:
    frame = items(first_identical_row=[0, 0, 2, 2], entity_type=["PER", "ORG", None, "PER"])
    nodes = make("entities", frame, scope=scope)
    assert len(set(nodes.node_of_row.tolist())) == 4
    assert nodes.block.tolist() == [0, 1, 1, 2]


def test_nodes_are_read_as_they_were_saved(tmp_path: Path) -> None:
    nodes = make("events", items(first_identical_row=[0, 1, 2, 0], domain=DOMAINS))
    nodes.save(UPath(tmp_path / "nodes.npz"))
    read = load_nodes(UPath(tmp_path / "nodes.npz"))
    for name in Nodes.__annotations__:
        np.testing.assert_array_equal(getattr(read, name), getattr(nodes, name))


def test_the_step_names_its_parts_and_forecasts_the_work(workbench: Workbench) -> None:
    metadata = [plain_metadata("events", n) | {"domain": "sports"} for n in range(48)]
    vectors = scattered(50)
    vectors[48:] = vectors[0]  # items of its node
    metadata += metadata[:2]
    workbench.stage3.write("events", vectors, metadata)
    run = workbench.start("events", parts={"max_count": 2, "max_rows": 10})
    snapshot(run)
    result = plan(run)
    assert result.parts is not None
    assert [(part.part, part.name) for part in result.parts] == [
        (0, "sports_entertainment 1/2"),
        (1, "sports_entertainment 2/2"),
    ]
    assert result.metrics["nodes"] == 48
    assert sorted(part.items or 0 for part in result.parts) == [24, 26]
    assert result.metrics["parts"] == 2
    for name in ("memory_bytes", "disk_bytes", "search_milliseconds"):
        assert isinstance(result.metrics[name], int)
    with result.path("part_of_node").open("rb") as file:
        assert np.bincount(np.load(file)).tolist() == [24, 24]


def test_a_storyline_has_no_event_type() -> None:
    frame = items(first_identical_row=[0, 1], domain=["health_medical", None])
    for by in ("event_type", "domain_event_type"):
        nodes = make("storylines", frame, scope="domain", **{"parts.by": by})
        assert nodes.group_names.tolist() == ["general_news", "health_medical"]
        assert nodes.block.tolist() == [0, 1]


def test_a_level_without_items_has_one_part_without_work(workbench: Workbench) -> None:
    workbench.stage3.write("events", scattered(0))
    run = workbench.start("events")
    snapshot(run)
    parts = plan(run).parts
    assert parts is not None
    assert [(part.name, part.items) for part in parts] == [("nothing", 0)]
