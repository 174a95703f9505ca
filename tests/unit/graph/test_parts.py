import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from upath import UPath

from clustering_tasks.graph import parts as module
from clustering_tasks.graph.nodes import Nodes, load_nodes, make_nodes
from clustering_tasks.graph.parts import Unit, make_parts
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import PartsSettings, run_settings
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from tests.conftest import Workbench
from tests.stage3_folder import plain_metadata, scattered

TILE = 8


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE_ROWS", TILE)


def nodes_of(groups: list[tuple[int, int]]) -> Nodes:
    """Nodes of groups given as (block, size); a new group begins where the list says."""
    sizes = [size for _, size in groups]
    count = sum(sizes)
    return Nodes(
        row=np.arange(count),
        weight=np.ones(count, dtype=np.int32),
        block=np.repeat([block for block, _ in groups], sizes).astype(np.int32),
        group=np.repeat(np.arange(len(groups)), sizes).astype(np.int32),
        node_of_row=np.arange(count, dtype=np.int32),
        group_names=np.array([f"group {number}" for number in range(len(groups))]),
    )


GROUPS = st.lists(st.integers(1, 60), max_size=12).map(
    lambda sizes: [(number // 2, size) for number, size in enumerate(sizes)]
)


@given(GROUPS, st.integers(1, 12), st.integers(1, 90))
@examples(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_whole_tiles_that_cover_every_node_once(
    groups: list[tuple[int, int]], max_parts: int, least: int
) -> None:
    nodes = nodes_of(groups)
    settings = PartsSettings(max_count=max_parts, min_rows=least)
    parts = list(make_parts(nodes, settings))
    assert 1 <= len(parts) <= max_parts
    units = [unit for part in parts for unit in part]
    bounds = [0, *(unit.stop for unit in units)]
    assert [unit.start for unit in units] == bounds[:-1]
    assert bounds[-1] == len(nodes.row)
    starts = np.cumsum([0, *(size for _, size in groups)])
    for unit in units:
        group = int(np.searchsorted(starts, unit.start, side="right")) - 1
        assert unit.stop <= starts[group + 1]
        assert unit.block == groups[group][0]
        assert (unit.start - starts[group]) % TILE == 0
        assert unit.stop == starts[group + 1] or (unit.stop - starts[group]) % TILE == 0
    if len(parts) > 1:
        assert min(sum(u.stop - u.start for u in part) for part in parts) >= least


def test_a_large_group_is_cut_and_small_ones_share_a_part() -> None:
    nodes = nodes_of([(0, 96), (0, 3), (0, 5), (1, 40)])
    parts = list(make_parts(nodes, PartsSettings(max_count=3, min_rows=1)))
    assert [[unit.name for unit in part] for part in parts] == [
        ["group 0 0-47"],
        ["group 0 48-95"],
        ["group 1", "group 2", "group 3"],
    ]
    assert parts[2][2] == Unit(block=1, start=104, stop=144, name="group 3")


def test_what_can_be_two_parts_is_two_parts() -> None:
    parts = list(make_parts(nodes_of([(0, 40)]), PartsSettings(max_count=2, min_rows=1)))
    assert [[unit.stop - unit.start for unit in part] for part in parts] == [[24], [16]]


def test_parts_of_a_block_in_cells_are_even_and_hardly_larger_than_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROBING_TILE_ROWS", 16)
    monkeypatch.setattr(module, "BATCH_ROWS", 64)
    settings = PartsSettings(max_count=12, min_rows=1)
    parts = list(make_parts(nodes_of([(0, 40), (1, 200)]), settings, {1}))
    assert [unit.stop - unit.start for part in parts for unit in part if unit.block] == [
        64,
        64,
        64,
        8,
    ]
    assert max(unit.stop - unit.start for part in parts for unit in part if not unit.block) < 40


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
    st.sampled_from([{}, {"scope": "domain"}, {"parts.by": "domain_event_type"}]),
)
@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nodes_are_those_of_the_definition(
    drawn: list[tuple[int, str | None, str | None, bool]], chosen: dict[str, str]
) -> None:
    settings = {"scope": "domain"} | chosen if chosen else chosen
    first_of: dict[int, int] = {}
    first_identical_row = [
        first_of.setdefault(number, row) for row, (number, *_) in enumerate(drawn)
    ]
    domain, kind = [each[1] for each in drawn], [each[2] for each in drawn]
    frame = items(first_identical_row=first_identical_row, domain=domain, event_type=kind)
    kept = np.array([each[3] for each in drawn], dtype=bool)
    nodes = make_nodes(frame, LEVELS["events"], run_settings(settings), kept)

    names = [name or "general_news" for name in domain]
    finer = [f"{name} {what or 'unknown'}" for name, what in zip(names, kind, strict=True)]
    group = finer if "parts.by" in settings else names
    block = group if settings else [""] * len(drawn)
    rows = [row for row in range(len(drawn)) if kept[row]]
    first: dict[tuple[str, int], int] = {}
    for row in rows:
        first.setdefault((block[row], first_identical_row[row]), row)
    expected = sorted(first.values(), key=lambda row: (block[row], group[row], row))
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
    run = workbench.start("events", parts={"max_count": 2, "min_rows": 1})
    snapshot(run)
    result = plan(run)
    assert result.parts is not None
    assert [(part.part, part.name) for part in result.parts] == [
        (0, "sports_entertainment 0-23"),
        (1, "sports_entertainment 24-47"),
    ]
    assert result.metrics["nodes"] == 48
    assert sorted(part.items or 0 for part in result.parts) == [24, 26]
    assert result.metrics["parts"] == 2
    for name in ("memory_bytes", "disk_bytes", "search_milliseconds"):
        assert isinstance(result.metrics[name], int)
    stored = json.loads(result.path("parts").read_bytes())
    assert [unit["stop"] for part in stored for unit in part] == [24, 48]
    assert all(a["stop"] == b["start"] for a, b in pairwise(unit for p in stored for unit in p))


def test_a_level_without_items_has_one_part_without_work(workbench: Workbench) -> None:
    workbench.stage3.write("events", scattered(0))
    run = workbench.start("events")
    snapshot(run)
    parts = plan(run).parts
    assert parts is not None
    assert [(part.name, part.items) for part in parts] == [("nothing", 0)]
