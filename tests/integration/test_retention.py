"""Old runs: which go, with what, and which stay."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.settings.deployment import deployment
from stage4.database import outbox
from stage4.database.connection import database
from stage4.database.job_events import Ended, Started
from stage4.database.load import load_run
from stage4.database.outbox import JobName
from stage4.database.publish import publish_run
from stage4.database.retention import prune
from stage4.database.roll_back import roll_back
from stage4.tasks import housekeeping
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

pytestmark = pytest.mark.usefixtures("workspace")
TODAY = datetime.now(UTC).replace(microsecond=0)


def load(label: Label) -> dict[str, Any]:
    files = label.write()
    load_run(files["files"], report_of(files))
    return files


@pytest.fixture
def labels(results: Results, tmp_path: Path) -> list[Label]:
    """Five runs, 100 to 60 days old; the first, third and fourth were published."""
    first = Label(tmp_path, job_id="run__1", as_of=TODAY - timedelta(days=100))
    labels = [
        replace(first, job_id=f"run__{number}", as_of=first.as_of + timedelta(days=10 * number))
        for number in range(5)
    ]
    for number, label in enumerate(labels):
        files = load(label)
        if number in {0, 2, 3}:
            publish_run(files)
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("UPDATE stage4.runs SET loaded_at = as_of")
    return labels


def runs(results: Results) -> list[int]:
    query = "SELECT load_id FROM stage4.runs ORDER BY load_id"
    return [load_id for (load_id,) in results.rows(query, user=results.loader)]


def files_of(workspace: Path) -> set[str]:
    return {path.name for path in (workspace / "output").iterdir()}


def test_old_runs_go_but_for_the_published_one_and_the_one_before(
    results: Results, workspace: Path, labels: list[Label]
) -> None:
    other = load(replace(labels[0], folder=labels[0].folder / "entities", level="entities"))
    done = prune("events", 55)
    assert runs(results) == [3, 4, 6]
    assert done == {
        "level": "events",
        "removed_runs": 3,
        "removed_files": 3,  # of the first run, of its day, and of the third run's day
        "kept_jobs": [labels[2].job_id, labels[3].job_id],
    }
    assert results.tables() == {
        f"{parent}_{number}" for parent in ("clusters", "members") for number in (3, 4, 6)
    }
    day = labels[3].as_of.date()
    own = {f"clustered_events_{label.job_id}.jsonl" for label in labels[2:4]}
    assert files_of(workspace) == {*own, f"clustered_events_{day}.jsonl"}
    assert report_of(other).level == "entities"
    history = results.rows("SELECT count(*) FROM stage4.publications", user=results.loader)
    assert history == [(3,)]


def test_what_is_kept_can_be_gone_back_to(
    results: Results, workspace: Path, labels: list[Label]
) -> None:
    prune("events", 1)
    assert roll_back("events")["load_id"] == 3
    assert results.rows("SELECT job_id FROM stage4.current_runs") == [(labels[2].job_id,)]


def test_young_runs_stay(results: Results, labels: list[Label]) -> None:
    assert prune("events", 101)["removed_runs"] == 0
    assert prune("events", 95)["removed_runs"] == 1
    assert runs(results) == [2, 3, 4, 5]
    assert prune("events", 95)["removed_runs"] == 0


def test_without_a_published_run_age_alone_counts(results: Results, labels: list[Label]) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        connection.execute("UPDATE stage4.published SET load_id = NULL")
    assert prune("events", 75)["removed_runs"] == 3
    assert runs(results) == [4, 5]


def test_a_run_that_was_loaded_late_is_as_old_as_its_rows(
    results: Results, labels: list[Label]
) -> None:
    load(replace(labels[0], job_id="backfill__1", as_of=TODAY - timedelta(days=400)))
    prune("events", 90)
    assert 6 in runs(results)


@dataclass(frozen=True)
class Airflow:
    """Stands for the task instance by which a task asks Airflow about runs: states by run id."""

    runs: Mapping[str, str]

    def get_dr_count(
        self, dag_id: str, run_ids: list[str] | None = None, states: list[str] | None = None
    ) -> int:
        assert dag_id.startswith("cluster_")
        found = self.runs if run_ids is None else {*run_ids} & self.runs.keys()
        return sum(states is None or self.runs[run] in states for run in found)

    def get_dagrun_state(self, dag_id: str, run_id: str) -> str:
        assert dag_id == "cluster_events"
        return self.runs[run_id]


def test_the_tasks_of_housekeeping(
    results: Results, workspace: Path, labels: list[Label], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_RETENTION_DAYS", "55")
    deployment.cache_clear()
    pruned = [housekeeping.prune(level, Airflow({})) for level in ("events", "entities")]
    assert [each["removed_runs"] for each in pruned] == [3, 0]
    assert [each["live_jobs"] for each in pruned] == [[], []]
    assert housekeeping.clean_workspace(pruned)["left_bytes"] > 0


def begin(name: JobName, told: str) -> None:
    """Enter a job that began long ago, as the installation tells of jobs, and as of its end."""
    began = TODAY - timedelta(days=200)
    with database() as connection:
        outbox.register(connection, name)
        if told != "nobody":
            outbox.note(connection, name, [Started(began)])
        if told == "of its end":  # it is tried again, and waits for its first task
            outbox.note(connection, name, [Ended(began + timedelta(hours=1), "failed")])
        connection.execute("UPDATE stage4.event_jobs SET changed_at = %s", [began])


@pytest.mark.parametrize("told", ["nobody", "of its start", "of its end"])
def test_what_a_paused_run_has_done_stays_however_old_it_is(
    results: Results, workspace: Path, told: str
) -> None:
    """By what Airflow says: a run that was deleted there, or is over, is not live."""
    for run in ("paused", "deleted", "over"):
        begin(JobName(f"cluster_events.{run}", "events", run), told)
    old = (TODAY - timedelta(days=200)).timestamp()
    for run in ("paused", "deleted", "over"):
        artefact = workspace / "events" / "artefacts" / "snapshot" / run
        record = workspace / "events" / "runs" / f"cluster_events.{run}" / "snapshot.json"
        for path in (artefact / "result.json", record):
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"uri": str(artefact), "files": {}}))
            os.utime(path, (old, old))
    pruned = housekeeping.prune("events", Airflow({"paused": "running", "over": "failed"}))
    assert pruned["live_jobs"] == ["cluster_events.paused"]
    cleaned = housekeeping.clean_workspace([pruned])
    assert (cleaned["runs"], cleaned["artefacts"]) == (2, 2)
    left = [*workspace.glob("events/runs/*"), *workspace.glob("events/artefacts/*/*")]
    assert {path.name for path in left} == {"cluster_events.paused", "paused"}
    with database() as connection:
        known = [each.run_id for each in outbox.registered(connection, "events")]
    assert known == ["paused"]


def test_whoever_begins_to_listen_is_not_told_of_jobs_before(results: Results) -> None:
    with database() as connection:
        outbox.register(connection, JobName("cluster_events.old", "events", "old"))
        assert [*outbox.unfinished(connection)] == []
        outbox.note(connection, JobName("cluster_events.old", "events", "old"), [Started(TODAY)])
        assert [each.run_id for each in outbox.unfinished(connection)] == ["old"]
