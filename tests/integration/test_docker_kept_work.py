"""A search in a container that is stopped: what it keeps, and what the next container does."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from docker import APIClient
from upath import UPath

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.steps.plan.plan import plan
from clustering_tasks.steps.snapshot.snapshot import snapshot
from stage4.database import job_controls
from stage4.runners.docker import DockerStepOperator
from tests.conftest import Workbench
from tests.integration.conftest import Results
from tests.integration.test_docker_operator import OWN_USER, context
from tests.stage3_folder import Stage3Folder, blobs

pytest_plugins = ["tests.integration.docker_fixtures"]
pytestmark = pytest.mark.docker

DAG_ID, RUN_ID = "cluster_events", "run"
PART = {"part": 0, "name": "events"}
VECTORS = blobs([100] * 250, noise=5000)


@pytest.fixture
def checkpoint(
    tmp_path: Path, clustering_image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The checkpoint of the one part of a planned run, in an installation with containers."""
    bench = Workbench(Stage3Folder(tmp_path / "indices"), UPath(tmp_path / "workspace"))
    bench.stage3.write("events", VECTORS, [{"domain": "sports"}] * len(VECTORS))
    run = bench.start("events", f"{DAG_ID}.{RUN_ID}", parts={"max_count": 1})
    snapshot(run)
    plan(run)
    for name, value in {
        "RUNNER": "docker",
        "IMAGE": clustering_image,
        "CONTAINER_USER": OWN_USER,
        "WORKSPACE": str(bench.workspace),
        "INDICES": str(bench.stage3.path),
        "CPUS": "1",
        "CHECKPOINT_SECONDS": "0.001",
    }.items():
        monkeypatch.setenv(f"STAGE4_{name}", value)
    deployment.cache_clear()
    yield Path(run.folder.path) / "cluster-0.checkpoint"
    monkeypatch.undo()
    deployment.cache_clear()


def cluster() -> DockerStepOperator:
    return DockerStepOperator(task_id="cluster", step="cluster", level="events", part=PART)


@contextmanager
def killed(checkpoint: Path, task: DockerStepOperator, engine: APIClient) -> Iterator[None]:
    """Call `on_kill` in a signal handler, as Airflow does, when two blocks are kept."""

    def kill(*_: Any) -> None:
        asked = time.monotonic()
        task.on_kill()
        assert not engine.containers(all=True, filters={"name": task.container_name})
        sys.stdout.write(f"the container is gone after {time.monotonic() - asked:.2f} s\n")

    def wait() -> None:
        while len(list(checkpoint.glob("*.npz"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, kill)
    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGALRM, before)


def test_the_next_container_goes_on_where_the_stopped_one_was(
    checkpoint: Path, engine: APIClient
) -> None:
    task = cluster()
    with killed(checkpoint, task, engine), pytest.raises(AirflowException, match="was killed"):
        task.execute(context(run_id=RUN_ID))
    kept = len(list(checkpoint.glob("*.npz")))
    metrics = cluster().execute(context(2, RUN_ID))["metrics"]
    assert metrics["blocks_from_checkpoint"] == kept >= 2
    assert metrics["nodes_from_checkpoint"] < metrics["searched"]
    assert not checkpoint.exists()


def test_a_canceled_one_leaves_nothing(
    checkpoint: Path, engine: APIClient, results: Results
) -> None:
    with results.server.connect(results.database, results.loader) as connection:
        job_controls.cancel(connection, DAG_ID, RUN_ID, "uma")
    task = cluster()
    with killed(checkpoint, task, engine), pytest.raises(AirflowException, match="was killed"):
        task.execute(context(run_id=RUN_ID))
    assert not checkpoint.exists()
    artefacts = checkpoint.parents[2] / "artefacts" / "cluster"
    assert [*artefacts.glob("*/*")] == []
