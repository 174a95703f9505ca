"""A LocalExecutor whose tasks outlive the scheduler that started them."""

import atexit
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Process
from multiprocessing.process import BaseProcess
from pathlib import Path
from stat import S_ISSOCK
from typing import Any

import psutil
from airflow.executors.local_executor import LocalExecutor, _run_worker
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
        """Those of `tis` that no process carries out; the scheduler starts them again.

        Workers of a dead scheduler that have done their task since are ended, too.
        """
        kill_idle_workers(but=self.workers)
        return [task for task in tis if not is_alive(task)]

    def _spawn_worker(self) -> None:
        """Start a worker without the scheduler's connections."""
        worker = Process(
            target=run_worker,
            kwargs={
                "logger_name": self.log.name,
                "input": self.activity_queue,
                "output": self.result_queue,
                "unread_messages": self._unread_messages,
                "team_conf": self.conf,
            },
        )
        worker.start()
        assert worker.pid is not None  # noqa: S101 - it was started
        self.workers[worker.pid] = worker


def run_worker(**how: Any) -> None:
    """Work for the scheduler that this process was forked from, and keep none of its connections.

    A connection of a killed scheduler ends when nobody holds it any more. While its workers did,
    the database kept its transaction open and its rows locked, and the next scheduler left those
    runs alone, for ever.
    """
    give_up_sockets()
    _run_worker(**how)


def give_up_sockets() -> None:
    """Replace this process's sockets, but for what it reads and writes as a program, by nothing.

    They are not closed: who closes a driver's connection says good-bye, on a descriptor that may be
    another's by then.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(each.name) for each in Path("/dev/fd").iterdir()]:
        with suppress(OSError):  # the listing's own is gone by now
            if descriptor > 2 and S_ISSOCK(os.fstat(descriptor).st_mode):
                os.dup2(nothing, descriptor)
    os.close(nothing)


def kill_idle_workers(but: Collection[int] = ()) -> None:
    """Kill the workers of this stack that have no task, but for those with these pids."""
    for worker in idle_workers():
        if worker.pid not in but:
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
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # of another user: the pid is recycled
        return False
