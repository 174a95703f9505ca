"""A thousand events of Stage 3 in a burst: a real Airflow, Redis, PostgreSQL; runs that only read.

`python -m pytest -n 0 -m heavy -s tests/e2e/test_events_in.py` prints what docs/RELIABILITY.md
shows. The levels' DAGs stand in for the real ones: a run begins as `check_stage3` does, and reads
what Stage 3 has written by then.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clustering_tasks.settings.levels import LEVELS
from local.airflow_api import AirflowApi
from local.configuration import Options
from local.postgres import RESULTS
from local.stack import Stack
from local.state import REPO, State
from stage4.events.stage3.stream import GROUP, STREAM
from tests.e2e.conftest import CALM
from tests.integration.api.redis_server import RedisServer, running
from tests.stage3_events import event

pytestmark = [pytest.mark.airflow, pytest.mark.heavy]

EVENTS, DUPLICATES, PIECES = 1000, 500, 10
SECONDS = 300  # more than anything here takes
READING = """
import pathlib
from airflow.sdk import DAG, task
from clustering_tasks.settings.levels import LEVELS
from stage4.tasks.level import begin_reading

HERE = pathlib.Path(__file__).parent.parent

for level in LEVELS:
    with DAG(dag_id=f"cluster_{level}", schedule=None, max_active_runs=1):
        @task
        def read(level, run_id=None):
            begin_reading(level, run_id)
            with (HERE / f"read-{level}-{run_id}").open("x") as read:
                read.write((HERE / "written").read_text())
        read(level)
"""


@dataclass(frozen=True)
class Installation:
    """Airflow, Stage 3's Redis, and Stage 3's folder."""

    stack: Stack
    api: AirflowApi
    redis: RedisServer
    folder: Path

    def announce(self, fields: list[dict[Any, Any]]) -> None:
        """Write what events are about, and append them to the stream behind that."""
        self.write(each["job_id"] for each in fields)
        with self.redis.client.pipeline() as act:
            for each in fields:
                act.xadd(STREAM, each)
            act.execute()

    def write(self, jobs: Iterator[str] | list[str]) -> None:
        with (self.folder / "written").open("a") as written:
            written.write("".join(f"{job}\n" for job in jobs))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stack.database.url(RESULTS)) as connection:
            return connection.execute(query.encode()).fetchall()

    def runs(self) -> set[tuple[str, str]]:
        """Level and run id of every run of a level."""
        return {
            (level, run["dag_run_id"])
            for level in LEVELS
            for run in self.api.get(f"/dags/cluster_{level}/dagRuns", limit=100)["dag_runs"]
        }

    def has_read(self, level: str, run_id: str) -> set[str]:
        """What Stage 3 had written when a run read."""
        return set((self.folder / f"read-{level}-{run_id}").read_text().split())

    def wait(self, events: int) -> None:
        """Wait until so many events are stored, and each is for a run that has begun."""
        deadline = time.monotonic() + SECONDS
        done = (
            "SELECT count(*), count(begun_at) FROM stage4.stage3_events"
            " LEFT JOIN stage4.requested_runs USING (level, run_id)"
        )
        while self.rows(done) != [(events, events)]:
            assert time.monotonic() < deadline, (self.rows(done), self.pending())
            time.sleep(0.5)

    def wait_until_one_has_begun(self) -> None:
        deadline = time.monotonic() + SECONDS
        begun = "SELECT FROM stage4.requested_runs WHERE begun_at IS NOT NULL"
        while not self.rows(begun):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def wait_until_nothing_is_pending(self) -> None:
        """What a killed reader has stored is acknowledged by the next, when it takes that over."""
        deadline = time.monotonic() + SECONDS
        while True:
            (group,) = self.pending()
            found = (group["name"].decode(), group["pending"], group["lag"])
            if found == (GROUP, 0, 0):
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.5)

    def pending(self) -> Any:
        return self.redis.client.xinfo_groups(STREAM)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("events_in")
    dags = folder / "dags"
    dags.mkdir()
    (dags / "reading.py").write_text(READING)
    receiving = REPO / "dags" / "receive_events.py"
    (dags / receiving.name).write_text(receiving.read_text())
    (folder / "written").touch()
    with running(folder) as redis:
        environment = CALM | {
            "STAGE4_STAGE3_STREAM_CONN_ID": "stage3",
            "AIRFLOW_CONN_STAGE3": redis.airflow_connection,
        }
        options = Options(dags=dags, folder=folder, port=0, environment=environment)
        stack = Stack(State.open(folder / "state"), options)
        try:
            stack.up()
            yield Installation(stack, stack.api(), redis, folder)
        finally:
            stack.clean()


def test_no_event_is_lost_and_none_starts_two_runs(installation: Installation) -> None:
    levels = [*LEVELS]
    unique = [event(f"job-{number}", levels[number % 4]) for number in range(EVENTS)]
    draw = random.Random(1)
    sent = unique + draw.sample(unique, DUPLICATES)
    draw.shuffle(sent)
    started = time.monotonic()
    size = len(sent) // PIECES
    for piece in range(PIECES):
        installation.announce(sent[piece * size : (piece + 1) * size])
        if piece == PIECES // 3:
            installation.wait_until_one_has_begun()
        if piece == PIECES // 2:
            triggerer = installation.stack.supervisor.service("triggerer")
            assert triggerer is not None
            triggerer.kill()  # the supervisor starts it again, and it starts the reader
        time.sleep(1)  # runs begin meanwhile
    installation.wait(EVENTS)
    seconds = time.monotonic() - started
    assigned = installation.rows("SELECT stage3_job, level, run_id FROM stage4.stage3_events")
    assert {job for job, _, _ in assigned} == {each["job_id"] for each in unique}
    requested = set(installation.rows("SELECT level, run_id FROM stage4.requested_runs"))
    assert installation.runs() == requested == {(level, run) for _, level, run in assigned}
    read = {run: installation.has_read(*run) for run in requested}
    assert len(requested) > len(levels)  # some came when a run had begun
    assert [row for row in assigned if row[0] not in read[row[1], row[2]]] == []
    installation.wait_until_nothing_is_pending()
    print(  # noqa: T201
        f"\n{len(sent):,} entries, {EVENTS:,} events, {len(requested)} runs, the triggerer killed "
        f"once: the last run had read after {seconds:.0f} s"
    )


def test_events_of_an_asset_at_once_are_none_lost(installation: Installation) -> None:
    before = installation.runs()
    known = len(installation.rows("SELECT FROM stage4.stage3_events"))
    (asset,) = [
        each
        for each in installation.api.get("/assets", limit=100)["assets"]
        if each["uri"] == "x-stage3://documents"
    ]
    for number in range(20):
        installation.write([f"asset-{number}"])
        body = {"asset_id": asset["id"], "extra": {"total_embeddings": 5}}
        installation.api.post("/assets/events", body)
    installation.wait(known + 20)
    new = installation.runs() - before
    assert {level for level, _ in new} == {"documents"}
    assert 1 <= len(new) < 20
    last = max(new, key=lambda run: int(run[1].rpartition("_")[2]))
    assert {f"asset-{number}" for number in range(20)} <= installation.has_read(*last)
    of_assets = installation.rows(
        "SELECT level, total_embeddings, count(*) FROM stage4.stage3_events"
        " WHERE received_by = 'asset' GROUP BY 1, 2"
    )
    assert of_assets == [("documents", 5, 20)]
