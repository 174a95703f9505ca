"""How the executor of the local Airflow ends: tasks outlive it, and it waits for none."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest
from airflow.models.taskinstancekey import TaskInstanceKey  # noqa: TID251 - the scheduler's side

from local import executor
from local.executor import LastingLocalExecutor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - the same

# What a scheduler's executor is given in its place: a task that outlasts the test.
WORK = """
import os, signal, socket, sys, time
from setproctitle import setproctitle
from airflow.executors.base_executor import BaseExecutor
from local import executor as local

class Workload:
    key, running_state, success_state, display_name = "key", None, "success", "a long task"

def perform(*_, proctitle, **__):
    setproctitle(proctitle)
    time.sleep(3600)

def at_work(workers):
    BaseExecutor.run_workload = staticmethod(perform)
    executor = local.LastingLocalExecutor(parallelism=workers)
    executor.start()
    executor.activity_queue.put(Workload())
    while not executor.activity_queue.empty():
        time.sleep(0.05)
    time.sleep(1)
    return executor
"""

# A session of its own, as a stack has: its workers are found by it. The workload lasts for longer
# than the test, and one idle worker does not get what LocalExecutor tells it.
ENDING = """
local.END_SECONDS = 1
executor = at_work(3)
workers = list(executor.workers)
executor.activity_queue.put = lambda _: None
executor.end()
print(*(pid for pid in workers if executor.workers[pid].is_alive()), flush=True)
"""


def test_an_ending_scheduler_ends_idle_workers_and_leaves_those_with_a_task(tmp_path: Path) -> None:
    said = tmp_path / "said"  # no pipe: who has a task keeps it open
    with said.open("wb") as output:
        scheduler = subprocess.Popen(
            [sys.executable, "-c", WORK + ENDING],
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        exit_code = scheduler.wait(120)
        (left,) = map(int, said.read_text().splitlines()[-1].split())
        status = psutil.Process(left).status()
    finally:
        os.killpg(scheduler.pid, signal.SIGKILL)
    assert status != psutil.STATUS_ZOMBIE
    assert exit_code == 1


# A connection of the scheduler, as to its database; one worker has a task when it is killed.
KILLED = """
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
executor = at_work(2)
connection.sendall(b"at work")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_schedulers_connection_ends_while_its_workers_go_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        scheduler = subprocess.Popen(
            [sys.executable, "-c", WORK + KILLED, port],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            server.settimeout(120)
            connection, _ = server.accept()
            with connection:
                connection.settimeout(120)
                assert connection.recv(100) == b"at work"
                assert scheduler.wait(10) == -signal.SIGKILL
                connection.settimeout(10)
                assert connection.recv(100) == b""
            titles = [" ".join(each.cmdline()) for each in workers_of(scheduler.pid)]
        finally:
            os.killpg(scheduler.pid, signal.SIGKILL)
    assert any("a long task" in title for title in titles)


def workers_of(session: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_idle_workers_of_a_dead_scheduler_are_ended_and_ones_own_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = []

    class Worker:
        def __init__(self, pid: int) -> None:
            self.pid = pid

        def kill(self) -> None:
            killed.append(self.pid)

    monkeypatch.setattr(executor, "idle_workers", lambda: [Worker(1001), Worker(1002)])
    own = LastingLocalExecutor(parallelism=1)  # type: ignore[no-untyped-call]
    own.workers = {1002: cast("Any", None)}
    assert own.try_adopt_task_instances([]) == []
    assert killed == [1001]


def test_a_task_that_nobody_carries_out_is_forgotten_so_that_it_is_queued_again() -> None:
    executor = LastingLocalExecutor(parallelism=1)  # type: ignore[no-untyped-call]
    stuck = TaskInstanceKey("dag", "stuck", "run", 2)
    other = TaskInstanceKey("dag", "other", "run", 1)
    executor.running |= {stuck, other}
    executor.revoke_task(ti=cast("TaskInstance", SimpleNamespace(key=stuck)))
    assert executor.running == {other}
