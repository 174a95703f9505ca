"""`make demo`, as a newcomer runs it, on a smaller sample."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustering_tasks.settings.levels import LEVELS
from local import services
from local.stack import Stack
from local.state import REPO, State
from tests.e2e.conftest import Airflow
from tests.e2e.readers import published

pytestmark = pytest.mark.airflow


@pytest.fixture
def state(tmp_path: Path, sample: Path) -> Iterator[State]:
    state = State.open(tmp_path / "state")
    state.sample.symlink_to(sample)
    yield state
    Stack(state.demo).clean()
    Stack(state).clean()


def start_demo(state: State, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", "demo"],
        cwd=REPO,
        env=os.environ | {"STAGE4_STATE": str(state.root), "COLUMNS": "160"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_nothing_runs(state: State) -> None:
    assert services.members(state.demo) == []
    assert Stack(state.demo).database.pid() is None


def test_demo_shows_every_level_and_leaves_nothing_running(state: State) -> None:
    with start_demo(state) as demo:
        output, _ = demo.communicate(timeout=900)

    assert demo.returncode == 0, output
    assert_nothing_runs(state)
    for level, it in LEVELS.items():
        assert f"{level}: publish done" in output
        assert f"\n{level}: " in output  # the title of its table
        assert f"clustering.job.completed: {it.cluster_type}, " in output
        [dated] = [
            line.strip()
            for line in output.splitlines()
            if line.strip().startswith("/") and f"clustered_{level}_" in line
        ]
        assert Path(dated).stat().st_size > 0


@pytest.mark.heavy
def test_interrupted_demo_leaves_nothing_running(state: State) -> None:
    with start_demo(state) as demo:
        assert demo.stdout is not None
        output = ""
        for line in demo.stdout:
            output += line
            if "check_stage3 running" in line:
                break
        demo.send_signal(signal.SIGINT)
        time.sleep(0.5)
        demo.send_signal(signal.SIGINT)  # an impatient second one changes nothing
        output += demo.communicate(timeout=120)[0]

    assert demo.returncode == 130, output
    assert_nothing_runs(state)


def results(state: State) -> list[tuple[str, int, int]]:
    """Every file of the published results, with its size and the time of its last change."""
    files = [path for path in state.output.rglob("*") if path.is_file()]
    return sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@pytest.mark.heavy
def test_a_demo_beside_a_running_airflow_touches_none_of_its_results(
    airflow: Airflow, sample: Path
) -> None:
    run = airflow.run_dag("cluster_documents")
    assert run["state"] == "success", airflow.explain(run)
    before, state = published(airflow, "documents"), airflow.stack.state
    files = results(state)
    if not state.sample.exists():
        state.sample.symlink_to(sample)
    ours = {name: airflow.env[name] for name in ("STAGE4_WORKSPACE", "STAGE4_OUTPUT")}

    try:
        with start_demo(state, **ours, STAGE4_INDICES=str(airflow.indices)) as demo:
            output, _ = demo.communicate(timeout=900)
        assert demo.returncode == 0, output
        assert_nothing_runs(state)
    finally:
        Stack(state.demo).clean()

    assert airflow.stack.is_up()
    assert published(airflow, "documents") == before
    assert results(state) == files
    assert str(state.output) not in output


@pytest.mark.heavy
def test_failed_demo_shows_why_and_leaves_nothing_running(state: State) -> None:
    state.sample.unlink()
    state.sample.mkdir()

    with start_demo(state) as demo:
        output, _ = demo.communicate(timeout=900)

    assert demo.returncode == 1, output
    assert "cluster_documents: check_stage3\n" in output
    assert f"{state.sample} has no documents.index and no documents_metadata.json" in output
    assert "cluster_all failed, because of cluster_documents.check_stage3, " in output
    assert_nothing_runs(state)
