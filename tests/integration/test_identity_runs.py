"""Lasting ids from Stage 3's files to the database: real runs, PostgreSQL and processes."""

import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from upath import UPath

from clustering_tasks.deleted_documents.tombstones import read_tombstones
from clustering_tasks.errors import BadInputError
from clustering_tasks.pipeline import perform_steps
from clustering_tasks.publication.files import published
from clustering_tasks.publication.report import Report, read_report
from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps import find_step
from clustering_tasks.steps.redact.redact import redact
from clustering_tasks.workspace.artefacts import Run
from stage4.assets import clusters_asset
from stage4.database import job_controls, roll_back
from stage4.database.load import load_run
from stage4.database.pointer import Pointer
from stage4.database.publish import publish_run
from stage4.deletions.requests import request
from stage4.runners.repeating import RepeatingOperator
from stage4.tasks import housekeeping
from stage4.tasks import level as tasks
from stage4.tasks.delete_document import close_deletion, reload_level, start_deletion
from tests.integration.conftest import Results
from tests.integration.performed import files_of, label_of, load, publish
from tests.stage3_folder import SMALL, Stage3Folder, blobs, plain_metadata

Json = dict[str, Any]
STORIES = blobs([30, 30, 30], noise=12, seed=3)  # of which a day has some
SETTINGS = {"hdbscan.min_cluster_size": 3, "hdbscan.min_samples": 2}
FIRST, SECOND, THIRD = range(30), range(30, 60), range(60, 90)
MORNING = [*FIRST[:20], *SECOND[:20]]
NOON = [*FIRST[:25], *SECOND[:25], *THIRD[:15]]
EVENING = [*FIRST[:28], *THIRD[:20]]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
NOTHING_RUNS = SimpleNamespace(get_dr_count=lambda **_: 0)  # what Airflow tells a task of it


@dataclass(frozen=True)
class Days:
    """A workspace and its database, and a folder of Stage 3 that is another one each day."""

    folder: Path
    results: Results

    @property
    def workspace(self) -> UPath:
        return UPath(self.folder / "workspace")

    def run(self, level: str, day: int, items: Sequence[int]) -> Run:
        """Perform a run of some of the items up to `map`."""
        stage3 = Stage3Folder(self.folder / f"indices-{level}-{day}")
        stage3.path.mkdir(exist_ok=True)
        write(stage3, level, items)
        run = Run(
            workspace=self.workspace,
            level=LEVELS[level],
            job_id=f"cluster_{level}.day-{day}",
            indices=str(stage3.path),
            as_of=NOW + timedelta(days=day),
            settings=run_settings(SMALL, SETTINGS),
        )
        run.start()
        deleted = read_tombstones(self.workspace, deployment().deletion_key)
        perform_steps(run, deleted, with_map=True)
        return run

    def identities(self, level: str = "documents") -> list[tuple[Any, ...]]:
        query = "SELECT * FROM stage4.identities WHERE level = %s ORDER BY cluster_id"
        return self.results.rows(query, level, user=self.results.loader)

    def states(self) -> dict[str, str]:
        return {row[0]: row[2] for row in self.identities()}

    def shown(self) -> dict[str, frozenset[str]]:
        """The clusters that readers of documents see: their members by id."""
        rows = self.results.rows(
            "SELECT cluster_id, array_agg(source_id) FROM stage4.current_members"
            " WHERE level = 'documents' AND cluster_id IS NOT NULL GROUP BY 1"
        )
        return {name: frozenset(members) for name, members in rows}

    def of(self, number: int) -> str:
        """The id of the cluster with an item."""
        name = f"doc_{number:04d}"
        (found,) = [key for key, members in self.shown().items() if name in members]
        return found


def write(stage3: Stage3Folder, level: str, items: Sequence[int]) -> None:
    """Write some items under the ids that they have on every day."""
    metadata = [plain_metadata(level, number) for number in items]
    written = stage3.write(level, STORIES[list(items)], metadata)
    content = stage3.read_metadata(level)
    prefix = LEVELS[level].vector_prefix
    new = {old: f"{prefix}doc_{number:04d}" for old, number in zip(written, items, strict=True)}
    store = {}
    for old, entry in content["metadata_store"].items():
        document = new[old].removeprefix(prefix)
        own = entry["metadata"] | ({} if level == "documents" else {"document_id": document})
        store[new[old]] = entry | {"source_id": document, "metadata": own}
    stage3.write_metadata(
        level,
        {
            "metadata_store": store,
            "id_map": {new[old]: row for old, row in content["id_map"].items()},
            "reverse_id_map": {row: new[old] for row, old in content["reverse_id_map"].items()},
        },
    )


