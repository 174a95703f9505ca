"""An installation that faults can be done to: Airflow, and all that it talks to behind proxies."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from clustering_tasks.settings.levels import LEVELS
from local import services
from local.configuration import Options
from local.postgres import AIRFLOW, RESULTS, SUPERUSER, Postgres
from local.stack import Stack
from local.stage5_receiver import listening
from local.state import State
from tests.e2e.chaos.clock import Clock, clocks
from tests.e2e.chaos.engine import Engine, own_engine
from tests.e2e.chaos.proxy import FaultProxy
from tests.e2e.chaos.server import Server
from tests.e2e.chaos.stage3 import Stage3Folder, Stage3Server, answering
from tests.e2e.conftest import CALM, Airflow
from tests.events_out import SECRET, WebhookServer, webhook
from tests.integration.api.redis_server import RedisServer, running

DOCUMENTS = 40
WORKSPACE_BYTES = 1 << 30
POSTGRES_BYTES = 3 << 29  # a fail-over needs room for two servers
ANSWER_SECONDS = 180.0  # of the API server, on a machine that is busy elsewhere
# What takes minutes by default, so that a run under faults takes one or two.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__CORE__PARALLELISM": "6",
    # The pause doubles with each try, also behind a clearing.
    "STAGE4_RETRY_DELAY_SECONDS": "0.1",
    "STAGE4_RETRIES": "12",
    "STAGE4_CLUSTER_POOL_SLOTS": "4",
    "STAGE4_STAGE3_TIMEOUT_SECONDS": "5",
    "STAGE4_STEP_TIMEOUT_MINUTES": "10",
}


@dataclass(frozen=True)
class Installation:
    """Airflow, and what stands around it.

    Attributes:
        airflow: with its database, and Stage 5.
        stage3: the folder that it reads.
        proxies: by what is behind them: `results`, `metadata`, `stage3`, `hook`, `redis`; empty
            where nothing is.
        stage3_api, hook, redis: Stage 3's REST API, a receiver of events, a Redis; None: there is
            none.
        is_small: whether workspace and output, and PostgreSQL, are on disks of their own that can
            be filled.
        clocks: of `services` and `steps`, that jump; empty where none can.
        server: PostgreSQL, where a stand-by may take its place.
        engine: of Docker, whose containers the steps are; None: they are processes.
        loaded_again: jobs that were published, and cleared because their map was lost: once more
            loaded and published.
    """

    airflow: Airflow
    stage3: Stage3Folder
    proxies: Mapping[str, FaultProxy]
    stage3_api: Stage3Server | None = None
    hook: WebhookServer | None = None
    redis: RedisServer | None = None
    is_small: bool = False
    engine: Engine | None = None
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    server: Server | None = None
    loaded_again: set[str] = field(default_factory=set)

    @property
    def database(self) -> Postgres:
        """The PostgreSQL that is asked now."""
        return self.stack.database if self.server is None else self.server.current

    @property
    def stack(self) -> Stack:
        return self.airflow.stack

    def rows(self, query: str, *values: Any, of: str = RESULTS) -> list[tuple[Any, ...]]:
        """Ask PostgreSQL, past every proxy."""
        with psycopg.connect(self.database.url(of)) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def running(self, runs: Mapping[str, str]) -> list[tuple[str, str, int, int]]:
        """DAG, task, map index and pid of each task of some runs that is at work."""
        return [
            (dag, task, index, pid)
            for dag, run, task, index, pid in self.rows(
                "SELECT dag_id, run_id, task_id, map_index, pid FROM task_instance"
                " WHERE state = 'running' AND pid IS NOT NULL AND dag_id LIKE 'cluster%%'",
                of=AIRFLOW,
            )
            if runs.get(dag) == run
        ]


@contextmanager
def installation(folder: Path, image: str | None = None) -> Iterator[Installation]:
    """Start everything; stop and remove it when the block ends.

    Args:
        folder: of all data.
        image: the engine's; with one the steps are containers, of an engine of their own.
    """
    stage3 = Stage3Folder.make(folder / "stage3", DOCUMENTS)
    state = State.open(folder / "state")
    with contextlib.ExitStack() as stack:
        stage3_api = stack.enter_context(answering(stage3))
        hook, redis = stack.enter_context(webhook()), stack.enter_context(running(folder))
        stage5 = stack.enter_context(listening(state.secrets().stage5_token))
        disk, is_small = stack.enter_context(small_disk(folder / "disk", WORKSPACE_BYTES))
        local = Stack(state, Options(folder=folder, port=0))
        server = Server(local.database)
        stack.enter_context(small_disk(server.current.folder.parent, POSTGRES_BYTES))
        times = clocks(folder / "clocks")
        proxies = {
            "results": FaultProxy(server.address),
            "metadata": FaultProxy(server.address),
            "stage3": FaultProxy(("127.0.0.1", stage3_api.server_port)),
            "hook": FaultProxy(("127.0.0.1", hook.server_port)),
            "redis": FaultProxy(("127.0.0.1", redis.port)),
        }
        for each in proxies.values():
            stack.callback(each.close)
        engine = (
            None if image is None else stack.enter_context(own_engine(folder / "docker", image))
        )
        environment = (
            CALM
            | IMPATIENT
            | stage5.environment()
            | _behind(proxies)
            | _places(folder, disk)
            | _runner(engine)
            | _clocks(times, folder)
        )
        local = Stack(state, Options(folder=folder, environment=environment, port=0))
        indices = folder / "indices"
        indices.symlink_to(stage3.path)
        stack.callback(_clean, local, server)
        local.up()
        api = local.api()
        api.client.timeout = ANSWER_SECONDS
        airflow = _Chaotic(local, api, stage5, indices, disk)
        yield Installation(
            *(airflow, stage3, proxies, stage3_api, hook, redis, is_small, engine, times, server)
        )
    assert services.members(state) == []


def _clean(local: Stack, server: Server) -> None:
    local.down()
    server.current.stop()
    local.clean()


@dataclass(frozen=True)
class _Chaotic(Airflow):
    """An Airflow whose workspace is not in its state's folder."""

    disk: Path

    @property
    def workspace(self) -> Path:
        return self.disk / "workspace"

    @property
    def output(self) -> Path:
        return self.disk / "output"


