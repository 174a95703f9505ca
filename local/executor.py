"""A LocalExecutor whose tasks outlive the scheduler that started them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - the scheduler's side

IDLE = "airflow worker -- LocalExecutor: <idle>"  # the title that a worker gives itself

CLOCK_SECONDS = 60  # times of processes are counted from the boot: a clock may be set since


class LastingLocalExecutor(LocalExecutor):
    """Adopts the running tasks of a scheduler that was killed.

    Their supervisors are processes of their own, and report to the API server. LocalExecutor adopts
    nothing: after some minutes Airflow would end such a task and take a try for another start.
    """

    def start(self) -> None:
        """Start the workers, and end those that wait for work of a dead scheduler."""
        for worker in idle_workers():
            with suppress(psutil.NoSuchProcess):
                worker.kill()
        super().start()

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Those of `tis` that no process carries out; the scheduler starts them again."""
        return [task for task in tis if not is_alive(task)]


def idle_workers() -> Iterator[psutil.Process]:
    """The idle workers of this stack: its processes share one session."""
    session = os.getsid(0)
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            title = " ".join(process.cmdline()).strip()
            if title == IDLE and os.getsid(process.pid) == session:
                yield process


def is_alive(task: TaskInstance) -> bool:
    """Whether the process of `task` still runs; a recycled pid is younger than the task."""
    if task.pid is None or task.start_date is None:
        return False
    try:
        process = psutil.Process(task.pid)
        began = process.create_time() <= task.start_date.timestamp() + CLOCK_SECONDS
        return began and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
