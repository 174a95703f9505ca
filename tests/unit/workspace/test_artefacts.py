import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from upath import UPath

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace import artefacts
from clustering_tasks.workspace.artefacts import (
    Attempt,
    Part,
    Result,
    Run,
    artefact_key,
    find_artefact,
    load_run,
    perform,
)
from clustering_tasks.workspace.storage import write_atomically
from tests.unit.workspace.object_store import store

KEY = "0123abcd"


@pytest.fixture(params=["local", "file://", "memory://"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    places = {"local": str(tmp_path), "file://": f"file://{tmp_path}"}
    workspace = UPath(places.get(request.param, "memory://test-artefacts"))
    run = make_run(workspace)
    run.start()
    yield run
    if request.param == "memory://":
        workspace.fs.rm(workspace.path, recursive=True)


def make_run(workspace: UPath, job: str = "a") -> Run:
    return Run(
        workspace=workspace,
        level=LEVELS["events"],
        job_id=job,
        indices="/indices",
        as_of=datetime(2026, 3, 1, tzinfo=UTC),
        settings=run_settings({"scope": "domain", "allow_partial": True}),
    )


class Work:
    """Writes one file, and says how often it was called."""

    def __init__(self, text: str = "data") -> None:
        self.calls = 0
        self.text = text

    def __call__(self, attempt: Attempt) -> None:
        self.calls += 1
        attempt.new_file("data", "data.txt").write_text(self.text)
        attempt.metrics = {"items": 3, "share": None}


def test_a_run_is_read_as_it_was_started(run: Run) -> None:
    assert load_run(run.workspace, run.level, run.job_id) == run


def test_an_unknown_run_is_named(run: Run) -> None:
    with pytest.raises(BadInputError, match=r"no run b of level events.*`snapshot` starts a run"):
        load_run(run.workspace, run.level, "b")


def test_a_step_that_was_not_performed_is_named(run: Run) -> None:
    assert run.find_result("plan") is None
    with pytest.raises(BadInputError, match=r"run a has no result of `plan`.*perform .* first"):
        run.result("plan")


def test_an_artefact_is_complete_when_its_result_is_there(run: Run) -> None:
    def work(attempt: Attempt) -> None:
        attempt.new_file("data", "data.txt").write_text("data")
        attempt.parts = [Part(part=0, name="sports")]
        assert find_artefact(run, "plan", KEY) is None
        assert run.find_result("plan") is None

    result = perform(run, "plan", KEY, work)
    assert find_artefact(run, "plan", KEY) == run.result("plan") == result
    assert result.path("data").read_text() == "data"
    assert result.parts == [Part(part=0, name="sports")]
    assert not result.reused
    assert UPath(result.uri) == run.workspace / "events" / "artefacts" / "plan" / KEY


def test_the_same_again_does_nothing(run: Run) -> None:
    work = Work()
    first = perform(run, "plan", KEY, work)
    other = replace(run, job_id="b")
    again = perform(other, "plan", KEY, work)
    assert work.calls == 1
    assert again == first.model_copy(update={"reused": True})
    assert other.result("plan") == again
    assert run.result("plan") == first


def test_another_key_is_another_artefact(run: Run) -> None:
    work = Work()
    perform(run, "plan", KEY, work)
    assert not perform(run, "plan", "4567", work).reused
    assert work.calls == 2


def test_a_part_has_its_own_record(run: Run) -> None:
    perform(run, "cluster", KEY, Work(), "cluster-3")
    assert run.result("cluster-3").step == "cluster"
    assert run.find_result("cluster") is None


class Crash(BaseException):
    """The end of the process, as it were."""


def test_work_that_fails_leaves_nothing_and_is_done_again(run: Run) -> None:
    def fail(attempt: Attempt) -> None:
        Work("half")(attempt)
        raise Crash

    with pytest.raises(Crash):
        perform(run, "plan", KEY, fail)
    folder = run.workspace / "events" / "artefacts" / "plan" / KEY
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert run.find_result("plan") is None
    assert perform(run, "plan", KEY, Work("whole")).path("data").read_text() == "whole"


@pytest.mark.parametrize("crash_at", [1, 2])
def test_a_crash_after_the_files_is_made_good(
    run: Run, crash_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first write the result is missing, at the second the run's record of it."""
    writes = 0

    def crashing_write(path: UPath, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == crash_at:
            raise Crash
        write_atomically(path, data)

    monkeypatch.setattr(artefacts, "write_atomically", crashing_write)
    first = Work("first")
    with pytest.raises(Crash):
        perform(run, "plan", KEY, first)
    assert run.find_result("plan") is None
    second = Work("second")
    result = perform(run, "plan", KEY, second)
    assert second.calls == (1 if crash_at == 1 else 0)
    assert result.reused is (crash_at == 2)
    assert result.path("data").read_text() == ("second" if crash_at == 1 else "first")
    assert run.result("plan") == result


def test_two_attempts_at_a_time_do_not_touch_each_others_files(run: Run) -> None:
    both_work = threading.Barrier(2, timeout=30)
    results: dict[str, Result] = {}

    def attempt_it(name: str) -> None:
        def work(attempt: Attempt) -> None:
            both_work.wait()
            Work(name)(attempt)
            both_work.wait()

        results[name] = perform(replace(run, job_id=name), "plan", KEY, work)

    threads = [threading.Thread(target=attempt_it, args=(name,)) for name in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, result in results.items():
        assert result.path("data").read_text() == name
    found = find_artefact(run, "plan", KEY)
    assert found in results.values()


def test_an_attempt_given_up_for_dead_cannot_harm_its_successor(run: Run) -> None:
    successor: list[Result] = []

    def slow(attempt: Attempt) -> None:
        path = attempt.new_file("data", "data.txt")
        path.write_text("slow, begun")
        successor.append(perform(run, "plan", KEY, Work("successor")))
        path.write_text("slow, ended")

    perform(run, "plan", KEY, slow)
    assert successor[0].path("data").read_text() == "successor"
    found = find_artefact(run, "plan", KEY)
    assert found is not None
    assert found.path("data").read_text() in {"successor", "slow, ended"}


def test_a_key_depends_on_everything_that_it_is_made_from(run: Run) -> None:
    one = perform(run, "snapshot", "1", Work())
    two = perform(run, "snapshot", "2", Work())
    keys = [
        artefact_key("plan", [one], {"k": 1}),
        artefact_key("merge", [one], {"k": 1}),
        artefact_key("plan", [two], {"k": 1}),
        artefact_key("plan", [one, two], {"k": 1}),
        artefact_key("plan", [two, one], {"k": 1}),
        artefact_key("plan", [one], {"k": 2}),
        artefact_key("plan", [one], {"k": 1}, "events"),
        artefact_key("plan", [one], {"k": 1}, 0),
    ]
    assert len(set(keys)) == len(keys)
    assert artefact_key("plan", [one], {"k": 1}, 0) == keys[-1]
    assert artefact_key("plan", [one], {"a": 1, "b": 2}) == artefact_key(
        "plan", [one], {"b": 2, "a": 1}
    )


def test_a_key_depends_on_the_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = artefact_key("plan", [], {})
    monkeypatch.setattr(artefacts, "step_version", lambda step: f"new {step}")
    assert artefact_key("plan", [], {}) != before


def test_an_attempt_that_is_ended_by_sigterm_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import signal, time\n"
        "from upath import UPath\n"
        "from clustering_tasks import cli\n"
        "from clustering_tasks.workspace import artefacts\n"
        "signal.signal(signal.SIGTERM, cli._terminate)\n"
        "def work(attempt):\n"
        "    attempt.new_file('graph', 'graph.npz').write_text('half')\n"
        "    print('at work', flush=True)\n"
        "    time.sleep(60)\n"
        f"artefacts._make('merge', 'key', UPath({str(tmp_path / 'key')!r}), work)\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        assert len(list((tmp_path / "key").glob("*/graph.npz"))) == 1
        process.terminate()
        assert process.wait(30) == 143
    assert list((tmp_path / "key").iterdir()) == []


def test_work_that_fails_in_an_object_store_before_its_first_file_is_what_is_told() -> None:
    def fail(_attempt: Attempt) -> None:
        raise BadInputError("no vectors")

    run = make_run(store("/workspace"))
    run.start()
    with pytest.raises(BadInputError, match="no vectors"):
        perform(run, "plan", KEY, fail)
