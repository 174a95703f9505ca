import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from clustering_tasks.settings.deployment import deployment
from stage4.runners import step_operator
from stage4.runners.base import BATCH_ROWS, PLAN_RESULT_KEY, StepOperator
from stage4.runners.process import ProcessStepOperator, step_environment
from stage4.runners.repeating import RepeatingOperator

FAKE_STEP = Path(__file__).with_name("fake_step.py")
JOB = "cluster_events.manual-1"
PART = {"part": 3, "name": "health_medical"}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installation whose `python` is fake_step.py."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE_STEP}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("STAGE4_PYTHON", str(python))
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("STAGE4_INDICES", "/stage3")
    deployment.cache_clear()
    yield tmp_path / "workspace"
    deployment.cache_clear()


@pytest.fixture
def context() -> Any:
    """What of a task's context the operators use; `pushed` collects the XComs."""
    pushed: dict[str, Any] = {}
    moment = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)
    return {
        "dag_run": SimpleNamespace(
            dag_id="cluster_events", data_interval_end=None, run_after=moment
        ),
        "run_id": "manual-1",
        "ti": SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value})),
        "pushed": pushed,
    }


def operator(step: str, **kwargs: Any) -> ProcessStepOperator:
    return ProcessStepOperator(task_id=step, step=step, level="events", **kwargs)


def run_folder(workspace: Path) -> Path:
    return workspace / "events" / "runs" / JOB


def seen(workspace: Path, name: str) -> tuple[list[str], dict[str, str]]:
    command, environment = json.loads((run_folder(workspace) / f"{name}.seen.json").read_text())
    return command, environment


def test_snapshot_is_told_everything_that_a_run_needs(workspace: Path, context: Any) -> None:
    options = {"settings": {"scope": "level", "input": {"dimension": 8}}, "stage3_count": 7}
    operator("snapshot", options=options).execute(context)
    command, _ = seen(workspace, "snapshot")
    given = dict(zip(command[3::2], command[4::2], strict=True))
    assert command[:3] == ["-m", "clustering_tasks", "snapshot"]
    assert json.loads(given.pop("--settings")) == options["settings"]
    assert given == {
        "--level": "events",
        "--workspace": str(workspace),
        "--job": JOB,
        "--indices": "/stage3",
        "--as-of": "2026-11-20T02:15:00+00:00",
        "--stage3-count": "7",
    }


def test_an_unknown_stage3_count_is_left_out(workspace: Path, context: Any) -> None:
    operator("snapshot", options={"settings": {}, "stage3_count": None}).execute(context)
    command, _ = seen(workspace, "snapshot")
    assert "--stage3-count" not in command


def test_a_step_returns_its_result_with_nan_as_null(workspace: Path, context: Any) -> None:
    result = operator("merge").execute(context)
    assert result == {"step": "merge", "metrics": {"items": 7, "share": None}}
    assert context["pushed"] == {}


def test_cluster_reads_the_result_of_its_own_part(workspace: Path, context: Any) -> None:
    result = operator("cluster", part=PART).execute(context)
    command, _ = seen(workspace, "cluster-3")
    assert command[-2:] == ["--part", "3"]
    assert result["step"] == "cluster"


def test_plan_returns_its_parts_and_pushes_its_result(workspace: Path, context: Any) -> None:
    parts = operator("plan").execute(context)
    assert parts == [{"part": 0, "name": "health"}, {"part": 1, "name": "sports"}]
    assert context["pushed"][PLAN_RESULT_KEY]["step"] == "plan"
    assert "parts" not in context["pushed"][PLAN_RESULT_KEY]


def test_noise_in_the_output_does_no_harm(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "chatter")
    assert operator("merge").execute(context)["metrics"]["items"] == 7


