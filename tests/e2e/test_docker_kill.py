"""The Docker runner in a real Airflow: the process runner's results, and nothing left by a kill."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from docker import APIClient

from clustering_tasks.settings.levels import LEVELS
from local.airflow_api import Json
from local.configuration import Options
from local.stack import Stack
from local.state import State
from tests.contract import checking_receiver
from tests.e2e.conftest import CALM, Airflow
from tests.e2e.deleting import goes_and_stays_gone, with_withdrawn
from tests.e2e.numbered import numbered

pytest_plugins = ["tests.integration.docker_fixtures"]
pytestmark = [pytest.mark.docker, pytest.mark.airflow]

ROOT = Path(__file__).parents[2]
CONF = {"parts.min_rows": 20}


@pytest.fixture(scope="module")
def image(engine: APIClient, clustering_image: str) -> Iterator[str]:
    """The real image, built from this checkout, behind an entry point that can be held up."""
    tag = f"stage4-test-hold:{uuid.uuid4().hex[:8]}"
    dockerfile = (
        f"FROM {clustering_image}\n"
        "COPY docker_hold.py /docker_hold.py\n"
        'ENTRYPOINT ["python", "/docker_hold.py"]\n'
    )
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, "--file", "-", str(Path(__file__).parent)],
        check=True,
        input=dockerfile.encode(),
        env=os.environ | {"DOCKER_BUILDKIT": "0"},
    )
    yield tag
    engine.remove_image(tag, force=True)


@pytest.fixture(scope="module")
def docker_airflow(
    tmp_path_factory: pytest.TempPathFactory, sample: Path, image: str
) -> Iterator[Airflow]:
    """An Airflow whose steps are containers."""
    folder = tmp_path_factory.mktemp("docker-airflow")
    indices = folder / "indices"
    indices.symlink_to(sample)
    state = State.open(folder / "state")
    with checking_receiver(state.secrets().stage5_token) as stage5:
        settings = {
            "STAGE4_RUNNER": "docker",
            "STAGE4_IMAGE": image,
            "STAGE4_CONTAINER_USER": f"{os.getuid()}:{os.getgid()}",
            "STAGE4_INDICES": str(indices),
            "STAGE4_WORKSPACE": str(state.workspace),
            "STAGE4_OUTPUT": str(state.output),
            "STAGE4_RETRY_DELAY_SECONDS": "1",
        }
        environment = CALM | stage5.environment() | settings
        stack = Stack(state, Options(folder=folder, environment=environment, port=0))
        try:
            stack.up()
            yield Airflow(stack, stack.api(), stage5, indices)
        finally:
            stack.clean()


class Watch:
    """What the engine has of one task of one run; `most` is the most at any time."""

    def __init__(self, engine: APIClient, run: Json, task_id: str) -> None:
        self._engine = engine
        labels = [f"airflow.run_id={run['dag_run_id']}", f"airflow.task_id={task_id}"]
        self._filters = {"label": labels}
        self.most = 0

    def containers(self) -> list[Json]:
        found: list[Json] = self._engine.containers(all=True, filters=self._filters)
        self.most = max(self.most, len(found))
        return found

    def of_try(self, number: int) -> bool:
        """Whether the container of that try runs."""
        return any(
            found["State"] == "running" and found["Labels"]["airflow.try_number"] == str(number)
            for found in self.containers()
        )


def until(condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds} s: {what}"
        time.sleep(0.1)


@contextmanager
def held(airflow: Airflow, step: str) -> Iterator[Path]:
    """Hold up every container of a step that starts before the file is removed."""
    hold = airflow.workspace / f"hold-{step}"
    hold.parent.mkdir(parents=True, exist_ok=True)
    hold.touch()
    try:
        yield hold
    finally:
        hold.unlink(missing_ok=True)


def members(airflow: Airflow, run: Json) -> Any:
    return pq.read_table(airflow.xcom(run, "label")["files"]["members_parquet"])


def different(found: Any, expected: Any) -> list[str]:
    """The columns in which two tables differ: a short message where a table would fill the log."""
    assert found.num_rows == expected.num_rows
    assert found.schema == expected.schema
    one, other = numbered(found), numbered(expected)
    return [name for name in other.column_names if not one[name].equals(other[name])]


def clear(airflow: Airflow, run: Json, task_id: str) -> None:
    body = {
        "dry_run": False,
        "dag_run_id": run["dag_run_id"],
        "task_ids": [task_id],
        "only_failed": False,
        "include_downstream": True,
    }
    airflow.api.post(f"/dags/{run['dag_id']}/clearTaskInstances", body)


def finish(airflow: Airflow, run: Json) -> Json:
    run = airflow.api.wait(run["dag_id"], run["dag_run_id"])
    assert run["state"] == "success", airflow.explain(run)
    return run


@pytest.fixture(scope="module")
def expected(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The members that a process of this machine finds, without Airflow and Docker."""
    workspace = tmp_path_factory.mktemp("expected")
    command = [sys.executable, "-m", "clustering_tasks", "run", "--level", "events"]
    command += ["--indices", str(sample), "--workspace", str(workspace)]
    command += [f"--set={name}={value}" for name, value in CONF.items()]
    done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return pq.read_table(json.loads(done.stdout.splitlines()[-1])["members_parquet"])


