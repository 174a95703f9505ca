"""The codes of vectors, computed by `plan` for all parts that search a block."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustering_tasks.graph.neighbour_graph import Graph, read_graph
from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Run
from tests.conftest import Workbench
from tests.stage3_folder import blobs

VECTORS = blobs([150] * 4, noise=300)
DOMAINS = [{"domain": ("economic", "health", "sports")[i % 3]} for i in range(len(VECTORS))]
SEARCHES = [{}, {"neighbours.exact_rows": 0}]
MANY = {"parts.min_rows": 1}


def planned(workbench: Workbench, job: str, **settings: Any) -> Run:
    workbench.stage3.write("events", VECTORS, DOMAINS)
    run = workbench.start("events", job, **settings)
    snapshot(run)
    plan(run)
    return run


def graph(run: Run) -> Graph:
    plan_of_run = run.result("plan")
    parts = [cluster(run, part.part) for part in plan_of_run.parts or []]
    return read_graph(int(plan_of_run.metrics["nodes"] or 0), run.settings.neighbours.k, parts)


def same(one: Graph, other: Graph) -> bool:
    return np.array_equal(one.ids, other.ids) and np.array_equal(
        one.distances.view(np.int32), other.distances.view(np.int32)
    )


def codes(run: Run) -> Path:
    return Path(run.result("plan").files["codes"])


@pytest.mark.parametrize("search", SEARCHES)
def test_parts_find_with_the_plans_codes_what_one_part_finds_by_itself(
    workbench: Workbench, search: dict[str, Any]
) -> None:
    one = planned(workbench, "one", **search, **{"parts.min_rows": 10_000})
    many = planned(workbench, "many", **search, **MANY)
    assert (len(one.result("plan").parts or []), len(many.result("plan").parts or [])) == (1, 3)
    assert codes(one).stat().st_size == 0, "nobody else would read them"
    assert codes(many).stat().st_size >= len(VECTORS) * VECTORS.shape[1]
    assert same(graph(one), graph(many))


@pytest.mark.parametrize("search", SEARCHES)
def test_parts_read_the_codes(workbench: Workbench, search: dict[str, Any]) -> None:
    whole = graph(planned(workbench, "whole", **search, **MANY))
    run = planned(workbench, "other", **search, **MANY, **{"neighbours.k": 31})
    codes(run).write_bytes(bytes(codes(run).stat().st_size))
    damaged = graph(run)
    assert not np.array_equal(whole.ids[:, :31], damaged.ids)


def test_domains_apart_have_no_codes_in_common(workbench: Workbench) -> None:
    run = planned(workbench, "apart", **MANY, scope="domain")
    assert len(run.result("plan").parts or []) == 3
    assert codes(run).stat().st_size == 0