def _places(folder: Path, disk: Path) -> dict[str, str]:
    return {
        "STAGE4_INDICES": str(folder / "indices"),
        "STAGE4_WORKSPACE": str(disk / "workspace"),
        "STAGE4_OUTPUT": str(disk / "output"),
        "STAGE4_ENV_FILE": os.devnull,
    }


def _runner(engine: Engine | None) -> dict[str, str]:
    if engine is None:
        return {"STAGE4_RUNNER": "process"}
    return {
        "STAGE4_RUNNER": "docker",
        "STAGE4_IMAGE": engine.image,
        "STAGE4_DOCKER_URL": engine.url,
        "STAGE4_CONTAINER_USER": f"{os.getuid()}:{os.getgid()}",
    }


def _clocks(times: Mapping[str, Clock], folder: Path) -> dict[str, str]:
    """What lets the services, and the steps by themselves, live by clocks that jump."""
    if not times:
        return {}
    python = folder / "python"
    own = [f"{name}={value}" for name, value in times["steps"].environment.items()]
    python.write_text(f'#!/bin/sh\nexec env {shlex.join(own)} {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    return times["services"].environment | {"STAGE4_PYTHON": str(python)}


def _behind(proxies: Mapping[str, FaultProxy]) -> dict[str, str]:
    """What leads Airflow and Stage 4 to the proxies."""
    host = "127.0.0.1"
    results = {
        "conn_type": "postgres",
        "host": host,
        "port": proxies["results"].port,
        "login": SUPERUSER,
        "schema": RESULTS,
    }
    hook = {
        "conn_type": "http",
        "host": f"http://{host}:{proxies['hook'].port}/hook",
        "password": SECRET,
    }
    redis = {"conn_type": "redis", "host": host, "port": proxies["redis"].port}
    metadata = f"postgresql+psycopg://{SUPERUSER}@{host}:{proxies['metadata'].port}/{AIRFLOW}"
    return {
        "AIRFLOW_CONN_STAGE4_POSTGRES": json.dumps(results),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
        "AIRFLOW_CONN_HOOK": json.dumps(hook),
        "AIRFLOW_CONN_CACHE": json.dumps(redis),
        "STAGE4_EVENT_RECEIVERS": "hook,cache",
        "STAGE4_REDIS_CONN_ID": "cache",
        "STAGE4_STAGE3_URL": f"http://{host}:{proxies['stage3'].port}",
        "STAGE4_STAGE5_REQUIRED": "true",
    }


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[tuple[Path, bool]]:
    """A file system of its own of so many bytes; only root may mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        yield folder, False
        return
    options = f"size={size},mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder, True
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder for an installation of the campaign, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="stage4-chaos-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


DAGS = {level: f"cluster_{level}" for level in LEVELS}
