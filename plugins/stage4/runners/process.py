"""A step as a process of the Airflow worker: the default runner, which needs no Docker."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow.sdk import Context

from clustering_tasks.settings.deployment import deployment
from stage4.runners.base import StepLog, StepOperator

# Airflow's supervisor kills the task 5 s after on_kill was called; by then all must be over.
GRACE_SECONDS = 2.0

# A step reads nothing from Airflow, so it gets neither its database nor its connections.
_AIRFLOW_ONLY = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_")
_OF_THE_STEP = {
    # The pipe at its standard input closes when this task ends in whatever way, SIGKILL
    # included, and the step ends with it.
    "STAGE4_EXIT_WITH_PARENT": "1",
    # Idle threads of one part would spin on the cores that another part needs.
    "OMP_WAIT_POLICY": "PASSIVE",
}


class ProcessStepOperator(StepOperator):
    """Runs a step in a process group of its own, which ends whenever the task ends."""

    _process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> Any:
        """Run the step and return its result (see `StepOperator.conclude`)."""
        step_log = StepLog(self.log)
        own = self.own_environment(context)
        with self._start(self.step_arguments(context), own) as self._process:
            try:
                if self._killed:  # before there was a process to kill
                    _end(self._process)
                for line in self._process.stdout or ():
                    step_log.feed(line)
                exit_code = self._process.wait()
            finally:
                _end(self._process)
        return self.conclude(context, exit_code, step_log.last_error)

    def on_kill(self) -> None:
        """End the step's process group: politely, then not."""
        self.mark_killed()
        if self._process is not None:
            _end(self._process)

    def _start(self, arguments: list[str], own: dict[str, str]) -> subprocess.Popen[str]:
        command = [deployment().python or sys.executable, "-m", "clustering_tasks", *arguments]
        self.log.info("starting the step", command=command)
        return subprocess.Popen(
            command,
            env=step_environment(os.environ) | own,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )


def step_environment(worker: Mapping[str, str]) -> dict[str, str]:
    """Build a step's environment: the worker's without Airflow's own settings and secrets."""
    inherited = {name: worker[name] for name in worker if not name.startswith(_AIRFLOW_ONLY)}
    return inherited | _OF_THE_STEP


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and its children; nothing happens when it has ended."""
    if process.poll() is not None:
        return
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    _signal_group(process, signal.SIGKILL)  # also what outlived its parent


def _signal_group(process: subprocess.Popen[str], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
