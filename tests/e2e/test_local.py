"""`make up` and `make down`: what runs, what is left, and who may come in."""

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from local import services
from local.configuration import Options
from local.stack import Stack
from local.state import State
from local.supervisor import COMMANDS
from tests.e2e.conftest import Airflow

pytestmark = pytest.mark.airflow

DAG = """
import subprocess, sys
from airflow.sdk import dag, task

@dag(dag_id="tiny", schedule=None)
def tiny():
    @task
    def wait():
        # In a session of its own, as a process that means to survive its task would be.
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        subprocess.run(command, start_new_session=True)
    wait()

tiny()
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack that is not started, with one small DAG."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "tiny.py").write_text(DAG)
    stack = Stack(State.open(tmp_path / "state"), Options(dags=dags, folder=tmp_path, port=0))
    yield stack
    stack.clean()


def pids(stack: Stack) -> set[int]:
    """The pids of everything that runs for `stack`."""
    found = {process.pid for process in services.members(stack.state)}
    database = stack.database.pid()
    return found | ({database} if database else set())


def alive(found: set[int]) -> list[str]:
    """Those of `found` that still run (a zombie does not)."""
    return [
        str(process)
        for process in psutil.process_iter()
        if process.pid in found and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_up_twice_changes_nothing_and_down_leaves_nothing_even_of_a_crash(stack: Stack) -> None:
    assert stack.up()
    started = service_pids(stack)
    secrets, port = stack.state.secrets(), stack.port

    assert not stack.up()

    assert service_pids(stack) == started
    assert (stack.state.secrets(), stack.port) == (secrets, port)

    stack.api().trigger("tiny")
    step = wait_for_step(stack)
    running = pids(stack) | {step}
    assert len(running) > len(COMMANDS) + 1
    supervisor = stack.supervisor.process()
    assert supervisor is not None
    kill(supervisor)  # the services are orphans now
    assert not stack.is_up()

    stack.down()

    assert not alive(running)
    assert not pids(stack)
    stack.down()  # nothing to do, and no error


def service_pids(stack: Stack) -> dict[str, int | None]:
    """The pid of each service."""
    found = {name: stack.supervisor.service(name) for name in COMMANDS}
    return {name: process.pid if process else None for name, process in found.items()}


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_foreign_process_with_a_recorded_pid_is_not_touched(stack: Stack) -> None:
    supervisor = stack.supervisor
    sleeper = psutil.Popen(["sleep", "60"], start_new_session=True)
    try:
        recycled = f'{{"pid": {sleeper.pid}, "started": {sleeper.create_time() - 1}}}'
        supervisor.pid_file.write_text(recycled)
        assert supervisor.process() is None

        stack.down()

        assert sleeper.is_running()
        assert sleeper.status() != psutil.STATUS_ZOMBIE
    finally:
        sleeper.kill()
        sleeper.wait()


def test_secrets_are_distinct_and_private(airflow: Airflow) -> None:
    state = airflow.stack.state
    values = list(vars(state.secrets()).values())
    assert len(set(values)) == len(values)
    assert repr(state.secrets()) == "Secrets(***)"
    holding = [
        path
        for path in state.root.rglob("*")
        if path.is_file() and any(value.encode() in path.read_bytes() for value in values)
    ]
    assert state.root / "secrets.json" in holding
    assert {stat.S_IMODE(path.stat().st_mode) for path in holding} == {0o600}
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    if os.geteuid() != 0:
        assert stat.S_IMODE(airflow.stack.database.data.stat().st_mode) == 0o700


def test_only_the_password_opens_the_api(airflow: Airflow) -> None:
    url = f"{airflow.base_url}/api/v2/dags"
    login = {"username": "admin", "password": "wrong"}
    with httpx.Client(trust_env=False) as stranger:
        assert stranger.get(url).status_code == httpx.codes.UNAUTHORIZED
        wrong = {"Authorization": "Bearer wrong"}
        assert stranger.get(url, headers=wrong).status_code == httpx.codes.FORBIDDEN
        answer = stranger.post(f"{airflow.base_url}/auth/token", json=login)
        assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert airflow.client.get("/dags").status_code == httpx.codes.OK


def test_nothing_listens_beyond_this_machine(airflow: Airflow) -> None:
    listening = [
        connection.laddr.ip
        for process in services.members(airflow.stack.state)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def wait_for_step(stack: Stack) -> int:
    """The pid of what the task of `tiny` has started in a session of its own."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for process in services.members(stack.state):
            if "import time; time.sleep(600)" in process.cmdline():
                return process.pid
        time.sleep(0.2)
    raise AssertionError("the task has not started in 60 s")
