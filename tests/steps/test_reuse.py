"""Steps do again only what has changed, in any kind of workspace."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.pipeline import run_all
from clustering_tasks.publication.files import published
from clustering_tasks.steps.label.label import label
from clustering_tasks.steps.merge.merge import merge
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.workspace.artefacts import Result, Run
from tests.conftest import CommandLine, Workbench
from tests.stage3_folder import DIMENSION, blobs

STEPS = ("snapshot", "plan", "cluster-0", "merge", "tag", "trend", "identify", "label", "map")
OF_ANY_RUN = set(STEPS) - {"identify", "label", "map"}  # ids and records carry the run


def reused(workbench: Workbench, job: str, **settings: Any) -> set[str]:
    workbench.perform("documents", job, **settings)
    run = workbench.start("documents", job, **settings)
    return {step for step in STEPS if run.result(step).reused}


@pytest.fixture
def once(workbench: Workbench) -> Workbench:
    workbench.stage3.write("documents", blobs([10, 10], noise=5))
    assert reused(workbench, "first") == set()
    return workbench


def test_the_same_run_again_does_nothing(once: Workbench) -> None:
    assert reused(once, "first") == set(STEPS)


def test_another_run_labels_anew_because_records_carry_the_run(once: Workbench) -> None:
    assert reused(once, "second") == OF_ANY_RUN


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"hdbscan": {"min_cluster_size": 3}}, {"snapshot", "plan", "cluster-0"}),
        ({"neighbours": {"k": 12}}, {"snapshot"}),
        ({"parts": {"max_count": 3}}, {"snapshot"}),
        ({"input": {"dimension": DIMENSION, "norm_tolerance": 0.01}}, set()),
        ({"label": {"keywords": 3}}, OF_ANY_RUN),
        ({"publish": {"min_items": 1}}, OF_ANY_RUN),
        (
            {"input": {"dimension": DIMENSION, "copy_attempts": 9}},
            OF_ANY_RUN,
        ),
    ],
)
def test_a_setting_repeats_the_steps_that_read_it_and_those_after(
    once: Workbench, settings: dict[str, Any], steps: set[str]
) -> None:
    assert reused(once, "other", **settings) == steps


def test_new_vectors_repeat_everything(once: Workbench) -> None:
    once.stage3.write("documents", blobs([10, 10], noise=6))
    assert reused(once, "other") == set()


def test_a_step_that_was_cut_short_is_all_that_is_repeated(once: Workbench) -> None:
    merged = once.start("documents", "first").result("merge")
    (UPath(merged.uri) / "result.json").unlink()
    assert reused(once, "first") == set(STEPS) - {"merge"}


@pytest.fixture(params=["file://", "memory://"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file://":
        yield f"file://{tmp_path}/by-uri"
        return
    store = UPath("memory://test-reuse")
    yield str(store / "workspace")
    store.fs.rm(store.path, recursive=True)


def test_a_workspace_may_be_any_uri(
    cli: CommandLine, once: Workbench, elsewhere: str, tmp_path: Path
) -> None:
    outcome = cli(
        *("run", "--level", "documents", "--indices", once.stage3.path, "--job", "first"),
        *("--workspace", elsewhere, "--as-of", "2026-03-01T12:00:00Z"),
        *("--set", f"input.dimension={DIMENSION}", "--set", "algorithm=hdbscan"),
    )
    assert outcome.code == 0, outcome.stderr
    assert outcome.result["published"]
    pointer = published(elsewhere, "documents")
    assert pointer is not None
    assert pointer.job_id == "first"
    local = once.start("documents", "first").result("label")
    there = UPath(outcome.result["clusters_jsonl"])
    assert there.read_bytes() == local.path("clusters_jsonl").read_bytes()
    dated = UPath(elsewhere) / "output" / "clustered_documents_2026-03-01.jsonl"
    assert dated.read_bytes() == there.read_bytes()
    assert json.loads(dated.read_text().splitlines()[0])["cluster_size"]


def test_an_older_run_is_not_published_over_a_newer_one(once: Workbench) -> None:
    older = once.start("documents", "older")
    older = replace(older, as_of=older.as_of.replace(year=2025))
    older.start()
    done = run_all(older, once.output, with_map=True)
    assert not done["published"]
    assert done["not_published_because"] == ["a newer run is published"]
    pointer = published(str(once.workspace), "documents")
    assert pointer is not None
    assert pointer.job_id == "first"


def test_new_code_of_the_algorithm_repeats_merge(
    once: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "clustering_tasks.steps.merge.merge.source_version"
    monkeypatch.setattr(name, lambda module: f"new {module}")
    assert reused(once, "first") == {"snapshot", "plan", "cluster-0"}


def test_the_method_is_resolved_by_plan_and_merge_needs_it(once: Workbench) -> None:
    run = once.start("documents", "first")
    (run.folder / "method.json").unlink()
    with pytest.raises(BadInputError, match=r"method\.json: perform \(or clear\) `plan` first"):
        merge(run)
    plan(run)
    assert merge(run).reused


def without_array(path: Path, name: str) -> None:
    with np.load(path) as arrays:
        kept = {other: arrays[other] for other in arrays.files if other != name}
    np.savez(path, allow_pickle=False, **kept)


@pytest.mark.parametrize(
    ("step", "file", "array", "behind"),
    [
        ("cluster-0", "graph", "nodes", merge),
        ("plan", "nodes", "group", merge),
        ("merge", "centroids", "centroids", label),
    ],
)
def test_an_array_that_another_version_did_not_write_is_named(
    once: Workbench, step: str, file: str, array: str, behind: Callable[[Run], Result]
) -> None:
    """Parts were ranges of rows once, and the graph's file had the first of them."""
    run = once.start("documents", "first")
    path = Path(run.result(step).files[file])
    without_array(path, array)
    for found in (run.folder.parents[1] / "artefacts" / behind.__name__).iterdir():
        found.fs.rm(found.path, recursive=True)
    told = rf"array `{array}` in `{path.name}`: another version.*`{step.partition('-')[0]}`"
    with pytest.raises(BadInputError, match=told):
        behind(run)


