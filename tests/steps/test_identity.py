"""Ids last from run to run: without a database, by the files that a run publishes."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import document_hash, key_check, tombstones
from clustering_tasks.errors import BadInputError, SettingsError
from clustering_tasks.identity.former_ids import former_id
from clustering_tasks.identity.published import find_base, registries
from clustering_tasks.pipeline import run_all
from clustering_tasks.publication.files import published, write_published
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.identify.identify import identify
from clustering_tasks.steps.redact.redact import redact
from clustering_tasks.workspace.artefacts import Run
from tests.conftest import CommandLine, Workbench
from tests.contract import check_jsonl
from tests.stage3_folder import DIMENSION, Stage3Folder, blobs

Json = dict[str, Any]
SECRET = "a secret of the tests"
STORIES = blobs([30, 30, 30], noise=12, seed=3)  # of which a day has some
SETTINGS = {"hdbscan.min_cluster_size": 3, "hdbscan.min_samples": 2}


@dataclass(frozen=True)
class Daily:
    """A folder of documents that changes from day to day, and the runs that are published."""

    workbench: Workbench

    @property
    def workspace(self) -> Path:
        return Path(self.workbench.workspace.path)

    def run(self, day: int, items: Sequence[int], job: str | None = None, **settings: Any) -> Run:
        """Start a run of some of the items."""
        self._write(items)
        run = self.workbench.start("documents", job or f"day-{day}", **(SETTINGS | settings))
        run = replace(run, as_of=run.as_of + timedelta(days=day))
        run.start()
        return run

    def publish(self, day: int, items: Sequence[int], **settings: Any) -> dict[str, Json]:
        """Publish a run; return its records by id."""
        return self.publish_run(self.run(day, items, **settings))

    def publish_run(self, run: Run) -> dict[str, Json]:
        done = run_all(run, self.workbench.output)
        assert done["published"], done
        check_jsonl(Path(done["clusters_jsonl"]))
        return records(Path(done["clusters_jsonl"]))

    def _write(self, items: Sequence[int]) -> None:
        stage3 = self.workbench.stage3
        names = stage3.write("documents", STORIES)
        whole = stage3.read_metadata("documents")
        kept = [names[number] for number in items]
        entries = [whole["metadata_store"][name]["metadata"] for name in kept]
        stage3.write("documents", STORIES[list(items)], entries)
        _rename(stage3, kept)


def _rename(stage3: Stage3Folder, names: list[str]) -> None:
    """Give the items the ids that they have in the whole collection."""
    written = stage3.read_metadata("documents")
    old = list(written["id_map"])
    new = dict(zip(old, names, strict=True))
    store = {
        new[name]: entry | {"source_id": new[name].removeprefix("doc_emb_")}
        for name, entry in written["metadata_store"].items()
    }
    stage3.write_metadata(
        "documents",
        {
            "metadata_store": store,
            "id_map": {new[name]: row for name, row in written["id_map"].items()},
            "reverse_id_map": {row: new[name] for row, name in written["reverse_id_map"].items()},
        },
    )


def records(path: Path) -> dict[str, Json]:
    lines = map(json.loads, path.read_bytes().splitlines())
    return {record["cluster_id"]: record for record in lines}


def holding(found: dict[str, Json], number: int) -> str:
    """The id of the cluster that holds an item, by its number."""
    name = f"doc_{number:04d}"
    (cluster_id,) = [key for key, record in found.items() if name in record["member_ids"]]
    return cluster_id


@pytest.fixture
def daily(workbench: Workbench) -> Daily:
    return Daily(workbench)


FIRST = [*range(20), *range(30, 50)]
SECOND = [*range(25), *range(30, 55), *range(60, 75)]


def test_ids_stay_while_a_collection_grows(daily: Daily) -> None:
    one = daily.publish(1, FIRST)
    assert {record["lineage"] for record in one.values()} == {"born"}
    assert len(one) == 2
    two = daily.publish(2, SECOND)
    assert set(one) < set(two)
    assert {two[name]["lineage"] for name in one} == {"grew"}
    (new,) = set(two) - set(one)
    assert (two[new]["lineage"], two[new]["previous_ids"]) == ("born", [])
    three = daily.publish(3, SECOND)
    assert set(three) == set(two)
    assert {record["lineage"] for record in three.values()} == {"continued"}
    run = daily.run(4, FIRST)
    daily.publish_run(run)
    report = json.loads(Path(run.result("label").files["report"]).read_bytes())
    assert {change: ids for change, ids in report["lineage"].items() if ids} == {
        "continued": 2,
        "dormant": 1,
    }
    made = {name: record["labelled_at"] for name, record in two.items()}
    assert {name: record["labelled_at"] for name, record in three.items()} == made


def test_a_run_again_and_an_old_run_cleared_change_no_byte(daily: Daily) -> None:
    for day, items in enumerate([FIRST, SECOND, SECOND[5:]], start=1):
        daily.publish(day, items)
    before = {path.name: path.read_bytes() for path in _files(daily)}
    pointer = published(str(daily.workbench.workspace), "documents")
    for day, items in ((3, SECOND[5:]), (1, FIRST), (2, SECOND)):
        run = daily.run(day, items)
        shutil.rmtree(daily.workspace / "documents" / "artefacts" / "identify")
        shutil.rmtree(daily.workspace / "documents" / "artefacts" / "label")
        run_all(run, daily.workbench.output)
        assert not run.result("identify").reused
        assert {path.name: path.read_bytes() for path in _files(daily)} == before
    assert published(str(daily.workbench.workspace), "documents") == pointer


def _files(daily: Daily) -> list[Path]:
    workspace = daily.workspace
    folders = (workspace / "output", workspace / "documents" / "identities")
    return [path for folder in folders for path in sorted(folder.iterdir())]


def test_the_order_of_the_items_is_irrelevant(daily: Daily, tmp_path: Path) -> None:
    other = Daily(Workbench(Stage3Folder(tmp_path / "other"), UPath(tmp_path / "elsewhere")))
    shuffled = np.random.default_rng(1).permutation(SECOND).tolist()
    daily.publish(1, FIRST)
    other.publish(1, FIRST[::-1])
    assert other.publish(2, shuffled) == daily.publish(2, SECOND)


def test_a_story_that_is_left_out_for_a_day_returns_with_its_id(daily: Daily) -> None:
    one = daily.publish(1, SECOND)
    sleeper = holding(one, 60)
    two = daily.publish(2, SECOND[:50])
    assert sleeper not in two
    three = daily.publish(3, SECOND)
    assert three[sleeper]["lineage"] == "returned"
    states = pq.read_table(str(registries(daily.workbench.workspace, "documents")[1]))
    found = dict(zip(states["cluster_id"].to_pylist(), states["state"].to_pylist(), strict=True))
    assert found[sleeper] == "dormant"


def test_with_a_look_back_of_one_run_it_has_ended(daily: Daily) -> None:
    look_back = {"identity.look_back": 1}
    one = daily.publish(1, SECOND, **look_back)
    sleeper = holding(one, 60)
    daily.publish(2, SECOND[:50], **look_back)
    three = daily.publish(3, SECOND, **look_back)
    assert sleeper not in three
    assert three[holding(three, 60)]["lineage"] == "born"


def test_a_filter_is_no_split(daily: Daily) -> None:
    one = daily.publish(1, SECOND)
    few = [f"doc_{number:04d}" for number in (*range(8), *range(30, 38))]
    two = daily.publish(2, SECOND, **{"filter.document_ids": few})
    assert set(two) < set(one)
    assert {record["lineage"] for record in two.values()} == {"continued"}
    assert set(daily.publish(3, SECOND)) == set(one)


def test_a_run_for_an_earlier_moment_goes_on_from_what_was_published_then(daily: Daily) -> None:
    one = daily.publish(1, FIRST)
    daily.publish(5, SECOND)
    late = daily.run(3, SECOND)
    run_all(late, daily.workbench.output)
    metrics = late.result("identify").metrics
    assert (metrics["base_job"], metrics["grew"]) == ("day-1", 2)
    base = find_base(late.workspace, "documents", "day-9", late.as_of)
    assert base is not None
    assert base.job_id == "day-1"
    assert set(one) <= set(records(Path(late.result("label").files["clusters_jsonl"])))


def test_another_run_of_the_same_moment_goes_on_from_the_published_one(daily: Daily) -> None:
    one = daily.publish(1, FIRST)
    assert set(daily.publish(1, SECOND, job="again")) > set(one)


def test_the_ids_of_a_version_without_lasting_ids_are_adopted(daily: Daily) -> None:
    """Such a version named a cluster by its members, and left no registry."""
    run = daily.run(1, SECOND)
    run_all(run, daily.workbench.output)
    former = _as_a_former_version(daily, run)
    two = daily.publish(2, [*SECOND, 26, 27])
    assert set(two) == former
    again = daily.run(2, [*SECOND, 26, 27])
    assert identify(again).reused
    assert again.result("identify").metrics["base_job"] == "day-1"


def _as_a_former_version(daily: Daily, run: Run) -> set[str]:
    """Make of a published run what a version without lasting ids would have left."""
    label = run.result("label")
    ids = {}
    for name, record in records(Path(label.files["clusters_jsonl"])).items():
        ids[name] = former_id("document", [f"doc_emb_{each}" for each in record["member_ids"]])
    for file in ("members_csv", "clusters_csv", "clusters_jsonl"):
        path = Path(label.files[file])
        text = path.read_text()
        for new, old in ids.items():
            text = text.replace(new, old)
        path.write_text(text)
    shutil.rmtree(daily.workspace / "documents" / "identities")
    (run.folder / "identify.json").unlink()
    current = published(str(run.workspace), "documents")
    assert current is not None
    write_published(str(run.workspace), current.model_copy(update={"identities": None}))
    return set(ids.values())


def test_what_a_run_goes_on_from_is_named_where_it_is_gone(daily: Daily) -> None:
    daily.publish(1, FIRST)
    shutil.rmtree(daily.workspace / "documents" / "identities")
    run = daily.run(2, SECOND)
    with pytest.raises(BadInputError, match=r"record-day-1-.*restore it.*published\.json"):
        run_all(run, daily.workbench.output)


def test_a_workspace_whose_runs_are_in_a_database_is_refused(daily: Daily) -> None:
    daily.publish(1, FIRST)
    workspace = str(daily.workbench.workspace)
    current = published(workspace, "documents")
    assert current is not None
    write_published(workspace, current.model_copy(update={"database": True}))
    run = daily.run(2, SECOND)
    with pytest.raises(SettingsError, match=r"--workspace another folder.*cluster_documents"):
        run_all(run, daily.workbench.output)


def test_deleted_documents_leave_every_registry_and_ids_stay(daily: Daily) -> None:
    one = daily.publish(1, SECOND)
    two = daily.publish(2, SECOND[5:])  # the first five are in the registry alone
    gone = ["doc_0002", "doc_0010", *(f"doc_{number:04d}" for number in range(60, 74))]
    deleted = tombstones(
        SECRET, [document_hash(SECRET, name) for name in gone], {key_check(SECRET)}
    )
    workspace = daily.workbench.workspace
    done = redact(workspace, LEVELS["documents"], "redact", deleted)
    assert done.metrics["runs_rewritten"] == 2
    assert done.metrics["registries_cut"]
    for path in Path(workspace.path).rglob("items*.parquet"):
        left = pq.read_table(path)["document_id"].to_pylist()
        assert not set(gone) & set(left), path
    assert not list(Path(workspace.path).glob("documents/identities/labels-*"))
    run = daily.workbench.start("documents", "day-2")
    cut = records(Path(run.result("label").files["clusters_jsonl"]))
    lost = holding(two, 60)
    assert set(cut) == set(two) - {lost}
    assert set(two) == set(one)
    states = _states(Path(run.result("identify").files["identities"]))
    assert {states[name] for name in cut} == {"active"}
    assert states[lost] == "deleted"
    (newest,) = [p for p in registries(workspace, "documents") if "day-2" in p.name]
    assert _states(Path(newest.path)) == states
    again = redact(workspace, LEVELS["documents"], "redact", deleted)
    assert again.metrics["registries_cut"] == 0
    items = [n for n in SECOND[5:] if f"doc_{n:04d}" not in gone]
    three = daily.publish(3, items)
    assert set(three) == set(cut)


def _states(identities: Path) -> dict[str, str]:
    table = pq.read_table(identities)
    return dict(zip(table["cluster_id"].to_pylist(), table["state"].to_pylist(), strict=True))


def test_the_command_line_keeps_ids_from_run_to_run(
    cli: CommandLine, daily: Daily, tmp_path: Path
) -> None:
    found = []
    for day, items in ((1, FIRST), (2, SECOND)):
        daily.run(day, items)
        place = ("--indices", daily.workbench.stage3.path, "--workspace", tmp_path / "other")
        chosen = ["algorithm=hdbscan", f"input.dimension={DIMENSION}"]
        chosen += [f"{name}={value}" for name, value in SETTINGS.items()]
        outcome = cli(
            *("run", "--level", "documents", *place),
            *(part for each in chosen for part in ("--set", each)),
        )
        assert outcome.code == 0, outcome.stderr
        found.append(records(Path(outcome.result["clusters_jsonl"])))
    assert set(found[0]) < set(found[1])


def test_a_first_publication_that_fails_leaves_no_ids_to_go_on_from(daily: Daily) -> None:
    first = daily.run(0, range(102))
    taken = Path(daily.workbench.output.path) / f"clustered_documents_{first.job_id}.jsonl"
    taken.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        run_all(first, daily.workbench.output)
    assert registries(UPath(daily.workspace), "documents"), "the ids were written before the output"
    assert len(daily.publish(1, range(102))) == 3
    pointer = daily.workspace / "documents" / "published.json"
    pointer.unlink()
    with pytest.raises(BadInputError, match=r"published\.json is gone.*restore"):
        run_all(daily.run(2, range(102)), daily.workbench.output)
