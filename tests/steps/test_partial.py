"""A part whose `cluster` task failed."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.gate import check_gate
from clustering_tasks.publication.report import read_report
from clustering_tasks.settings.levels import DOMAINS
from clustering_tasks.steps.cluster.cluster import cluster
from clustering_tasks.steps.identify.identify import identify
from clustering_tasks.steps.label.label import label
from clustering_tasks.steps.merge.merge import merge
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.steps.tag.tag import tag
from clustering_tasks.steps.trend.trend import trend
from clustering_tasks.workspace.artefacts import Run
from tests.conftest import Workbench
from tests.stage3_folder import blobs

SIZES = {"economic": 20, "health": 16, "sports": 12}
HDBSCAN = {"min_cluster_size": 4, "min_samples": 2}


def started(workbench: Workbench, job: str = "job", **settings: object) -> Run:
    """Three domains of two clusters each; as many parts."""
    sizes = [size // 2 for size in SIZES.values() for _ in range(2)]
    metadata = [{"domain": domain} for domain, size in SIZES.items() for _ in range(size)]
    workbench.stage3.write("events", blobs(sizes, spread=0.05, seed=4), metadata)
    cut = {"max_count": 12, "min_rows": 1}
    run = workbench.start("events", job, scope="domain", parts=cut, hdbscan=HDBSCAN, **settings)
    snapshot(run)
    return run


def perform_all_but(run: Run, failed: str | None) -> None:
    parts = plan(run).parts
    assert parts is not None
    assert {part.name for part in parts} == {DOMAINS[domain] for domain in SIZES}
    for part in parts:
        if part.name != failed:
            cluster(run, part.part)


@pytest.mark.parametrize("allow_partial", [False, True])
def test_with_all_parts_there_is_nothing_partial(workbench: Workbench, allow_partial: bool) -> None:
    run = started(workbench, allow_partial=allow_partial)
    perform_all_but(run, None)
    metrics = merge(run).metrics
    assert (metrics["read"], metrics["unassigned"], metrics["clusters"]) == (48, 0, 6)


def test_merge_refuses_and_names_the_part(workbench: Workbench) -> None:
    run = started(workbench)
    perform_all_but(run, "health_medical")
    with pytest.raises(
        BadInputError, match=r"job lacks the result of part 1 \(health_medical\).*clear it"
    ):
        merge(run)
    assert run.find_result("merge") is None
    cluster(run, 1)
    assert merge(run).metrics["unassigned"] == 0


def test_a_part_whose_artefact_was_removed_is_missing(workbench: Workbench) -> None:
    run = started(workbench)
    perform_all_but(run, None)
    graph = run.result("cluster-2").path("graph")
    content = graph.read_bytes()
    graph.unlink()
    with pytest.raises(BadInputError, match=r"part 2 \(sports_entertainment\)"):
        merge(run)
    graph.write_bytes(content)
    assert merge(run).metrics["unassigned"] == 0


def test_on_request_its_items_are_unassigned_and_the_rest_is_kept(workbench: Workbench) -> None:
    run = started(workbench, allow_partial=True)
    perform_all_but(run, "health_medical")
    merge(run)
    tag(run)
    trend(run)
    identify(run)
    result = label(run)
    metrics = result.metrics
    assert (metrics["read"], metrics["unassigned"], metrics["clusters"]) == (48, 16, 4)
    assert metrics["clustered"] == 32
    rows = pq.read_table(result.files["members_parquet"]).to_pylist()
    unassigned = [row for row in rows if row["status"] == "unassigned"]
    assert {json.loads(row["metadata"])["domain"] for row in unassigned} == {"health"}
    assert len(unassigned) == 16
    for row in unassigned:
        assert row["cluster_id"] is row["assignment"] is row["probability"] is None
    report = read_report(result.files["report"])
    assert report.coverage == pytest.approx(32 / 48)
    assert report.outlier_share == 0
    errors = (report.model_extra or {})["errors"]
    assert (errors["failed_parts"], errors["database"], errors["total"]) == (1, None, 1)
    strict = run.settings.publish.model_copy(update={"min_coverage": 0.9})
    assert any("coverage" in failure for failure in check_gate(report, strict))


def test_the_clusters_of_the_other_parts_are_those_of_a_whole_run(workbench: Workbench) -> None:
    whole = started(workbench, "whole", allow_partial=True)
    perform_all_but(whole, None)
    merge(whole)
    partial = started(workbench, "partial", allow_partial=True)
    perform_all_but(partial, "health_medical")
    merge(partial)
    clusters = []
    for run in (whole, partial):
        tag(run)
        trend(run)
        identify(run)
        lines = Path(label(run).files["clusters_jsonl"]).read_text().splitlines()
        clusters.append({frozenset(json.loads(line)["member_ids"]) for line in lines})
    assert len(clusters[0]) == 6
    assert len(clusters[1]) == 4
    assert clusters[1] < clusters[0]


def test_with_nothing_left_all_is_unassigned(workbench: Workbench) -> None:
    run = started(workbench, allow_partial=True)
    plan(run)
    assert merge(run).metrics["unassigned"] == 48
    tag(run)
    trend(run)
    identify(run)
    assert label(run).metrics["clusters"] == 0


def test_clusters_that_the_scope_tore_apart_are_joined_on_request(workbench: Workbench) -> None:
    """One story in two domains."""
    vectors = blobs([20, 10], spread=0.05, seed=4)
    metadata = [{"domain": "economic" if n % 2 else "health"} for n in range(30)]
    workbench.stage3.write("events", vectors, metadata)
    settings = {"scope": "domain", "hdbscan": HDBSCAN}
    torn = workbench.perform("events", "torn", **settings)
    assert torn["clusters"] == 4
    joined = workbench.perform("events", "joined", **settings, merge={"join": "mutual_best"})
    assert joined["clusters"] == 2
    assert joined["clustered"] == torn["clustered"]
    sizes = [
        json.loads(line)["cluster_size"]
        for line in Path(joined["clusters_jsonl"]).read_text().splitlines()
    ]
    assert sorted(sizes) == [10, 20]
