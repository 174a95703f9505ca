"""What `make up` does against deaths: services come back, running tasks go on, no try is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from local.airflow_api import AirflowApi, Json
from local.configuration import Options
from local.ports import claimed_port
from local.services import members
from local.stack import Stack
from local.state import State
from local.supervisor import COMMANDS
from tests.e2e.conftest import CALM

pytestmark = [pytest.mark.airflow, pytest.mark.heavy]

BACK_SECONDS = 60
DAGS = """
import os, pathlib, time
from datetime import timedelta
from airflow.sdk import dag, task

HERE = pathlib.Path(__file__).parent.parent

@dag(dag_id="long", schedule=None)
def long():
    @task
    def wait(name):
        with (HERE / "starts").open("a") as starts:
            starts.write(f"{name}\\n")
        while not (HERE / f"end-{name}").exists():
            time.sleep(0.2)
    wait("{{ run_id }}")

@dag(dag_id="many", schedule=None)
def many():
    @task(retries=5, retry_delay=timedelta(seconds=1))
    def step(number):
        return number
    step.expand(number=list(range(8)))

long()
many()
"""
# Airflow looks for the tasks of a dead scheduler soon, not after five minutes.
IMPATIENT = {"AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5"}


def new_stack(folder: Path) -> Stack:
    """A stack that is not started, with the two DAGs."""
    dags = folder / "dags"
    dags.mkdir(parents=True)
    (dags / "two.py").write_text(DAGS)
    options = Options(dags=dags, folder=folder, port=0, environment=CALM | IMPATIENT)
    return Stack(State.open(folder / "state"), options)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is up."""
    stack = new_stack(tmp_path_factory.mktemp("supervised"))
    try:
        stack.up()
        yield stack
    finally:
        stack.clean()


def kill(stack: Stack, name: str) -> int:
    """End a service by SIGKILL; returns its pid."""
    process = stack.supervisor.service(name)
    assert process is not None
    process.kill()
    return process.pid


def pids(stack: Stack) -> dict[str, int]:
    """The pid of each service that runs."""
    found = {name: stack.supervisor.service(name) for name in COMMANDS}
    return {name: process.pid for name, process in found.items() if process is not None}


def wait_for_another(stack: Stack, name: str, pid: int) -> None:
    """Wait until the service runs with another pid."""
    deadline = time.monotonic() + BACK_SECONDS
    while pids(stack).get(name) in (None, pid):
        assert time.monotonic() < deadline, f"{name} is not back after {BACK_SECONDS} s"
        time.sleep(0.1)


def wait_for_sweep(stack: Stack) -> None:
    """Wait until Airflow has looked for the tasks of the scheduler that was killed."""
    log, deadline = stack.supervisor.service_log("scheduler"), time.monotonic() + 120
    while "SchedulerJob instances as failed" not in log.read_text():
        assert time.monotonic() < deadline, "the dead scheduler is not noticed"
        time.sleep(0.5)
    time.sleep(5)  # tasks are adopted or reset in the same moment; a reset one would start again


def start_long_task(stack: Stack, run_id: str) -> None:
    """Trigger `long`, and wait until its task has begun."""
    stack.api().trigger("long", run_id=run_id)
    deadline = time.monotonic() + 60
    while run_id not in starts(stack):
        assert time.monotonic() < deadline, f"the task of {run_id} has not begun"
        time.sleep(0.2)


def starts(stack: Stack) -> list[str]:
    """The run of each start of the task of `long`."""
    file = stack.options.folder / "starts"
    return file.read_text().split() if file.exists() else []


def end_long_task(stack: Stack, run_id: str) -> list[Json]:
    """Let the task of `long` end, and return the task instances of the run."""
    (stack.options.folder / f"end-{run_id}").touch()
    return ended(stack.api(), "long", run_id)


def ended(api: AirflowApi, dag: str, run_id: str) -> list[Json]:
    """The task instances of a run that has ended well."""
    run = api.wait(dag, run_id, seconds=180)
    tasks = api.task_instances([(dag, run_id)])
    logs = "\n".join(f"{task['state']}: {api.log_tail(task)}" for task in tasks)
    assert run["state"] == "success", logs
    return tasks


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_service_is_back_in_seconds_and_a_running_task_goes_on(
    stack: Stack, name: str
) -> None:
    before, run_id = pids(stack), f"kill-{name}"
    start_long_task(stack, run_id)

    killed = kill(stack, name)
    wait_for_another(stack, name, killed)
    stack.up()  # waits until all is well
    if name == "scheduler":
        wait_for_sweep(stack)

    after = pids(stack)
    assert {other for other in COMMANDS if before[other] != after[other]} == {name}
    idle = [each for each in members(stack.state) if "<idle>" in " ".join(each.cmdline())]
    assert {worker.ppid() for worker in idle} == {after["scheduler"]}
    [task] = end_long_task(stack, run_id)
    assert starts(stack).count(run_id) == 1
    assert task["try_number"] == 1


def test_a_task_that_ends_while_the_api_server_is_dead_succeeds(stack: Stack) -> None:
    start_long_task(stack, "unreported")
    kill(stack, "api-server")
    (stack.options.folder / "end-unreported").touch()
    stack.up()
    [task] = end_long_task(stack, "unreported")
    assert task["try_number"] == 1


def test_a_repair_starts_what_is_missing_and_leaves_the_rest_alone(stack: Stack) -> None:
    before = pids(stack)
    start_long_task(stack, "repaired")
    stack.supervisor.stop("triggerer")
    assert not stack.is_up()

    assert stack.up()

    assert stack.is_up()
    after = pids(stack)
    assert {name for name in COMMANDS if before[name] != after[name]} == {"triggerer"}
    assert not stack.up()
    assert pids(stack) == after
    [task] = end_long_task(stack, "repaired")
    assert task["try_number"] == 1


def test_a_start_with_work_waiting_takes_no_try(stack: Stack) -> None:
    stack.supervisor.stop("scheduler")
    for number in range(3):
        stack.api().trigger("many", run_id=f"waiting-{number}")
    stack.down()

    stack.up()

    for number in range(3):
        tasks = ended(stack.api(), "many", f"waiting-{number}")
        assert [task["try_number"] for task in tasks] == [1] * 8


def test_stacks_that_start_at_once_have_a_port_each(tmp_path: Path) -> None:
    with claimed_port(0) as (port, _):
        pass
    both = [new_stack(tmp_path / name) for name in ("a", "b")]
    both = [replace(each, options=replace(each.options, port=port)) for each in both]
    try:
        with ProcessPoolExecutor() as pool:
            list(pool.map(Stack.up, both))
        ports = [each.port for each in both]
        assert port in ports
        assert len(set(ports)) == len(both)
        for each in both:
            assert each.api().dags()  # each API server takes the password of its own stack
            kill(each, "api-server")
        for each in both:
            each.up()
            assert each.api().dags()
        assert [each.port for each in both] == ports
    finally:
        for each in both:
            each.clean()


def test_a_stack_whose_supervisor_died_starts_anew(tmp_path: Path) -> None:
    stack = new_stack(tmp_path)
    try:
        stack.up()
        before, supervisor = pids(stack), stack.supervisor.process()
        assert supervisor is not None
        supervisor.kill()
        supervisor.wait()

        assert stack.up()

        assert not set(before.values()) & set(pids(stack).values())
        assert not any(psutil.pid_exists(pid) for pid in before.values())
    finally:
        stack.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["dags"]
