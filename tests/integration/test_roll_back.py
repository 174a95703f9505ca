"""Going back to an earlier run, on a real PostgreSQL: database and files, as one act."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from airflow.sdk.exceptions import AirflowFailException

from clustering_tasks.errors import BadInputError
from clustering_tasks.publication.files import publish_files_again, published
from stage4.database import roll_back as module
from stage4.database.load import load_run
from stage4.database.publish import publish_run
from stage4.database.roll_back import roll_back
from tests.integration.conftest import Results
from tests.integration.label_files import Label, report_of

pytestmark = pytest.mark.usefixtures("workspace")
DAY = timedelta(days=1)


def load(label: Label) -> dict[str, Any]:
    files = label.write()
    load_run(files["files"], report_of(files))
    return files


@pytest.fixture
def runs(results: Results, tmp_path: Path) -> list[Label]:
    """Four published runs: two of a day, and one of each of the two days after."""
    first = Label(tmp_path, mark="1")
    second = first.later(mark="2")
    third = second.later(mark="3", as_of=first.as_of + DAY)
    fourth = third.later(mark="4", as_of=first.as_of + 2 * DAY)
    for label in (first, second, third, fourth):
        publish_run(load(label))
    return [first, second, third, fourth]


def readers_see(results: Results, workspace: Path) -> str:
    """The mark of the run that all ways of reading lead to."""
    pointer = published(str(workspace), "events")
    assert pointer is not None
    found = results.rows(
        "SELECT DISTINCT job_id, record->>'mark' FROM stage4.current_runs"
        " JOIN stage4.current_clusters USING (level, load_id)"
    )
    marks = [mark_of(Path(name)) for name in (pointer.clusters_jsonl, pointer.dated_jsonl)]
    dated = sorted((workspace / "output").glob("clustered_events_2026-*.jsonl"))
    assert dated[-1] == Path(pointer.dated_jsonl)
    assert found == [(pointer.job_id, marks[0])]
    assert marks[0] == marks[1]
    return marks[0]


def mark_of(jsonl: Path) -> str:
    (mark,) = {orjson.loads(line)["mark"] for line in jsonl.read_bytes().splitlines()}
    return str(mark)


def history(results: Results) -> list[tuple[Any, ...]]:
    query = "SELECT load_id, act FROM stage4.publications ORDER BY publication_id"
    return results.rows(query, user=results.loader)


def test_one_step_back_and_another_and_forward_again(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    assert readers_see(results, workspace) == "4"
    done = roll_back("events")
    assert (done["load_id"], done["job_id"]) == (3, runs[2].job_id)
    assert readers_see(results, workspace) == "3"
    roll_back("events")
    assert readers_see(results, workspace) == "2"
    roll_back("events")  # the earlier of one day's two
    assert readers_see(results, workspace) == "1"
    with pytest.raises(AirflowFailException, match=r"no run of events was published before clu"):
        roll_back("events")
    roll_back("events", 4)
    assert readers_see(results, workspace) == "4"
    acts = [(3, "roll_back"), (2, "roll_back"), (1, "roll_back"), (4, "roll_back")]
    assert history(results) == [*((number, "publish") for number in range(1, 5)), *acts]
    own = sorted(path.name for path in (workspace / "output").glob("*__*"))
    assert own == [f"clustered_events_{label.job_id}.jsonl" for label in runs]


def test_the_next_run_is_published_as_ever(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    roll_back("events")
    assert publish_run(load(runs[3].later(mark="5")))["published"]
    assert readers_see(results, workspace) == "5"
    roll_back("events")  # the one that was rolled back from is a published run like others
    assert readers_see(results, workspace) == "4"


def test_an_older_run_is_not_published_by_clearing_it(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    roll_back("events", 2)
    assert publish_run(load(runs[0]))["superseded"]
    assert readers_see(results, workspace) == "2"


def test_again_changes_nothing(results: Results, workspace: Path, runs: list[Label]) -> None:
    assert roll_back("events", 2) == roll_back("events", 2)
    assert readers_see(results, workspace) == "2"
    assert history(results)[4:] == [(2, "roll_back")]


def test_other_levels_stay(results: Results, workspace: Path, runs: list[Label]) -> None:
    entities = Label(runs[0].folder / "entities", level="entities", as_of=runs[3].as_of)
    publish_run(load(entities))
    roll_back("events")
    assert (workspace / "output" / "clustered_entities_2026-03-03.jsonl").exists()
    assert not (workspace / "output" / "clustered_events_2026-03-03.jsonl").exists()
    current = results.rows("SELECT level, load_id FROM stage4.current_runs ORDER BY level")
    assert current == [("entities", 5), ("events", 3)]


def test_a_run_that_was_never_published_or_is_of_another_level_is_refused(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    load(runs[3].later())
    for level, load_id in [("events", 5), ("events", 99), ("entities", 1)]:
        with pytest.raises(AirflowFailException, match=f"no load {load_id} of {level}") as failure:
            roll_back(level, load_id)
        choices = "4 (cluster_events.manual__4, 2026-03-03 12:00), 3 ("
        assert (choices if level == "events" else "published were: none") in str(failure.value)
    assert readers_see(results, workspace) == "4"


def test_a_run_whose_file_is_gone_is_refused(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    (workspace / "output" / f"clustered_events_{runs[1].job_id}.jsonl").unlink()
    with pytest.raises(BadInputError, match=r"manual__2\.jsonl is gone.*choose another"):
        roll_back("events", 2)
    assert readers_see(results, workspace) == "4"


def test_the_artefact_is_named_where_the_workspace_knows_it(
    results: Results, workspace: Path, runs: list[Label]
) -> None:
    folder = workspace / "events" / "runs" / runs[1].job_id
    folder.mkdir(parents=True)
    (folder / "label.json").write_text('{"uri": "its artefact"}')
    for load_id, expected in ((2, "its artefact"), (1, None)):
        roll_back("events", load_id)
        pointer = published(str(workspace), "events")
        assert pointer is not None
        assert pointer.label_uri == expected


def test_a_crash_in_between_is_completed_by_the_next_try(
    results: Results, workspace: Path, runs: list[Label], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash(*args: Any, **kwargs: Any) -> Any:
        publish_files_again(*args, **kwargs)
        raise Crash

    with monkeypatch.context() as crashing:
        crashing.setattr(module, "publish_files_again", crash)
        with pytest.raises(Crash):
            roll_back("events")
    assert results.rows("SELECT load_id FROM stage4.current_runs") == [(4,)]
    roll_back("events")
    assert readers_see(results, workspace) == "3"


def test_the_command(results: Results, workspace: Path, runs: list[Label]) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        root = Path(__file__).parents[2]
        environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}"}
        command = [sys.executable, "-m", "stage4.database.roll_back", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = call("events", "2")
    assert done.returncode == 0, done.stderr
    assert readers_see(results, workspace) == "2"
    assert "Neither Stage 5 nor the followers of the asset stage4_events were told" in done.stdout
    assert 'DAG roll_back with {"level": "events", "load_id": 2}' in done.stdout
    failed = call("events", "77")
    assert failed.returncode == 1
    assert "roll-back failed: no load 77 of events" in failed.stderr
