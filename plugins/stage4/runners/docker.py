"""A step as a Docker container: the production runner on one machine.

What the provider's operator leaves open, and this one closes: a container outlives a task that is
killed hard; `on_kill` takes longer than the supervisor grants; a container that ends with 0 on
SIGTERM makes a killed task a success; `cpus` is a weight, not a limit. Nothing is learnt from the
container's output: the result is a file in the workspace.
"""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from docker.errors import DockerException, NotFound
from docker.types import DeviceRequest, LogConfig, Mount
from requests import RequestException

from clustering_tasks.settings.deployment import DeploymentSettings, deployment
from clustering_tasks.steps import PLANNING, find_step
from stage4.other_runs import states_of_tasks
from stage4.runners.base import StepLog, StepOperator
from stage4.runners.docker_engine import (
    LOST,
    engine_errors,
    lines_of,
    remove_container,
    tls_arguments,
    unreachable,
)
from stage4.runners.docker_mounts import network, prepare_workspace, step_mounts
from stage4.runners.orphans import INSTALLATION, installation, remove_orphans

# Airflow's supervisor kills the task 5 s after on_kill was called; by then the container is gone.
GRACE_SECONDS = 2


class DockerStepOperator(StepOperator, DockerOperator):
    """Runs a step in a container of its own, of which nothing is left when the task has ended.

    The container's name follows from what the task is (DAG, run, task, map index), not from the
    try: whatever a dead try left behind is found by it, and the engine itself refuses two at once.
    """

    template_fields = StepOperator.template_fields
    template_ext = ()

    def __init__(
        self,
        *,
        step: str,
        level: str,
        part: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        settings = deployment()
        ours: dict[str, Any] = {
            "image": settings.image,
            "docker_url": settings.docker_url,
            "user": settings.container_user,
            "network_mode": network(settings),
            "mem_limit": settings.memory_limit,
            "device_requests": _gpus() if settings.gpu and find_step(step).gpu else None,
            "auto_remove": "never",  # the provider does not reach it when a stop takes long
            "mount_tmp_dir": False,  # it would be a folder of the worker, not of the engine's host
            **tls_arguments(os.environ),
        }
        super().__init__(step=step, level=level, part=part, options=options, **ours | kwargs)

    def execute(self, context: Context) -> Any:
        """Run the step and return its result (see `StepOperator.conclude`).

        Raises:
            AirflowFailException: the engine refuses the container, or the step had too little
                memory: trying again cannot help.
            AirflowException: the engine cannot be reached, or the container was removed.
        """
        settings = deployment()
        name = self._identify(context, settings)
        self.command = self.step_arguments(context)
        self.environment = _environment(settings, self.step) | self.own_environment(context)
        self.mounts = [*step_mounts(self.step, settings)]
        prepare_workspace(settings, self.log)
        with engine_errors(self._name, self.docker_url):
            self._connect()
            remove_container(self.cli, name)  # what a dead try has left
            self._remove_orphans(context, settings)
            try:
                outcome: Any = super().execute(context)  # pulls the image if need be
            finally:
                self._remove()
                if self._killed:
                    self.discard_canceled(context)
        return self.conclude(context, *outcome)

    def _remove_orphans(self, context: Context, settings: DeploymentSettings) -> None:
        """Remove the containers that no try comes back for."""
        try:
            remove_orphans(
                self.cli, installation(settings), partial(states_of_tasks, context["ti"])
            )
        except AirflowRuntimeError as error:  # they wait for the next step
            self.log.warning("containers of tasks that are over are not looked for", why=str(error))

    def on_kill(self) -> None:
        """End and remove the container, however far `execute` has come.

        Airflow calls this from a signal handler: the client that `execute` uses may hold a lock at
        that very moment, so this takes a new one.
        """
        self.mark_killed()
        if self.container_name is None:
            return
        self.__dict__.pop("hook", None)
        # By name while `create` has not answered yet: the engine may know more than we do.
        container = self.container["Id"] if self.container else self.container_name
        with suppress(DockerException, RequestException):
            self.cli.stop(container, timeout=GRACE_SECONDS)
        remove_container(self.cli, container)

    def _connect(self) -> None:
        try:
            self.cli.ping()
        except AirflowException as error:
            raise AirflowException(f"{self._name}: {unreachable(self.docker_url)}") from error

    def _identify(self, context: Context, settings: DeploymentSettings) -> str:
        """Name and label the container; two installations on one engine must not meet."""
        ti = context["ti"]
        task = {
            "airflow.dag_id": ti.dag_id,
            "airflow.run_id": ti.run_id,
            "airflow.task_id": ti.task_id,
            "airflow.map_index": str(ti.map_index),
        }
        self.labels = task | {"airflow.try_number": str(ti.try_number), "airflow.ti_id": str(ti.id)}
        self.labels[INSTALLATION] = installation(settings)
        parts = (settings.host_workspace or settings.workspace, *task.values())
        digest = sha256("\0".join(parts).encode()).hexdigest()[:16]
        self.container_name = f"stage4-{self.level}-{self.step}-{digest}"
        return self.container_name

    def _run_image_with_mounts(
        self, target_mounts: list[Mount | dict[str, Any]], add_tmp_variable: bool
    ) -> Any:
        """Take the provider's place: other limits, other output, no container left.

        Returns:
            What `conclude` takes: the exit code and the last error that the step logged.
        """
        del add_tmp_variable
        self._refuse_if_killed()
        self.log.info("starting the step", command=self.command, container=self.container_name)
        container = self._create(target_mounts)
        self._refuse_if_killed()
        self.cli.start(container)
        step_log = StepLog(self.log)
        try:
            self._follow(container, step_log)
            return self._exit_code(container), step_log.last_error
        except NotFound:
            self._refuse_if_killed()
            raise AirflowException(
                f"{self._name}: somebody removed its container {self.container_name} as it ran"
            ) from None

    def _refuse_if_killed(self) -> None:
        if self._killed:
            raise AirflowException(f"{self._name} was killed")

    def _create(self, mounts: list[Mount | dict[str, Any]]) -> str:
        self.container = self.cli.create_container(
            image=self.image,
            command=self.command,
            name=self.container_name,
            environment=self.environment,
            user=self.user,
            labels=self.labels,
            host_config=self._host_config(mounts),
        )
        return str(self.container["Id"])

    def _host_config(self, mounts: list[Mount | dict[str, Any]]) -> dict[str, Any]:
        cpus = deployment().cpus
        config: dict[str, Any] = self.cli.create_host_config(
            mounts=mounts,
            network_mode=self.network_mode,
            mem_limit=self.mem_limit,
            memswap_limit=self.mem_limit,  # swapping for hours is worse than a clear end
            nano_cpus=int(cpus * 1e9) if cpus else None,
            device_requests=self.device_requests,
            init=True,  # PID 1 without a handler of its own would ignore SIGTERM
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            log_config=LogConfig(type=LogConfig.types.JSON),
        )
        return config

    def _follow(self, container: str, step_log: StepLog) -> None:
        """Pass on the container's output until it has ended, however often the stream breaks."""
        seen = 0
        running = True
        while running:
            try:
                stream = self.cli.logs(container, stream=True, follow=True)
                for number, line in enumerate(lines_of(stream), start=1):
                    if number > seen:
                        step_log.feed(line)
                        seen = number
                self.cli.wait(container, timeout=GRACE_SECONDS)
            except LOST as problem:  # the engine is asked next whether the container is, too
                self.log.info("the container's output broke off", problem=str(problem))
            running = self.cli.inspect_container(container)["State"]["Running"]

    def _exit_code(self, container: str) -> int:
        state = self.cli.inspect_container(container)["State"]
        self._memory_limit = f"STAGE4_MEMORY_LIMIT={self.mem_limit}"
        self._out_of_memory = bool(state["OOMKilled"] and state["ExitCode"] and not self._killed)
        return int(state["ExitCode"])

    def _remove(self) -> None:
        """Remove our own container: the name may be the next try's by now, if we lost touch."""
        if self.container:
            remove_container(self.cli, self.container["Id"])


def _gpus() -> list[DeviceRequest]:
    return [DeviceRequest(count=-1, capabilities=[["gpu"]])]


def _environment(settings: DeploymentSettings, step: str) -> dict[str, str]:
    """Fit the libraries' threads to the CPU limit: they count the host's cores, not their share."""
    key = settings.deletion_key if find_step(step).reads_deletions else None
    passed = {} if key is None else {"STAGE4_DELETION_SECRET": key}
    passed["STAGE4_LOG_LEVEL"] = settings.log_level
    if find_step(step).reads_stage3 and settings.max_items is not None:
        passed["STAGE4_MAX_ITEMS"] = str(settings.max_items)
    passed |= _gpu_environment(settings, step)
    if find_step(step).mapped:
        passed["STAGE4_CHECKPOINT_SECONDS"] = str(settings.checkpoint_seconds)
    if find_step(step).mapped and settings.batch_rows is not None:
        passed["STAGE4_BATCH_ROWS"] = str(settings.batch_rows)
    if settings.cpus is None:
        return passed
    threads = str(math.ceil(settings.cpus))
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return passed | dict.fromkeys(names, threads)


def _gpu_environment(settings: DeploymentSettings, step: str) -> dict[str, str]:
    """Name the GPU's settings to the step that searches on it, and to the one that plans for it."""
    if not settings.gpu or not (find_step(step).gpu or step == PLANNING.name):
        return {}
    most = settings.gpu_memory_bytes
    limit = {} if most is None else {"STAGE4_GPU_MEMORY_BYTES": str(most)}
    return {"STAGE4_GPU": "true"} | limit
