"""The DAG's `publish`: gate, files and pointer together, on a real PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from clustering_tasks.publication.files import publish_files, published
from stage4.database import publish
from stage4.database.load import load_run
from stage4.database.pointer import Pointer, locked_pointer
from stage4.database.publish import publish_run
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

pytestmark = pytest.mark.usefixtures("workspace")


class Crash(BaseException):
    """What no handler expects, like the end of the process."""


def load(label: Label) -> dict[str, Any]:
    files = label.write()
    load_run(files["files"], report_of(files))
    return files


def in_database(results: Results) -> list[str]:
    return [job for (job,) in results.rows("SELECT job_id FROM stage4.current_runs")]


def in_files(workspace: Path) -> str | None:
    pointer = published(str(workspace), "events")
    return pointer.job_id if pointer else None


def test_a_run_is_published_in_the_database_and_in_the_files(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    label = load(Label(tmp_path))
    expected: dict[str, Any] = {
        "published": True,
        "superseded": False,
        "job_id": "cluster_events.manual__1",
        "level": "events",
        "publication_id": 1,
        "changes": None,
        "label": {"uri": label["uri"], "files": label["files"]},
        "clusters_jsonl": f"{workspace}/output/clustered_events_cluster_events.manual__1.jsonl",
        "dated_jsonl": f"{workspace}/output/clustered_events_2026-03-01.jsonl",
    }
    assert publish_run(label) == expected
    assert publish_run(label) == expected  # again, and nothing changes
    assert in_database(results) == [in_files(workspace)] == ["cluster_events.manual__1"]
    jsonl = Path(label["files"]["clusters_jsonl"]).read_bytes()
    assert Path(expected["dated_jsonl"]).read_bytes() == jsonl
    assert Path(expected["clusters_jsonl"]).read_bytes() == jsonl


def test_a_run_that_fails_the_gate_leaves_the_previous_one(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    good = Label(tmp_path)
    publish_run(load(good))
    bad = load(good.later(publish={"min_clusters": 9, "min_items": 99}))
    with pytest.raises(AirflowFailException, match=r"kept, but not published.*99.*9 are required"):
        publish_run(bad)
    assert in_database(results) == [in_files(workspace)] == [good.job_id]
    assert results.rows("SELECT count(*) FROM stage4.runs", user=results.loader) == [(2,)]


def test_an_older_run_never_takes_the_pointer_back(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    older = Label(tmp_path)
    newer = older.later()
    publish_run(load(newer))
    before = sorted((workspace / "output").iterdir())
    answer = publish_run(load(older))
    assert (answer["published"], answer["superseded"]) == (False, True)
    assert answer["publication_id"] is None
    assert answer["job_id"] == newer.job_id
    assert answer["clusters_jsonl"].endswith(f"{newer.job_id}.jsonl")
    assert in_database(results) == [in_files(workspace)] == [newer.job_id]
    assert sorted((workspace / "output").iterdir()) == before


def test_a_newer_run_of_the_command_line_is_not_superseded_by_the_dags(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    older = Label(tmp_path)
    newer = older.later().write()
    publish_files(
        report_of(newer),
        clusters_jsonl=newer["files"]["clusters_jsonl"],
        label_uri=newer["uri"],
        workspace=str(workspace),
        output=f"{workspace}/output",
    )
    answer = publish_run(load(older))
    assert answer["superseded"]
    assert answer["job_id"] == in_files(workspace) == "cluster_events.manual__2"
    assert in_database(results) == []


def test_a_newer_run_in_the_database_alone_supersedes(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    """Another workspace leads to the same database."""
    older = Label(tmp_path)
    newer = older.later()
    load(newer)
    with locked_pointer("events") as pointer:
        pointer.move(pointer.find(newer.job_id))
    answer = publish_run(load(older))
    assert answer["superseded"]
    assert (answer["job_id"], answer["dated_jsonl"]) == (newer.job_id, None)
    assert in_files(workspace) is None


def test_a_run_that_was_not_loaded_changes_nothing(
    results: Results, workspace: Path, tmp_path: Path
) -> None:
    with pytest.raises(AirflowFailException, match="clear `load_postgres`"):
        publish_run(Label(tmp_path).write())
    assert in_files(workspace) is None
    assert not (workspace / "output").exists()


def test_a_level_that_the_database_does_not_know_is_refused(results: Results) -> None:
    with (
        pytest.raises(AirflowFailException, match=r"python -m stage4\.setup"),
        locked_pointer("paragraphs"),
    ):
        pass


def crashing(function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def crash(*args: Any, **kwargs: Any) -> Any:
        if after:
            function(*args, **kwargs)
        raise Crash

    return crash


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", ["files", "pointer"])
def test_a_crash_in_between_is_completed_by_the_next_try(
    results: Results,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
) -> None:
    old = Label(tmp_path)
    publish_run(load(old))
    new = old.later()
    label = load(new)
    with monkeypatch.context() as crash:
        if step == "files":
            crash.setattr(publish, "publish_files", crashing(publish_files, after=after))
        else:
            move = Pointer.move
            crash.setattr(Pointer, "move", crashing(move, after=after))
        with pytest.raises(Crash):
            publish_run(label)
    assert in_database(results) == [old.job_id]
    assert in_files(workspace) == (old if step == "files" and not after else new).job_id

    publish_run(label)
    assert in_database(results) == [in_files(workspace)] == [new.job_id]


def test_a_lost_connection_is_worth_another_try(
    results: Results, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = load(Label(tmp_path))

    def kill_and_publish(*args: Any, **kwargs: Any) -> Any:
        with results.server.connect() as superuser:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'client backend'",
                [results.database],
            )
        return publish_files(*args, **kwargs)

    with monkeypatch.context() as killing:
        killing.setattr(publish, "publish_files", kill_and_publish)
        with pytest.raises(AirflowException, match="terminating connection") as failure:
            publish_run(label)
    assert not isinstance(failure.value, AirflowFailException)
    assert in_database(results) == []
    publish_run(label)
    assert in_database(results) == [in_files(workspace)]


def test_publishers_of_a_level_wait_for_each_other(results: Results, tmp_path: Path) -> None:
    label = Label(tmp_path)
    load(label)
    with locked_pointer("events"), results.server.connect(results.database, results.loader) as c:
        c.execute("SET lock_timeout = '50ms'")
        query = "SELECT 1 FROM stage4.published WHERE level = %s FOR UPDATE NOWAIT"
        assert c.execute(query, ["entities"]).fetchone() == (1,)
        with pytest.raises(Exception, match="could not obtain lock"):
            c.execute(query, ["events"])


def test_the_history_of_publications_is_kept(results: Results, tmp_path: Path) -> None:
    first = Label(tmp_path)
    second = first.later(as_of=first.as_of + timedelta(days=1))
    for label in (first, second):
        publish_run(load(label))
    rows = results.rows(
        "SELECT job_id, published_at IS NOT NULL FROM stage4.runs ORDER BY load_id",
        user=results.loader,
    )
    assert rows == [(first.job_id, True), (second.job_id, True)]
