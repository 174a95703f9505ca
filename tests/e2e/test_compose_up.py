"""docker-compose.yaml from nothing to nothing: up, a run of all levels, down, up, down.

The public images cannot be had everywhere: `stand_ins/` has one in place of each. It is run by
`make e2e-compose`.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from docker import APIClient

from clustering_tasks.settings.levels import LEVELS
from local.airflow_api import AirflowApi, Json
from tests.docker_compose import REPO, compose_binary
from tests.e2e.compose_stack import CLASSIC, ComposeStack, stand_ins, write_env
from tests.e2e.numbered import numbered

pytest_plugins = ["tests.integration.docker_fixtures"]
pytestmark = [pytest.mark.heavy, pytest.mark.docker, pytest.mark.airflow]

RUN_SECONDS = 1800
USER = 1000  # of the services and the steps
API = "/stage4/api/v1"


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    sample: Path,
    base_image: str,
    clustering_image: str,
    engine: APIClient,
) -> Iterator[ComposeStack]:
    """The project with its images; at the end, nothing of it may be left."""
    folder = tmp_path_factory.mktemp("compose")
    project = f"stage4-test-{uuid.uuid4().hex[:8]}"
    stack = ComposeStack(compose_binary(), project, folder / "env", folder / "workspace")
    stack.workspace.mkdir()
    os.chown(stack.workspace, USER, USER)
    with stand_ins(base_image) as images:
        chosen = {
            "STAGE4_IMAGE": clustering_image,
            "STAGE4_WORKSPACE_DIR": str(stack.workspace),
            "STAGE4_INDICES_DIR": str(sample),
            "STAGE4_UI_PORT": "0",
            "COMPOSE_PROFILES": "redis",
            "STAGE4_REDIS_CONN_ID": "stage4_redis",
        }
        chosen |= {f"STAGE4_SCHEDULE_{level.upper()}": "none" for level in LEVELS}
        write_env(stack.env_file, images | chosen)
        try:
            stack.compose("build", "api-server", BASE_IMAGE=base_image, **CLASSIC)
            yield stack
        finally:
            stack.compose("down", "--volumes", "--remove-orphans")
            assert stack.left() == []
            assert steps(engine) == []


@pytest.fixture(scope="module")
def api(stack: ComposeStack) -> AirflowApi:
    return stack.up()


@pytest.fixture(scope="module")
def run(api: AirflowApi) -> str:
    """A run of all levels that succeeded."""
    run_id: str = api.trigger("cluster_all")["dag_run_id"]
    done = api.wait("cluster_all", run_id, RUN_SECONDS)
    tasks = api.task_instances([(f"cluster_{level}", f"{run_id}__{level}") for level in LEVELS])
    failed = [api.log_tail(task) for task in tasks if task["state"] == "failed"]
    assert done["state"] == "success", "\n".join(failed)
    return run_id


def steps(engine: APIClient) -> list[str]:
    """Containers that a task started."""
    found = engine.containers(all=True, filters={"label": "airflow.task_id"})
    return [name for each in found for name in each["Names"]]


def published(api: AirflowApi) -> dict[str, Json]:
    """Each level's published run and its first clusters, as the REST API shows them."""
    found = {}
    for level in LEVELS:
        answer = api.client.get(f"{api.base_url}{API}/clusters", params={"level": level})
        answer.raise_for_status()
        body: Json = answer.json()
        found[level] = {"load_id": body["load_id"], "clusters": body["clusters"]}
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_the_members_are_those_of_the_process_runner(
    stack: ComposeStack, api: AirflowApi, run: str, sample: Path, tmp_path: Path, level: str
) -> None:
    files = api.xcom(f"cluster_{level}", f"{run}__{level}", "label")["files"]
    found = pq.read_table(files["members_parquet"].replace("/workspace", str(stack.workspace), 1))
    command = [sys.executable, "-m", "clustering_tasks", "run", "--level", level]
    command += ["--indices", str(sample), "--workspace", str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=REPO)
    expected: Any = pq.read_table(json.loads(done.stdout.splitlines()[-1])["members_parquet"])
    assert found.num_rows == expected.num_rows > 0
    assert found.schema == expected.schema
    one, other = numbered(found), numbered(expected)
    assert [n for n in other.column_names if not one[n].equals(other[n])] == []


def test_every_dependency_is_healthy_after_a_run(api: AirflowApi, run: str) -> None:
    health = api.client.get(f"{api.base_url}{API}/health").json()
    states = {name: each["status"] for name, each in health["dependencies"].items()}
    assert states == {
        **dict.fromkeys(("postgres", "redis", "workspace"), "up"),
        **dict.fromkeys(("stage3", "stage3_stream", "event_receivers"), "off"),
    }
    assert health["status"] == "healthy"


def test_the_scheduler_gets_nothing_more_of_the_engine(stack: ComposeStack, run: str) -> None:
    script = """
import docker
client = docker.APIClient("tcp://docker-api:2375", version="1.41")
def refused(act, *arguments, **settings):
    try:
        act(*arguments, **settings)
    except docker.errors.APIError as error:
        return error.status_code
host = client.create_host_config(binds=["/:/host"])
print(refused(client.containers), refused(client.pull, "debian:12"), refused(client.volumes),
      refused(client.create_container, "x", host_config=host))
"""
    assert stack.python("scheduler", script) == "403 403 403 403"


def test_nobody_else_reaches_the_engine(stack: ComposeStack, api: AirflowApi) -> None:
    script = """
import socket
try:
    socket.create_connection(("docker-api", 2375), timeout=3)
except OSError as error:
    print(type(error).__name__)
"""
    for service in ("api-server", "dag-processor", "triggerer"):
        assert stack.python(service, script) == "gaierror"


def test_stopping_ends_the_running_steps(
    stack: ComposeStack, api: AirflowApi, run: str, engine: APIClient
) -> None:
    """And a later start finds the results, and goes on with the run."""
    before = published(api)
    started = api.trigger("cluster_events", {"temporal.decay": True})["dag_run_id"]
    while not steps(engine):
        assert api.run("cluster_events", started)["state"] in ("queued", "running")  # type: ignore[index]
    stack.compose("down")
    assert steps(engine) == []
    again = stack.up()
    assert published(again) == before
    assert again.wait("cluster_events", started, RUN_SECONDS)["state"] == "success"