@pytest.mark.parametrize("code", [64, 65, 69])
def test_a_fatal_exit_code_fails_the_task_for_good(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("FAKE_STEP", f"fail:{code}")
    with pytest.raises(AirflowFailException) as error:
        operator("cluster", part=PART).execute(context)
    message = str(error.value)
    assert "cluster (part 3, health_medical) of events" in message
    assert f"exit code {code}" in message
    assert "vector event_emb_7 of events.index is zero" in message
    assert "this is not the error" not in message


@pytest.mark.parametrize("code", [1, 70, 75])
def test_any_other_exit_code_is_worth_a_retry(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("FAKE_STEP", f"fail:{code}")
    with pytest.raises(AirflowException, match=f"exit code {code}: .*event_emb_7") as error:
        operator("merge").execute(context)
    assert not isinstance(error.value, AirflowFailException)


def test_a_part_that_was_out_of_memory_is_tried_again_with_fewer_rows_at_a_time(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "run_out_of_memory")
    tried = []
    for _ in range(5):
        with pytest.raises(AirflowException, match="when memory runs out") as error:
            operator("cluster", part=PART).execute(context)
        assert not isinstance(error.value, AirflowFailException)
        tried.append(seen(workspace, "cluster-3")[1].get("STAGE4_BATCH_ROWS"))
    assert tried == [None, "49152", "24576", "12288", "12288"]
    monkeypatch.setenv("FAKE_STEP", "succeed")
    operator("cluster", part={"part": 4, "name": "sports"}).execute(context)
    assert "STAGE4_BATCH_ROWS" not in seen(workspace, "cluster-4")[1]


def test_the_rows_at_a_time_are_those_of_the_engine() -> None:
    from clustering_tasks.engine import neighbours

    assert neighbours.BATCH_ROWS == BATCH_ROWS


def test_a_defect_is_named_with_its_exception(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "break_down")
    with pytest.raises(AirflowException, match=r"failure \(ZeroDivisionError: a defect\)$"):
        operator("merge").execute(context)


def test_a_traceback_ends_in_the_message(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "crash")
    with pytest.raises(AirflowException, match="ZeroDivisionError: a defect"):
        operator("merge").execute(context)


def test_a_step_without_a_result_has_not_succeeded(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "redact")
    with pytest.raises(AirflowException, match=r"left no .*merge\.json"):
        operator("merge").execute(context)


def test_another_steps_result_is_refused(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "redact")
    run_folder(workspace).mkdir(parents=True)
    (run_folder(workspace) / "merge.json").write_text('{"step": "label"}')
    with pytest.raises(AirflowException, match="holds no result of merge"):
        operator("merge").execute(context)


def test_log_lines_become_log_entries_with_their_level_and_fields(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "fail:65")
    with structlog.testing.capture_logs() as entries, pytest.raises(AirflowFailException):
        operator("merge").execute(context)
    levels = {entry["event"]: entry["log_level"] for entry in entries}
    assert levels["this is not the error"] == "warning"
    assert levels["step failed"] == "error"
    failed = next(entry for entry in entries if entry["event"] == "step failed")
    assert failed["error"].endswith("is zero")


def test_the_step_sees_the_workers_environment_without_airflows_secrets() -> None:
    worker = {
        "PATH": "/bin",
        "STAGE4_WORKSPACE": "/w",
        "AIRFLOW_HOME": "/a",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://user:secret@db",
        "AIRFLOW_CONN_STAGE4_POSTGRES": "postgresql://user:secret@db",
        "AIRFLOW_VAR_TOKEN": "secret",
        "STAGE4_EXIT_WITH_PARENT": "0",
    }
    assert step_environment(worker) == {
        "PATH": "/bin",
        "STAGE4_WORKSPACE": "/w",
        "AIRFLOW_HOME": "/a",
        "STAGE4_EXIT_WITH_PARENT": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def test_the_runner_is_a_setting(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert step_operator() is ProcessStepOperator
    monkeypatch.setenv("STAGE4_RUNNER", "docker")
    deployment.cache_clear()
    chosen = step_operator()
    assert chosen.__name__ == "DockerStepOperator"
    assert issubclass(chosen, StepOperator)


def repeating() -> RepeatingOperator:
    """A Python task that performs `merge` again."""
    return RepeatingOperator(
        task_id="publish", level="events", python_callable=lambda perform: perform("merge")
    )


def test_a_python_task_performs_a_step_of_its_run(workspace: Path, context: Any) -> None:
    result = repeating().execute(context)
    assert result == json.loads((run_folder(workspace) / "merge.json").read_text()) | {
        "metrics": {"items": 7, "share": None}
    }


@pytest.mark.parametrize("manners", ["polite", "stubborn"])
@pytest.mark.parametrize("make", [partial(operator, "merge"), repeating])
def test_a_killed_step_fails_and_leaves_no_process(
    workspace: Path,
    context: Any,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Any],
    manners: str,
) -> None:
    monkeypatch.setenv("FAKE_STEP", f"hang:{manners}")
    task = make()
    # as Airflow's task runner does: the supervisor's SIGTERM calls on_kill in the main thread
    before = signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    pids = run_folder(workspace) / "merge.pids"
    killer = threading.Thread(target=kill_when, args=(pids.exists, signal.SIGTERM))
    killer.start()
    try:
        with pytest.raises(AirflowException, match="was killed") as error:
            task.execute(context)
    finally:
        killer.join()
        signal.signal(signal.SIGTERM, before)
    assert not isinstance(error.value, AirflowFailException)
    took = time.time() - pids.stat().st_mtime
    assert took < 4, "the supervisor kills the task 5 s after its SIGTERM"
    assert_gone(pids)


@pytest.mark.parametrize("make", [partial(operator, "merge"), repeating])
def test_a_step_that_is_killed_before_it_runs_does_not_run_on(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]
) -> None:
    monkeypatch.setenv("FAKE_STEP", "hang:polite")
    task = make()
    task.on_kill()
    with pytest.raises(AirflowException, match="was killed"):
        task.execute(context)


def test_a_timeout_ends_the_step(
    workspace: Path, context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "hang:polite")
    pids = run_folder(workspace) / "merge.pids"

    def interrupt(*_: Any) -> None:
        raise TimeoutError("execution_timeout")

    before = signal.signal(signal.SIGUSR1, interrupt)
    killer = threading.Thread(target=kill_when, args=(pids.exists, signal.SIGUSR1))
    killer.start()
    try:
        with pytest.raises(TimeoutError):
            operator("merge").execute(context)
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)
    assert_gone(pids)


WORKER = """
from datetime import UTC, datetime
from types import SimpleNamespace
from stage4.runners.process import ProcessStepOperator
run = SimpleNamespace(
    dag_id="cluster_events", data_interval_end=None, run_after=datetime(2026, 11, 20, tzinfo=UTC)
)
context = {"dag_run": run, "run_id": "manual-1", "ti": None}
ProcessStepOperator(task_id="merge", step="merge", level="events").execute(context)
"""


def test_sigkill_of_the_task_does_not_leave_the_step_behind(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_STEP", "follow")
    pids = run_folder(workspace) / "merge.pids"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", WORKER]) as worker:
        try:
            wait_for(pids.exists, seconds=60)
        finally:
            worker.kill()
    assert_gone(pids)


def kill_when(ready: Callable[[], bool], number: signal.Signals) -> None:
    wait_for(ready)
    os.kill(os.getpid(), number)


def assert_gone(pids: Path) -> None:
    left = [int(pid) for pid in pids.read_text().split()]
    wait_for(lambda: not any(map(alive, left)), seconds=5)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