@pytest.fixture
def days(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Days]:
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("STAGE4_DELETION_SECRET", "a secret of the tests")
    monkeypatch.setattr("stage4.database.pointer.GRACE", "0 seconds")
    deployment.cache_clear()
    yield Days(tmp_path, results)
    deployment.cache_clear()


def test_ids_last_and_a_run_again_changes_none(days: Days) -> None:
    publish(one := days.run("documents", 1, MORNING))
    first, second = days.of(0), days.of(30)
    publish(two := days.run("documents", 2, NOON))
    assert (days.of(0), days.of(30)) == (first, second)
    third = days.of(60)
    assert days.states() == dict.fromkeys((first, second, third), "active")
    before, shown, pointer = days.identities(), days.shown(), published_name(days)
    bytes_before = Path(two.result("label").files["clusters_jsonl"]).read_bytes()

    again = days.run("documents", 2, NOON)  # the published run is cleared
    assert Path(again.result("label").files["clusters_jsonl"]).read_bytes() == bytes_before
    assert publish_again(again)["published"]
    assert (days.identities(), days.shown(), published_name(days)) == (before, shown, pointer)

    old = days.run("documents", 1, MORNING)  # an old one is
    assert files_of(old)["identities_csv"] == files_of(one)["identities_csv"]
    load(old)
    assert publish_run(label_of(old))["superseded"]
    assert (days.identities(), days.shown(), published_name(days)) == (before, shown, pointer)


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_a_lost_pointer_replaces_no_id_and_a_roll_back_restores_it(
    days: Days, content: str | None
) -> None:
    publish(days.run("documents", 1, MORNING))
    publish(days.run("documents", 2, NOON))
    load(three := days.run("documents", 3, EVENING))
    pointer = Path(str(days.workspace)) / "documents" / "published.json"
    before, was = days.states(), json.loads(pointer.read_bytes())
    if content is None:
        pointer.unlink()
    else:
        pointer.write_text(content)
    what = "gone" if content is None else "damaged"
    with pytest.raises(BadInputError, match=f"is {what}.*roll_back documents LOAD_ID"):
        publish_run(label_of(three))
    assert days.states() == before
    roll_back.roll_back("documents", 2)
    assert json.loads(pointer.read_bytes()) == was
    assert publish_run(label_of(three))["published"]
    assert days.states().keys() >= before.keys()


def test_a_run_of_the_database_is_not_replaced_by_one_of_an_empty_workspace(days: Days) -> None:
    publish(days.run("documents", 1, MORNING))
    shutil.rmtree(str(days.workspace / "documents" / "identities"))
    (days.workspace / "documents" / "published.json").unlink()
    load(two := days.run("documents", 2, NOON))
    with pytest.raises(BadInputError, match=r"published\.json is gone.*stage4\.published"):
        publish_run(label_of(two))


def test_a_roll_back_to_a_run_whose_registry_is_lost_says_so(days: Days) -> None:
    publish(one := days.run("documents", 1, MORNING))
    lost = published_name(days)
    publish(days.run("documents", 2, NOON))
    folder = days.workspace / "documents" / "identities"

    def lose() -> None:
        for path in folder.glob("*-cluster_documents.day-1-*"):
            path.unlink()

    lose()
    assert not roll_back.roll_back("documents", 1)["ids_lost"]
    assert published_name(days) == lost, "it is published again from the run's artefact"
    roll_back.roll_back("documents", 2)
    lose()
    shutil.rmtree(one.result("identify").uri)
    done = roll_back.roll_back("documents", 1)
    assert done["ids_lost"]
    assert "registry of ids of this run is gone" in roll_back._untold(done)


def publish_again(run: Run) -> Json:
    load(run)
    return publish_run(label_of(run))


def published_name(days: Days) -> str | None:
    current = published(str(days.workspace), "documents")
    assert current is not None
    return current.identities