@pytest.fixture
def started(docker_airflow: Airflow, engine: APIClient) -> Iterator[Json]:
    """A new run; at its end, however that came about, no container may be left."""
    run = docker_airflow.api.trigger("cluster_events", CONF)
    yield run
    left = engine.containers(all=True, filters={"label": f"airflow.run_id={run['dag_run_id']}"})
    for container in left:
        engine.remove_container(container["Id"], force=True, v=True)
    assert left == []


def test_both_runners_find_the_same(docker_airflow: Airflow, started: Json, expected: Any) -> None:
    run = finish(docker_airflow, started)
    assert expected.num_rows > 0
    assert different(members(docker_airflow, run), expected) == []


def test_a_task_marked_failed_leaves_no_container(
    docker_airflow: Airflow, started: Json, engine: APIClient, expected: Any
) -> None:
    watch = Watch(engine, started, "merge")
    with held(docker_airflow, "merge"):
        until(lambda: watch.of_try(1), "merge runs")
        path = f"/dags/cluster_events/dagRuns/{started['dag_run_id']}/taskInstances/merge"
        docker_airflow.client.patch(path, json={"new_state": "failed"}).raise_for_status()
        until(lambda: not watch.containers(), "the container is gone", seconds=30)
        run = docker_airflow.api.wait("cluster_events", started["dag_run_id"])
    assert run["state"] == "failed"
    assert docker_airflow.task_instances(run)["merge", -1]["state"] == "failed"
    clear(docker_airflow, run, "merge")
    assert different(members(docker_airflow, finish(docker_airflow, run)), expected) == []
    assert watch.most == 1


def test_a_task_cleared_while_it_runs_never_has_two_containers(
    docker_airflow: Airflow, started: Json, engine: APIClient, expected: Any
) -> None:
    watch = Watch(engine, started, "merge")
    with held(docker_airflow, "merge"):
        until(lambda: watch.of_try(1), "merge runs")
        clear(docker_airflow, started, "merge")
        until(lambda: watch.of_try(2), "merge runs again")
    run = finish(docker_airflow, started)
    assert different(members(docker_airflow, run), expected) == []
    assert watch.most == 1


def test_the_container_of_a_task_killed_hard_makes_way_for_the_next_try(
    docker_airflow: Airflow, started: Json, engine: APIClient, expected: Any
) -> None:
    watch = Watch(engine, started, "merge")
    with held(docker_airflow, "merge"):
        until(lambda: watch.of_try(1), "merge runs")
        os.kill(docker_airflow.task_instances(started)["merge", -1]["pid"], signal.SIGKILL)
        until(lambda: watch.of_try(2), "merge runs again")
    run = finish(docker_airflow, started)
    assert docker_airflow.task_instances(run)["merge", -1]["try_number"] == 2
    assert different(members(docker_airflow, run), expected) == []
    assert watch.most == 1


def test_a_killed_part_leaves_its_siblings_alone(
    docker_airflow: Airflow, started: Json, engine: APIClient, expected: Any
) -> None:
    watch = Watch(engine, started, "cluster")
    with held(docker_airflow, "cluster"):
        until(lambda: len(watch.containers()) == 2, "two parts run")  # as the pool allows
        until(lambda: all(c["State"] == "running" for c in watch.containers()), "they run")
        victim, sibling = (int(c["Labels"]["airflow.map_index"]) for c in watch.containers())
        pid = docker_airflow.task_instances(started)["cluster", victim]["pid"]
        os.kill(pid, signal.SIGKILL)
    # No longer held up: a third part may have taken the slot that the second try needs.
    run = finish(docker_airflow, started)
    tries = {
        index: each["try_number"]
        for (task_id, index), each in docker_airflow.task_instances(run).items()
        if task_id == "cluster"
    }
    assert tries[victim] == 2
    assert tries[sibling] == 1
    assert different(members(docker_airflow, run), expected) == []


@pytest.mark.heavy
def test_containers_delete_a_document(
    docker_airflow: Airflow, sample: Path, tmp_path: Path
) -> None:
    goes_and_stays_gone(docker_airflow, with_withdrawn(sample, tmp_path / "stage3"))


@pytest.mark.skipif("STAGE4_TEST_DATA" not in os.environ, reason="STAGE4_TEST_DATA is not set")
@pytest.mark.heavy
@pytest.mark.parametrize("level", LEVELS)
def test_both_runners_find_the_same_in_real_news(
    airflow: Airflow, docker_airflow: Airflow, level: str
) -> None:
    found = []
    for each in (airflow, docker_airflow):
        with each.reading(Path(os.environ["STAGE4_TEST_DATA"], "ecbplus")):
            run = each.run_dag(f"cluster_{level}")
        assert run["state"] == "success", each.explain(run)
        found.append(members(each, run))
    assert found[0].num_rows > 700
    assert different(found[1], found[0]) == []
