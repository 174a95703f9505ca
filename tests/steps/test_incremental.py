"""Runs that continue the one before: what is new finds its place, what is old keeps it."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from upath import UPath

from clustering_tasks.arrays import F32
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import freeze
from clustering_tasks.deleted_documents.tombstones import document_hash, key_check, tombstones
from clustering_tasks.incremental.mode import recorded_mode
from clustering_tasks.pipeline import run_all
from clustering_tasks.publication.report import read_report
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.redact.redact import redact
from clustering_tasks.steps.snapshot.snapshot import snapshot
from clustering_tasks.workspace.artefacts import Run
from tests.conftest import Workbench
from tests.stage3_folder import blobs, plain_metadata, scattered, unit

# So many items of each of four stories, and loners; the algorithm is each level's own.
SIZES = (12, 12, 12, 12)
LONERS = 8
SECRET = "a secret of the tests"


class Series:
    """Runs of a level one after the other, a day apart, of vectors that a test changes."""

    def __init__(self, workbench: Workbench, level: str = "documents", **settings: Any) -> None:
        self.workbench, self.level = workbench, level
        self.settings = {"algorithm": "auto", "mode": "incremental"} | settings
        self.days = 0

    def run(self, vectors: F32, metadata: list[Any] | None = None, **settings: Any) -> Run:
        self.workbench.stage3.write(self.level, vectors, metadata)
        return self.again(f"day-{self.days}", **settings)

    def again(self, job: str, corrections: Sequence[Correction] = (), **settings: Any) -> Run:
        run = self.start(job, corrections, **settings)
        run_all(run, self.workbench.output)
        return run

    def start(self, job: str, corrections: Sequence[Correction] = (), **settings: Any) -> Run:
        run = self.workbench.start(self.level, job, **self.settings | settings)
        digest = freeze(run.workspace, self.level, corrections)
        run = replace(run, as_of=run.as_of + timedelta(days=self.days), corrections=digest)
        run.start()
        self.days += 1
        return run


def labels(run: Run) -> list[int | None]:
    with run.result("merge").path("assignments").open("rb") as file:
        found = pd.read_parquet(file)["cluster"]
    return [None if pd.isna(label) else int(label) for label in found]


def mode(run: Run) -> dict[str, Any]:
    report = read_report(run.result("label").files["report"])
    found: dict[str, Any] = (report.model_extra or {})["mode"]
    return found


def same(one: list[int | None], other: list[int | None]) -> bool:
    """Whether two clusterings of the same items are the same but for the numbers."""
    return len({*zip(one, other, strict=True)}) == len({*one}) == len({*other})


@pytest.fixture
def vectors() -> F32:
    return blobs(SIZES, noise=LONERS)


@pytest.fixture
def series(workbench: Workbench) -> Series:
    return Series(workbench)


@pytest.fixture(params=["a small level, clustered anew", "a large one, by vote"])
def large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    by_vote: bool = request.param.endswith("vote")
    if by_vote:
        monkeypatch.setattr("clustering_tasks.steps.merge.merge.LARGEST", 0)
    return by_vote


def test_the_first_run_is_full_and_the_report_says_why(series: Series, vectors: F32) -> None:
    found = mode(series.run(vectors))
    assert (found["asked"], found["taken"]) == ("incremental", "full")
    assert found["reason"] == "no earlier run is published"
    assert found["voted"] is None


def test_nothing_new_changes_nothing(series: Series, vectors: F32) -> None:
    first = series.run(vectors)
    second = series.run(vectors)
    assert mode(second)["taken"] == "incremental"
    assert mode(second)["reason"] == "continues run day-0"
    assert labels(second) == labels(first)
    assert mode(second)["changed_memberships"] == mode(second)["new_items"] == 0
    assert second.result("cluster-0").metrics["searched"] == 0


def test_new_items_join_their_story_and_old_ones_stay(
    series: Series, vectors: F32, large: bool
) -> None:
    first = series.run(vectors)
    rng = np.random.default_rng(5)
    more = unit(vectors[[0, 13, 26]] + 0.05 * rng.normal(size=(3, vectors.shape[1])))
    second = series.run(np.concatenate([vectors, more]))
    was, now = labels(first), labels(second)
    assert now[: len(was)] == was
    assert now[len(was) :] == [was[0], was[13], was[26]]
    found = mode(second)
    assert (found["new_items"], found["voted"], found["new_since_full"]) == (3, 3, 3)
    assert found["changed_memberships"] == 0
    assert (found["vote_agreement"] is not None) == large
    assert (found["vote_agreement"] or 1) > 0.9
    assert found["may_differ"] < 0.01
    third = series.run(np.concatenate([vectors, more]))
    assert labels(third) == now
    assert mode(third)["new_since_full"] == 3
    assert mode(third)["last_full"] == "day-0"


@pytest.mark.usefixtures("large")
def test_new_items_that_join_nothing_form_a_story_of_their_own(
    series: Series, vectors: F32
) -> None:
    was = labels(series.run(vectors))
    second = series.run(np.concatenate([vectors, blobs((6,), seed=77)]))
    now = labels(second)
    assert now[: len(was)] == was
    assert len({*now[len(was) :]}) == 1
    assert now[-1] not in {*was, None}
    assert mode(second)["new_clusters"] == 1
    assert mode(second)["voted"] == 0


@pytest.mark.usefixtures("large")
def test_an_item_whose_vector_changed_is_assigned_anew(series: Series, vectors: F32) -> None:
    was = labels(series.run(vectors))
    moved = vectors.copy()
    moved[:1] = unit(vectors[13:14] + 0.01 * scattered(1))
    second = series.run(moved)
    now = labels(second)
    assert now[0] == was[13] != was[0]
    assert now[1:] == was[1:]
    plan = second.result("plan").metrics
    assert (plan["new_nodes"], plan["gone_nodes"]) == (1, 1)


@pytest.mark.usefixtures("large")
def test_items_that_are_gone_leave_and_a_story_that_lost_its_members_ends(
    series: Series, vectors: F32
) -> None:
    was = labels(series.run(vectors))
    rows = [*range(5), 12, *range(24, len(vectors))]  # 5 of the first story, 1 of the second
    second = series.run(vectors[rows], [plain_metadata("documents", row) for row in rows])
    found = mode(second)
    assert found["taken"] == "incremental"
    assert found["ended_clusters"] == 1
    now = labels(second)
    assert now[5] is None
    before = [was[row] for row in rows]
    assert same(now[:5] + now[6:], before[:5] + before[6:])


def test_another_date_of_an_item_makes_it_new_where_dates_count(
    workbench: Workbench, vectors: F32
) -> None:
    series = Series(workbench, "events", **{"evidence.context": False})
    each = [plain_metadata("events", number) for number in range(len(vectors))]
    series.run(vectors, each)
    each[3] = each[3] | {"temporal_reference": "2025-06-01T00:00:00Z"}
    assert series.run(vectors, each).result("plan").metrics["new_nodes"] == 1


@pytest.mark.parametrize("level", ["events", "entities", "storylines"])
@pytest.mark.parametrize("exact_rows", [40_000, 0])
def test_every_level_and_both_searches(
    workbench: Workbench, vectors: F32, level: str, exact_rows: int
) -> None:
    series = Series(workbench, level, **{"neighbours.exact_rows": exact_rows})
    each = [plain_metadata(level, number) for number in range(len(vectors))]
    first = series.run(vectors, each)
    more = unit(vectors[[0, 13]] + 0.02 * np.random.default_rng(5).normal(size=(2, 16)))
    each += [each[0], each[13]]
    second = series.run(np.concatenate([vectors, more]), each)
    assert mode(second)["taken"] == "incremental"
    was, now = labels(first), labels(second)
    assert same(was, now[: len(was)])
    assert now[-2:] == [now[0], now[13]]
    assert second.result("plan").metrics["new_nodes"] == 2
    assert second.result("cluster-0").metrics["searched"] == 2


@pytest.mark.parametrize("exact_rows", [40_000, 0])
def test_rows_taken_over_are_those_of_a_search(
    series: Series, vectors: F32, exact_rows: int
) -> None:
    k: dict[str, Any] = {
        "neighbours.k": 8,
        "neighbours.exact_rows": exact_rows,
        "neighbours.probes": 200,
    }
    series.run(vectors[:40], **k)
    run = series.run(vectors, **k)
    with run.result("plan").path("features").open("rb") as file:
        features = np.load(file)
    with run.result("cluster-0").path("graph").open("rb") as file, np.load(file) as graph:
        ids, distances = graph["ids"], graph["distances"]
    products = features @ features.T
    np.fill_diagonal(products, -np.inf)
    true = -np.sort(-products, axis=1)[:, :8]
    assert (ids >= 0).all()
    assert (np.diff(distances, axis=1) >= 0).all()
    given = np.take_along_axis(products, ids, axis=1)
    assert np.abs(1 - distances**2 / 2 - given).max() < 1e-5
    # an old row may lack a new one that has nearer ones: new rows offer only to their own nearest
    assert (np.abs(given - true) < 1e-5).mean() > 0.95
    with run.result("plan").path("former").open("rb") as file:
        new = np.load(file) < 0
    assert (np.abs(given - true)[new] < 1e-5).all()


REFUSED = {
    "other settings: neighbours.k": {"neighbours.k": 9},
    "scope=domain": {"scope": "domain"},
    "kmeans": {"algorithm": "kmeans"},
    "agglomerative.clusters": {"agglomerative.clusters": 3},
    "another algorithm": {"algorithm": "hdbscan"},
}


@pytest.mark.parametrize(("reason", "settings"), REFUSED.items(), ids=REFUSED)
def test_a_base_of_other_settings_makes_the_run_full(
    series: Series, vectors: F32, reason: str, settings: dict[str, Any]
) -> None:
    series.run(vectors)
    found = mode(series.run(vectors, **settings))
    assert found["taken"] == "full"
    assert reason in found["reason"]


@pytest.mark.parametrize("step", ["plan", "cluster", "merge", "snapshot"])
def test_a_base_whose_artefacts_are_gone_makes_the_run_full(
    series: Series, vectors: F32, step: str
) -> None:
    first = series.run(vectors)
    folder = UPath(first.result("cluster-0" if step == "cluster" else step).uri)
    folder.fs.rm(folder.path, recursive=True)
    found = mode(series.run(vectors[1:]))
    assert found["taken"] == "full"
    assert f"artefacts of run day-0 are gone: {step}" in found["reason"]


def test_code_of_another_version_makes_the_run_full(
    series: Series, vectors: F32, monkeypatch: pytest.MonkeyPatch
) -> None:
    series.run(vectors)
    name = "clustering_tasks.incremental.base.step_version"
    monkeypatch.setattr(name, lambda step: f"new {step}")
    assert "another version" in mode(series.run(vectors))["reason"]


def test_an_incremental_run_gives_the_same_whether_it_is_asked_for_or_auto(
    series: Series, vectors: F32
) -> None:
    series.run(vectors[:-1])
    one = series.run(vectors)
    other = series.workbench.start("documents", "other", **series.settings | {"mode": "auto"})
    other = replace(other, as_of=one.as_of - timedelta(hours=1))
    other.start()
    run_all(other, series.workbench.output)
    assert mode(other)["taken"] == "incremental"
    assert other.result("merge").key == one.result("merge").key


def test_performed_again_a_run_continues_the_same_one(series: Series, vectors: F32) -> None:
    runs = [series.run(vectors[: len(vectors) - left]) for left in (3, 2, 1)]
    before = runs[1].result("merge").key
    series.workbench.stage3.write("documents", vectors[: len(vectors) - 2])
    run_all(runs[1], series.workbench.output)  # the third is published
    assert mode(runs[1])["base"] == "day-0"
    assert runs[1].result("merge").key == before


LIMITS = {
    "days old": {"incremental.max_age_days": 0.5},
    "are new since": {"incremental.max_new_share": 0.01},
}


@pytest.mark.parametrize(("reason", "limits"), LIMITS.items(), ids=LIMITS)
def test_auto_makes_a_full_run_at_each_limit(
    series: Series, vectors: F32, reason: str, limits: dict[str, Any]
) -> None:
    series.run(vectors[:-2])
    found = mode(series.run(vectors, mode="auto", **limits))
    assert found["taken"] == "full"
    assert reason in found["reason"]
    assert mode(series.run(vectors, mode="auto"))["last_full"] == "day-1"


SHARE_AND_DROP: dict[str, Any] = {
    "incremental.max_new_share": 1,
    "incremental.max_quality_drop": 0.02,
}


def test_auto_makes_a_full_run_where_quality_has_fallen(series: Series, vectors: F32) -> None:
    series.run(vectors, mode="auto")
    # each joins its story, at its edge
    far = unit(vectors[:48] + 0.12 * np.random.default_rng(3).normal(size=(48, 16)))
    both = np.concatenate([vectors, far])
    series.run(both, None, **{"incremental.vote_similarity": 0.1})
    found = mode(series.run(both, mode="auto", **SHARE_AND_DROP))
    assert found["taken"] == "full"
    assert "silhouette fell" in found["reason"]


def test_an_outlier_policy_goes_over_all_noise(workbench: Workbench, vectors: F32) -> None:
    policy = {"outliers.policy": "nearest", "outliers.threshold": 0.0}
    series = Series(workbench, "events", **policy)
    was = labels(series.run(vectors))
    now = labels(series.run(vectors))
    assert now == was


def test_the_threshold_may_be_set(series: Series, vectors: F32) -> None:
    series.run(vectors[:-1])
    found = mode(series.run(vectors, None, **{"incremental.vote_similarity": 0.9}))
    assert found["vote_similarity"] == 0.9


def test_after_a_deletion_the_next_run_is_full_without_the_document(
    workbench: Workbench, vectors: F32
) -> None:
    series = Series(workbench, "events")
    series.run(vectors)
    second = series.run(vectors)
    items = pd.read_parquet(second.result("snapshot").files["items"])
    gone = items["document_id"].iloc[0]
    deleted = tombstones(SECRET, [document_hash(SECRET, gone)], {key_check(SECRET)})
    redact(workbench.workspace, second.level, "redact", deleted)
    third = replace(second, job_id="third", as_of=second.as_of + timedelta(days=1))
    third.start()
    run_all(third, workbench.output, deleted)
    assert mode(third)["taken"] == "full"
    assert "artefacts of run day-1 are gone" in mode(third)["reason"]
    left = pd.read_parquet(third.result("snapshot").files["items"])["document_id"]
    assert gone not in set(left)


def test_after_a_correction_was_undone_a_run_clusters_all_anew(
    series: Series, vectors: F32
) -> None:
    was = labels(series.run(vectors))
    names = series.workbench.stage3.write(series.level, vectors)
    items = (names[0], names[13])
    link = Correction(correction_id=7, kind="together", items=items)
    pin = Correction(correction_id=9, kind="pin", cluster_id="document_000000000000")
    with_link = series.again("day-1", corrections=[link, pin])
    assert mode(with_link)["taken"] == "incremental"
    found = labels(with_link)
    assert found[0] == found[13]
    renumbered = series.again("day-2", corrections=[link.model_copy(update={"correction_id": 1})])
    assert mode(renumbered)["taken"] == "incremental"
    undone = series.again("day-3")
    assert mode(undone)["taken"] == "full"
    assert (
        "corrections of run day-2 were undone or erased since: together 1"
        in (mode(undone)["reason"])
    )
    assert same(labels(undone), was)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil(path: Path) -> None:
    """Change bytes in the middle, as a bad disk does."""
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at : at + 8] = bytes(255 - each for each in content[at : at + 8])
    path.write_bytes(content)


def test_what_merge_has_mended_is_taken_over(workbench: Workbench) -> None:
    vectors = blobs((30, 20), noise=150)
    few = {"neighbours.exact_rows": 0, "neighbours.probes": 2, "neighbours.k": 8}
    series = Series(workbench, "documents", **few)
    first = series.run(vectors)
    with np.load(first.result("merge").files["graph"]) as graph:
        mended = graph["ids"]
    with np.load(first.result("cluster-0").files["graph"]) as graph:
        assert (mended != graph["ids"]).mean() > 0.05
    # nothing is new: all rows are those of before
    again = series.run(vectors)
    assert mode(again)["taken"] == "incremental"
    with np.load(again.result("cluster-0").files["graph"]) as graph:
        np.testing.assert_array_equal(graph["ids"], mended)


def empty_list(path: Path) -> None:
    path.write_text("[]")


def test_a_damaged_base_is_as_a_missing_one(series: Series, vectors: F32, tmp_path: Path) -> None:
    first = series.run(vectors)
    series.workbench.stage3.write(series.level, np.concatenate([vectors, blobs((2,), seed=5)]))
    workspace, kept = Path(str(series.workbench.workspace)), tmp_path / "kept"
    shutil.copytree(workspace, kept)
    taken = {
        "plan": ("nodes", "node_keys", "cells"),
        "merge": ("assignments", "learned"),
        "cluster-0": ("graph",),
        "snapshot": ("items",),
    }
    paths = [Path(first.result(name).files[file]) for name in taken for file in taken[name]]
    records = [Path(str(first.folder)) / f"{name}.json" for name in (*taken, "run")]
    artefact = Path(first.result("merge").uri) / "result.json"
    cases = [(path, halve) for path in (*paths, *records, artefact)]
    cases += [(path, spoil) for path in paths if path.suffix == ".npz"]
    cases += [(path, empty_list) for path in records]
    for number, (path, damage) in enumerate(cases):
        damage(path)
        run = series.start(f"later-{number}")
        snapshot(run)
        plan(run)
        said = recorded_mode(run)
        assert said["taken"] == "full", (path, said)
        assert path.name in said["reason"] or path.stem in said["reason"], (path, said)
        shutil.rmtree(workspace)
        shutil.copytree(kept, workspace)
