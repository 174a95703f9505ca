"""A real Airflow for the tests of this folder, started by the code behind `make up`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import services
from local.airflow_api import AirflowApi, Json
from local.configuration import Options
from local.postgres import RESULTS
from local.sample import write_sample
from local.stack import Stack
from local.stage5_receiver import Stage5Receiver
from local.state import State
from tests.contract import checking_receiver

SAMPLE_DOCUMENTS = 40
RUN_MINUTES = 60  # more than any run here takes
# Nothing happens by itself: no schedule starts a run, and the DAG files are read once, which takes
# a tenth of a core when it is done every 30 s.
CALM = {
    f"STAGE4_SCHEDULE_{level}": "none"
    for level in ("DOCUMENTS", "EVENTS", "ENTITIES", "STORYLINES")
} | {"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600"}


@dataclass(frozen=True)
class Airflow:
    """A running Airflow with its database, and a Stage 5 that listens."""

    stack: Stack
    api: AirflowApi
    stage5: Stage5Receiver
    indices: Path
    """Stage 3's folder as Airflow knows it: a link, which `reading` points elsewhere."""

    @property
    def base_url(self) -> str:
        return self.stack.base_url

    @property
    def client(self) -> httpx.Client:
        """An authorised session; paths are relative to /api/v2."""
        return self.api.client

    @property
    def env(self) -> dict[str, str]:
        """The environment of Airflow's processes, for commands on the same workspace."""
        return self.stack.environment

    @property
    def workspace(self) -> Path:
        return self.stack.state.workspace

    @property
    def output(self) -> Path:
        return self.stack.state.output

    @property
    def database_url(self) -> str:
        """URL of the results database, as psycopg takes it."""
        return self.stack.database.url(RESULTS)

    def run_dag(
        self,
        dag_id: str,
        conf: Json | None = None,
        run_id: str | None = None,
        seconds: float = 600,
    ) -> Json:
        """Trigger a run by REST and wait for its end; returns it as the API describes it."""
        run = self.api.trigger(dag_id, conf, run_id)
        return self.api.wait(dag_id, run["dag_run_id"], seconds)

    def task_instances(self, run: Json) -> dict[tuple[str, int], Json]:
        """The run's task instances by task id and map index (-1: not mapped)."""
        found = self.api.task_instances([(run["dag_id"], run["dag_run_id"])])
        return {(each["task_id"], each["map_index"]): each for each in found}

    def log_tail(self, task_instance: Json, lines: int = 40) -> str:
        """The end of the log of the last try of a task instance."""
        return self.api.log_tail(task_instance, lines)

    def xcom(self, run: Json, task_id: str, key: str = "return_value") -> Any:
        return self.api.xcom(run["dag_id"], run["dag_run_id"], task_id, key)

    def explain(self, run: Json) -> str:
        """The ends of the logs of the run's failed tasks: the message of a failed assertion."""
        failed = [t for t in self.task_instances(run).values() if t["state"] == "failed"]
        texts = [f"{t['task_id']}[{t['map_index']}]\n{self.log_tail(t)}" for t in failed]
        return f"{run['dag_id']} is {run['state']}\n" + "\n".join(texts)

    @contextmanager
    def reading(self, folder: Path) -> Iterator[None]:
        """Let Stage 3's folder be `folder` until the block ends."""
        before = self.indices.readlink()
        point(self.indices, folder)
        try:
            yield
        finally:
            point(self.indices, before)


def point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`; a reader finds the one or the other, never nothing."""
    scratch = link.with_name(f"{link.name}.{time.monotonic_ns()}")
    scratch.symlink_to(target)
    scratch.replace(link)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample corpus in Stage 3's form."""
    folder = tmp_path_factory.mktemp("stage3") / "sample"
    write_sample(folder, documents=SAMPLE_DOCUMENTS, seed=1)
    return folder


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Airflow]:
    """Airflow and PostgreSQL with a state, a port and secrets of their own; up once a session.

    No schedule triggers a run, and a transient failure is tried again after one second. Further
    settings come from the environment of pytest, for example STAGE4_RUNNER=docker.
    """
    folder = tmp_path_factory.mktemp("airflow")
    (folder / ".env").touch()
    indices = folder / "indices"
    indices.symlink_to(sample)
    state = State.open(folder / "state")
    with checking_receiver(state.secrets().stage5_token) as stage5:
        environment = (
            CALM
            | stage5.environment()
            | {
                "STAGE4_INDICES": str(indices),
                "STAGE4_WORKSPACE": str(state.workspace),
                "STAGE4_OUTPUT": str(state.output),
                "STAGE4_RETRY_DELAY_SECONDS": "1",
                "STAGE4_RUN_TIMEOUT_MINUTES": str(RUN_MINUTES),
                "STAGE4_ENV_FILE": str(folder / ".env"),  # read anew by every task
            }
        )
        stack = Stack(state, Options(folder=folder, environment=environment, port=0))
        try:
            stack.up()
            yield Airflow(stack, stack.api(), stage5, indices)
        finally:
            stack.clean()
        assert services.members(state) == []