def test_a_plan_of_the_time_when_parts_were_ranges_is_named(once: Workbench) -> None:
    run = once.start("documents", "first")
    record = run.folder / "plan.json"
    plan_of_then = json.loads(record.read_text())
    del plan_of_then["files"]["part_of_node"]
    record.write_text(json.dumps(plan_of_then))
    without_array(Path(run.result("cluster-0").files["graph"]), "nodes")
    for found in (run.folder.parents[1] / "artefacts" / "merge").iterdir():
        found.fs.rm(found.path, recursive=True)
    with pytest.raises(BadInputError, match=r"no file `part_of_node`: another version.*`plan`"):
        merge(run)


def test_artefacts_of_another_version_are_refused_by_name(once: Workbench) -> None:
    run = once.start("documents", "first")
    record = run.folder / "plan.json"
    plan_of_then = json.loads(record.read_text())
    plan_of_then["files"]["spans"] = plan_of_then["files"].pop("time_ranges")
    record.write_text(json.dumps(plan_of_then))
    for path in (run.folder.parents[1] / "artefacts" / "merge").iterdir():
        path.fs.rm(path.path, recursive=True)
    with pytest.raises(BadInputError, match=r"no file `time_ranges`: another version.*`plan`"):
        merge(run)
    items = Path(run.result("snapshot").files["items"])
    then = pq.read_table(items)
    names = ["twin" if name == "first_identical_row" else name for name in then.column_names]
    pq.write_table(then.rename_columns(names), items)
    for path in (run.folder.parents[1] / "artefacts" / "plan").iterdir():
        path.fs.rm(path.path, recursive=True)
    with pytest.raises(BadInputError, match=r"first_identical_row.*another version.*`snapshot`"):
        plan(run)
