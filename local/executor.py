"""A LocalExecutor whose tasks outlive the scheduler that started them."""

import atexit
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess

import psutil
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - the scheduler's side

IDLE = "airflow worker -- LocalExecutor: <idle>"  # the title that a worker gives itself

END_SECONDS = 10  # for tasks; a scheduler that is stopped gets 15 (`supervisor.STOP_SECONDS`)
JOIN_SECONDS = 0.2
CLOCK_SECONDS = 60  # times of processes are counted from the boot: a clock may be set since


class LastingLocalExecutor(LocalExecutor):
    """Adopts the running tasks of a scheduler that was killed.

    Their supervisors are processes of their own, and report to the API server. LocalExecutor adopts
    nothing: after some minutes Airflow would end such a task and take a try for another start.
    """

    def start(self) -> None:
        """Start the workers, and end those that wait for work of a dead scheduler."""
        kill_idle_workers()
        super().start()

    def end(self) -> None:
        """End the idle workers, and wait a while for the others: their tasks may outlive this.

        LocalExecutor waits for every task, for hours, and nothing is started meanwhile: a scheduler
        ends so when its database was away for a moment. Once it waited for ever, for an idle worker
        that had missed the order to end.
        """
        deadline = time.monotonic() + END_SECONDS
        while (left := self._alive()) and time.monotonic() < deadline:
            kill_idle_workers()
            left[0].join(JOIN_SECONDS)
        self._read_results()  # type: ignore[no-untyped-call]
        if left:
            atexit.register(os._exit, 1)  # else the interpreter waits for them

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that has been queued for too long, so that it is queued again.

        LocalExecutor cannot, and the scheduler then leaves the task as it is, for ever: one whose
        worker has died before it could say so. A worker that does start it late is refused by the
        API server.
        """
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)

    def _alive(self) -> list[BaseProcess]:
        return [worker for worker in self.workers.values() if worker.is_alive()]

    def try_adopt_task_instances(self, tis: Sequence[TaskInstance]) -> Sequence[TaskInstance]:
        """Those of `tis` that no process carries out; the scheduler starts them again."""
        return [task for task in tis if not is_alive(task)]


def kill_idle_workers() -> None:
    """Kill the workers of this stack that have no task."""
    for worker in idle_workers():
        with suppress(psutil.NoSuchProcess):
            worker.kill()


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
