"""The answer does not depend on how the work was split."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from clustering_tasks.engine import neighbours
from clustering_tasks.graph import parts as parts_of_level
from clustering_tasks.settings.levels import DOMAINS
from tests.conftest import Workbench
from tests.stage3_folder import blobs


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "CELL_ROWS", 64)
    for module in (neighbours, parts_of_level):
        monkeypatch.setattr(module, "BATCH_ROWS", 32)


def members(workbench: Workbench, level: str, parts: int, **settings: Any) -> bytes:
    job = f"parts-{parts}"
    cut = {"max_count": parts, "min_rows": 1, "max_rows": 10}
    done = workbench.perform(level, job, parts=cut, **settings)
    assert done["clusters"]
    assert (len(part_names(workbench, level, job)) > 1) is (parts > 1)
    return Path(done["members_parquet"]).read_bytes()


def part_names(workbench: Workbench, level: str, job: str) -> list[str]:
    return [part.name for part in workbench.start(level, job).result("plan").parts or []]


@pytest.mark.usefixtures("small_batches")
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


CUTS: dict[str, dict[str, Any]] = {
    "one part": {"max_count": 1},
    "domains": {},
    "pieces": {"max_rows": 10},
    "types": {"by": "event_type"},
    "pairs": {"by": "domain_event_type", "min_rows": 8},
}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("search", ["exact", "cells"])
def test_whatever_a_part_is_the_members_are_the_same(workbench: Workbench, search: str) -> None:
    domains = [list(DOMAINS.values())[number**2 % 7] for number in range(200)]
    metadata = [
        {"domain": domain, "event_type": f"type {number % 5}"}
        for number, domain in enumerate(domains)
    ]
    workbench.stage3.write("events", blobs([40, 30, 30, 20], noise=80, seed=2), metadata)
    found, names = set(), {}
    for job, cut in CUTS.items():
        done = workbench.perform(
            "events",
            job.replace(" ", "-"),
            parts={"min_rows": 1} | cut,
            hdbscan={"min_cluster_size": 4, "min_samples": 2},
            neighbours={"exact_rows": 1000 if search == "exact" else 20, "probes": 3},
        )
        found.add(Path(done["members_parquet"]).read_bytes())
        names[job] = part_names(workbench, "events", job.replace(" ", "-"))
    assert len(found) == 1
    assert names["one part"] == ["other domains (4)"]
    assert set(names["domains"]) == set(domains)
    assert any(name.endswith((" 2/2", " 2/3")) for name in names["pieces"])
    assert sorted(names["types"]) == [f"type_{number}" for number in range(5)]
    assert names["pairs"][-1].startswith("other types (")


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