def test_going_back_and_forward_again_restores_the_same_ids(days: Days) -> None:
    seen: list[Any] = []
    for day, items in enumerate((MORNING, NOON, EVENING), start=1):
        publish(days.run("documents", day, items))
        seen.append((days.identities(), days.shown(), published_name(days)))
    first = days.of(0)
    (second,) = [name for name, state in days.states().items() if state == "dormant"]
    assert second in seen[0][1]
    roll_back.roll_back("documents", 1)
    assert (days.shown(), published_name(days)) == seen[0][1:]
    assert {name: days.states()[name] for name in (first, second)} == {
        first: "active",
        second: "active",
    }
    for load_id in (2, 3):
        roll_back.roll_back("documents", load_id)
        assert (days.identities(), days.shown(), published_name(days)) == seen[load_id - 1]


def test_a_run_after_a_roll_back_goes_on_from_the_run_that_readers_see(days: Days) -> None:
    publish(days.run("documents", 1, MORNING))
    publish(days.run("documents", 2, NOON))
    lost = days.of(60)
    roll_back.roll_back("documents", 1)
    publish(days.run("documents", 3, NOON))
    new = days.of(60)
    assert new != lost, "an id of a withdrawn run is not used again"
    assert days.states()[lost] == "ended"
    roll_back.roll_back("documents", 2)
    assert (days.states()[lost], days.states()[new]) == ("active", "ended")


def test_ids_are_made_again_where_another_run_was_published_meanwhile(days: Days) -> None:
    publish(days.run("documents", 1, MORNING))
    late = days.run("documents", 3, NOON)  # its ids go on from day 1
    load(late)
    publish(days.run("documents", 2, NOON))
    third = days.of(60)
    assert third not in clusters_of(late), "both runs have minted an id for the same story"
    with pytest.raises(AirflowException, match="clear `identify`"):
        publish_run(label_of(late))
    assert days.of(60) == third

    done, pushed = perform_publish(late)
    assert done["published"]
    assert days.of(60) == third
    assert pushed["label"]["uri"] == label_of(late)["uri"] == done_uri(days)
    assert done["changes"]["counts"]["unchanged"] == 3
    query = "SELECT load_id FROM stage4.runs ORDER BY 1"
    loads = days.results.rows(query, user=days.results.loader)
    assert loads == [(1,), (3,), (4,)], "what was loaded with other ids has been replaced"


@pytest.mark.parametrize("done", [1, 2, 3])
def test_nothing_stale_is_published_where_making_the_ids_again_was_cut_off(
    days: Days, done: int
) -> None:
    publish(days.run("documents", 1, MORNING))
    late = days.run("documents", 3, NOON)  # its ids go on from day 1
    load(late)
    before = label_of(late)
    publish(days.run("documents", 2, NOON))
    third = days.of(60)

    def cut_off(load_id: int) -> Json:
        for act in (partial(perform, late, "identify"), partial(perform, late, "label"))[:done]:
            act()
        if done == 3:
            load_run(files_of(late), report_of(late), instead_of=load_id)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish_run(before, cut_off)
    with pytest.raises(AirflowException, match="clear `identify`"):
        publish_run(before)
    assert perform_publish(late, before)[0]["published"]
    assert days.of(60) == third
    assert clusters_of(late) == set(days.shown()) == lines_of(done_jsonl(days))


