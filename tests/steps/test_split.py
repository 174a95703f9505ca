"""The answer does not depend on how the work was split."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from clustering_tasks.engine import neighbours
from clustering_tasks.graph import parts as parts_of_level
from tests.conftest import Workbench
from tests.stage3_folder import blobs


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CELL_ROWS", 64)
    for module in (neighbours, parts_of_level):
        monkeypatch.setattr(module, "TILE_ROWS", 16)
        monkeypatch.setattr(module, "PROBING_TILE_ROWS", 16)
        monkeypatch.setattr(module, "BATCH_ROWS", 32)


def members(workbench: Workbench, level: str, parts: int, **settings: Any) -> bytes:
    job = f"parts-{parts}"
    cut = {"max_count": parts, "min_rows": 1}
    done = workbench.perform(level, job, parts=cut, **settings)
    assert done["clusters"]
    result = workbench.start(level, job).result("plan")
    assert result.parts is not None
    assert (len(result.parts) > 1) is (parts > 1)
    return Path(done["members_parquet"]).read_bytes()


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("scope", ["level", "domain"])
@pytest.mark.parametrize("level", ["documents", "events", "entities"])
@pytest.mark.parametrize("search", ["exact", "cells"])
def test_one_part_or_twelve_give_the_same_members(
    workbench: Workbench, level: str, scope: str, search: str
) -> None:
    workbench.stage3.write(level, blobs([40, 30, 30, 20], noise=80, seed=2))
    settings = {
        "scope": scope,
        "hdbscan": {"min_cluster_size": 4, "min_samples": 2},
        "neighbours": {"exact_rows": 1000 if search == "exact" else 20, "probes": 3},
    }
    one = members(workbench, level, 1, **settings)
    assert members(workbench, level, 12, **settings) == one
    assert members(workbench, level, 5, **settings) == one
    merge = workbench.start(level, "parts-5").result("merge")
    assert search in str(merge.metrics["neighbour_search"])
    assert (merge.metrics["neighbour_recall"] is None) is (search == "exact")


def test_another_workspace_and_another_order_of_the_input_give_the_same_members(
    workbench: Workbench, tmp_path: Path
) -> None:
    vectors = blobs([40, 30], noise=30)
    workbench.stage3.write("events", vectors)
    first = workbench.perform("events")
    workbench.stage3.write("events", vectors, order=range(99, -1, -1), kind="idmap2")
    second = replace(workbench, workspace=UPath(tmp_path / "other")).perform("events")
    for file in ("members_parquet", "clusters_jsonl"):
        assert Path(first[file]).read_bytes() == Path(second[file]).read_bytes()
        assert first[file] != second[file]
