"""What the faults rest on: clocks that jump, a stand-by that takes a server's place."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
import pytest

from local.postgres import RESULTS, SUPERUSER, Postgres
from local.state import State
from tests.e2e.chaos.clock import COMPILER, Clock, clocks
from tests.e2e.chaos.engine import unmount_below
from tests.e2e.chaos.faults import Target, filled, start_database, strike
from tests.e2e.chaos.installation import POSTGRES_BYTES, Installation, small_disk
from tests.e2e.chaos.proxy import FaultProxy
from tests.e2e.chaos.schedule import Fault
from tests.e2e.chaos.server import Server
from tests.e2e.chaos.stage3 import Stage3Folder
from tests.e2e.conftest import Airflow

HOUR = 3600
# It sleeps, because Python's sleep ends at a time of its clock.
TELL = """
import sys, time
for _ in sys.stdin:
    time.sleep(0.01)
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.mark.skipif(COMPILER is None, reason="there is no compiler")
def test_a_clock_jumps_and_time_that_is_measured_does_not(tmp_path: Path) -> None:
    clock = clocks(tmp_path / "clocks")["steps"]
    with _teller(clock) as teller:
        before = _told(teller)
        clock.set(-5 * HOUR)
        during = _told(teller)
        clock.set(0)
        after = _told(teller)
    assert during[0] - before[0] == pytest.approx(-5 * HOUR, abs=HOUR)
    assert before[0] < after[0] < before[0] + HOUR
    assert before[1] < during[1] < after[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_a_killed_engine_has_mounted_goes(tmp_path: Path) -> None:
    data = tmp_path / "docker" / "data"
    data.mkdir(parents=True)
    for _ in range(2):  # an engine that was killed twice
        subprocess.run(["mount", "--bind", data, data], check=True)
    unmount_below(tmp_path / "docker")
    shutil.rmtree(tmp_path / "docker")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(Postgres(State.open(tmp_path / "state").postgres))
    server.current.start()
    try:
        yield server
    finally:
        server.current.stop()
        for folder in server.current.folders():
            shutil.rmtree(folder, ignore_errors=True)


def test_a_stand_by_takes_over_with_all_that_was_acknowledged(server: Server) -> None:
    proxy = FaultProxy(server.address)
    url = f"postgresql://{SUPERUSER}@127.0.0.1:{proxy.port}/{RESULTS}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE told (number int)")
    before = server.address
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(_write_until_cut, url)
        server.fail_over(proxy)
        told = writing.result()
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT count(*) FROM told").fetchone()
    proxy.close()
    assert server.address != before
    assert told > 0
    # What was on its way may have arrived, though nobody was told.
    assert rows in ((told,), (told + 1,))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_server_whose_disk_was_full_starts_with_all_that_it_had(tmp_path: Path) -> None:
    database = Postgres(State.open(tmp_path / "state").postgres)
    with small_disk(database.folder.parent, POSTGRES_BYTES) as (disk, _):
        database.start()
        with psycopg.connect(database.url(RESULTS), autocommit=True) as connection:
            connection.execute("CREATE TABLE told AS SELECT 1")
        with filled(disk):
            assert Server(database).is_refused_room()
        start_database(database)
        with psycopg.connect(database.url(RESULTS), autocommit=True) as connection:
            assert connection.execute("SELECT * FROM told").fetchall() == [(1,)]
        database.stop()


def test_a_server_that_stands_still_answers_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.e2e.chaos.faults.DUMB_SECONDS", 0.1)
    database = server.current
    before = database.pid()
    assert before is not None
    os.kill(before, signal.SIGSTOP)
    start_database(database)
    with psycopg.connect(database.url(RESULTS)) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_proxy_counts_what_it_troubles(server: Server) -> None:
    proxy = FaultProxy(server.address)
    url = f"postgresql://{SUPERUSER}@127.0.0.1:{proxy.port}/{RESULTS}"
    with proxy.being("away"):
        idle = proxy.troubled
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
    well = proxy.troubled
    with proxy.being("away"), pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    proxy.close()
    assert (idle, well) == (0, 0)
    assert proxy.pieces > 0
    assert proxy.troubled > 0


def test_a_fault_whose_task_is_over_does_nothing(tmp_path: Path) -> None:
    # All that this fault hits is Stage 3's folder.
    stage3 = Stage3Folder.make(tmp_path / "stage3", 40)
    place = Installation(cast("Airflow", None), stage3, {})
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    fault = Fault("files_replaced", "documents", "snapshot", 0, 1)
    assert not strike(place, Target(fault, ended.pid))
    assert strike(place, Target(fault, os.getpid()))
    assert stage3.writes > 0


def _write_until_cut(url: str) -> int:
    """Returns how many rows were acknowledged."""
    with psycopg.connect(url, autocommit=True) as connection:
        for told in itertools.count():
            try:
                connection.execute("INSERT INTO told VALUES (%s)", [told])
            except psycopg.OperationalError:
                return told
    raise AssertionError


@contextmanager
def _teller(clock: Clock) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | clock.environment
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process


def _told(teller: subprocess.Popen[str]) -> tuple[float, float]:
    """The time of a process, and what it measures."""
    assert teller.stdin is not None
    assert teller.stdout is not None
    teller.stdin.write("\n")
    teller.stdin.flush()
    now, measured = map(float, teller.stdout.readline().split())
    return now, measured