@pytest.mark.parametrize("by", ["the next run", "housekeeping"])
def test_files_of_a_publication_that_was_cut_off_for_good_are_withdrawn(
    days: Days, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(days.run("documents", 1, MORNING))
    first, shown = days.of(0), days.shown()
    load(two := days.run("documents", 2, NOON))
    with monkeypatch.context() as patched:
        patched.setattr(Pointer, "move", end_of_process)
        with pytest.raises(KeyboardInterrupt):
            publish_run(label_of(two))
    assert lines_of(done_jsonl(days)) != set(shown), "the files are ahead of the database"
    cancel(days, two)
    if by == "housekeeping":
        assert housekeeping.prune("documents", NOTHING_RUNS)["withdrawn_job"] == two.job_id
        assert lines_of(done_jsonl(days)) == set(shown)
        assert not list(days.folder.rglob("clustered_documents_2026-03-03.jsonl"))
        assert housekeeping.prune("documents", NOTHING_RUNS)["withdrawn_job"] is None
    load(three := days.run("documents", 3, NOON))
    assert perform_publish(three)[0]["published"]
    assert days.of(0) == first
    assert lines_of(done_jsonl(days)) == set(days.shown())
    minted = clusters_of(two) - set(shown)
    assert len(minted) == 1
    assert minted.isdisjoint(days.shown()), "nothing goes on from what was canceled"


def end_of_process(*_: Any) -> None:
    raise KeyboardInterrupt


def cancel(days: Days, run: Run) -> None:
    dag_id, _, run_id = run.job_id.partition(".")
    with days.results.server.connect(days.results.database, days.results.loader) as connection:
        job_controls.cancel(connection, dag_id, run_id, "uma")


def perform(run: Run, step: str) -> None:
    find_step(step).load()(run)


def report_of(run: Run) -> Report:
    return read_report(files_of(run)["report"])


def done_jsonl(days: Days) -> str:
    current = published(str(days.workspace), "documents")
    assert current is not None
    return current.clusters_jsonl


def lines_of(uri: str) -> set[str]:
    return {json.loads(line)["cluster_id"] for line in UPath(uri).read_text().splitlines()}


def clusters_of(run: Run) -> set[str]:
    import pyarrow.parquet as pq

    found: list[str] = pq.read_table(run.result("identify").files["ids"])["cluster_id"].to_pylist()
    return set(found)


def done_uri(days: Days) -> str | None:
    current = published(str(days.workspace), "documents")
    assert current is not None
    return current.label_uri


def perform_publish(run: Run, label: Json | None = None) -> tuple[Json, Json]:
    """Perform the DAG's task: the steps are processes of the real runner."""
    pushed: Json = {}
    dag_id, _, run_id = run.job_id.partition(".")
    context: Any = {
        "dag_run": SimpleNamespace(dag_id=dag_id, data_interval_end=None, run_after=run.as_of),
        "run_id": run_id,
        "ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value})),
        "outlet_events": {clusters_asset(run.level): SimpleNamespace(extra=None)},
    }
    operator = RepeatingOperator(
        task_id="publish",
        level=run.level.name,
        python_callable=tasks.publish,
        op_kwargs={"label": label or label_of(run)},
    )
    return operator.execute(context), pushed


def test_two_runs_and_two_levels_at_once(days: Days) -> None:
    """Both runs of documents went on from the same ids, and are published at the same time."""
    publish(days.run("documents", 1, MORNING))
    publish(days.run("events", 1, MORNING))
    runs = [days.run("documents", 2, NOON), days.run("documents", 3, NOON)]
    runs.append(days.run("events", 2, NOON))
    for run in runs:
        load(run)
    first, second = days.of(0), days.of(30)
    with ThreadPoolExecutor(3) as pool:
        ends = [end.result() for end in [pool.submit(end_of, run) for run in runs]]
    assert ends[1:] == ["published"] * 2
    assert ends[0] in ("published", "superseded")
    assert (days.of(0), days.of(30)) == (first, second)
    states = days.states()
    assert {name for name, state in states.items() if state == "active"} == set(days.shown())
    assert len(states) == 3, "whichever came first, the third story has one id"
    events = {row[0]: row[2] for row in days.identities("events")}
    assert (len(events), set(events.values())) == (3, {"active"})


def end_of(run: Run) -> str:
    try:
        perform_publish(run)
    except AirflowSkipException:
        return "superseded"
    return "published"


def test_a_deletion_keeps_an_id_while_two_members_remain(days: Days) -> None:
    publish(days.run("documents", 1, MORNING))
    first, second = days.of(0), days.of(30)
    members = sorted(days.shown()[second])
    for rest in (2, 1):
        gone = members[: len(members) - rest]
        delete(days, gone)
        alive = rest >= 2
        assert days.states() == {first: "active", second: "active" if alive else "deleted"}
        carry_out(days)
        assert days.states() == {first: "active", second: "active" if alive else "deleted"}
        assert (second in days.shown()) == alive
    publish(days.run("documents", 2, NOON))
    assert days.of(0) == first
    assert days.states()[second] == "deleted"
    assert second not in days.shown()


def delete(days: Days, documents: Sequence[str]) -> None:
    with days.results.server.connect(days.results.database, days.results.loader) as connection:
        for document in documents:
            request(connection, document, "vera")


def carry_out(days: Days) -> None:
    begun = start_deletion()
    deleted = read_tombstones(days.workspace, deployment().deletion_key)
    redact(days.workspace, LEVELS["documents"], "delete_document.1", deleted)
    reload_level("documents")
    close_deletion(begun)
