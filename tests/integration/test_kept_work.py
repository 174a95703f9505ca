"""What a step has kept when it is ended: who ends it, and what becomes of its task."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from clustering_tasks.errors import CHECKPOINTED
from clustering_tasks.settings.deployment import deployment
from stage4.database import job_controls
from stage4.runners.pausing import ResumeTrigger
from stage4.runners.process import ProcessStepOperator
from tests.integration import fake_step
from tests.integration.conftest import Results

DAG_ID, RUN_ID = "cluster_events", "run"
PART = {"part": 3, "name": "health_medical"}


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the run, in an installation whose `python` is fake_step.py."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake_step.__file__}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("STAGE4_PYTHON", str(python))
    monkeypatch.setenv("STAGE4_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("FAKE_STEP", "keep")
    deployment.cache_clear()
    yield tmp_path / "workspace" / "events" / "runs" / f"{DAG_ID}.{RUN_ID}"
    monkeypatch.undo()
    deployment.cache_clear()


@pytest.fixture
def context() -> Any:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    dag_run = SimpleNamespace(dag_id=DAG_ID, data_interval_end=None, run_after=moment)
    return {"dag_run": dag_run, "run_id": RUN_ID, "ti": None}


def decide(results: Results, *decisions: str) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        for decision in decisions:
            getattr(job_controls, decision)(connection, DAG_ID, RUN_ID, "uma")


@contextmanager
def ended(run_folder: Path, end: Callable[[int], None]) -> Iterator[None]:
    """Call `end` with the step's process id when it has kept something."""
    pids = run_folder / "cluster-3.pids"

    def wait() -> None:
        while not pids.exists():
            time.sleep(0.01)
        end(int(pids.read_text()))

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def cluster() -> ProcessStepOperator:
    return ProcessStepOperator(task_id="cluster", step="cluster", level="events", part=PART)


def terminate(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def test_the_stand_in_ends_with_the_code_of_the_real_step() -> None:
    assert fake_step.CHECKPOINTED == CHECKPOINTED


def test_a_signal_from_outside_is_tried_again(
    results: Results, run_folder: Path, context: Any
) -> None:
    with (
        ended(run_folder, terminate),
        pytest.raises(AirflowException, match="exit code 85") as error,
    ):
        cluster().execute(context)
    assert not isinstance(error.value, AirflowFailException)
    assert (run_folder / "cluster-3.checkpoint").exists()


def test_a_signal_from_outside_defers_the_task_of_a_paused_job(
    results: Results, run_folder: Path, context: Any
) -> None:
    decide(results, "pause")
    with ended(run_folder, terminate), pytest.raises(TaskDeferred) as deferred:
        cluster().execute(context)
    assert isinstance(deferred.value.trigger, ResumeTrigger)
    assert deferred.value.method_name == "execute_after_pause"
    assert (run_folder / "cluster-3.checkpoint").exists()


@pytest.mark.parametrize(
    ("decisions", "left"), [((), True), (("pause",), True), (("cancel",), False)]
)
def test_a_killed_task_keeps_its_work_unless_its_job_is_canceled(
    results: Results, run_folder: Path, context: Any, decisions: tuple[str, ...], left: bool
) -> None:
    decide(results, *decisions)
    task = cluster()
    with (
        ended(run_folder, lambda _: task.on_kill()),
        pytest.raises(AirflowException, match=r"was killed \(exit code 85\)") as error,
    ):
        task.execute(context)
    assert not isinstance(error.value, AirflowFailException)
    assert (run_folder / "cluster-3.checkpoint").exists() is left
    if not left:
        assert sorted(path.suffix for path in run_folder.iterdir()) == [".json", ".pids"]
