"""How the executor of the local Airflow ends: tasks outlive it, and it waits for none."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import psutil
from airflow.models.taskinstancekey import TaskInstanceKey  # noqa: TID251 - the scheduler's side

from local.executor import LastingLocalExecutor

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - the same

# A session of its own, as a stack has: its workers are found by it. The workload lasts for longer
# than the test, and one idle worker does not get what LocalExecutor tells it.
ENDING = """
import os, sys, time
from setproctitle import setproctitle
from airflow.executors.base_executor import BaseExecutor
from local import executor as local

class Workload:
    key, running_state, success_state, display_name = "key", None, "success", "a long task"

def perform(*_, proctitle, **__):
    setproctitle(proctitle)
    time.sleep(3600)

BaseExecutor.run_workload = staticmethod(perform)
local.END_SECONDS = 1
executor = local.LastingLocalExecutor(parallelism=3)
executor.start()
executor.activity_queue.put(Workload())
while not executor.activity_queue.empty():
    time.sleep(0.05)
time.sleep(1)
workers = list(executor.workers)
executor.activity_queue.put = lambda _: None
executor.end()
print(*(pid for pid in workers if executor.workers[pid].is_alive()), flush=True)
"""


def test_an_ending_scheduler_ends_idle_workers_and_leaves_those_with_a_task(tmp_path: Path) -> None:
    said = tmp_path / "said"  # no pipe: who has a task keeps it open
    with said.open("wb") as output:
        scheduler = subprocess.Popen(
            [sys.executable, "-c", ENDING],
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


def test_a_task_that_nobody_carries_out_is_forgotten_so_that_it_is_queued_again() -> None:
    executor = LastingLocalExecutor(parallelism=1)  # type: ignore[no-untyped-call]
    stuck = TaskInstanceKey("dag", "stuck", "run", 2)
    other = TaskInstanceKey("dag", "other", "run", 1)
    executor.running |= {stuck, other}
    executor.revoke_task(ti=cast("TaskInstance", SimpleNamespace(key=stuck)))
    assert executor.running == {other}
