"""Containers whose task is over: of a host that was lost, or of a task whose tries were used up.

The next try of a task removes what the last one has left, by its name. What no try comes back for
is found here by whatever step starts next on the engine, by the labels of the container and what
Airflow says of the task.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

import structlog
from docker import APIClient

from clustering_tasks.settings.deployment import DeploymentSettings
from stage4.runners.docker_engine import remove_container

INSTALLATION = "stage4.installation"
# Of a task whose container is its own: it is at work, or is just being ended.
_AT_WORK = ("running", "restarting")

# `other_runs.states_of_tasks`, of whoever asks: by DAG and run id.
StatesOf = Callable[[str, str], Mapping[str, str | None]]

log = structlog.get_logger()


def installation(settings: DeploymentSettings) -> str:
    """Name the installation: several may share an engine, and none touches another's containers."""
    return sha256((settings.host_workspace or settings.workspace).encode()).hexdigest()[:16]


def remove_orphans(client: APIClient, of: str, states_of: StatesOf) -> list[str]:
    """Remove the containers of an installation whose task is not at work; returns their names.

    A task is at work before its container is made, and until it is removed.

    Args:
        client: of the engine.
        of: the installation.
        states_of: asks Airflow.

    Raises:
        DockerException, requests.RequestException: the engine is gone, or refuses.
    """
    filters = {"label": f"{INSTALLATION}={of}"}
    found = client.containers(all=True, filters=filters)
    orphans = [each for each in found if not _is_at_work(each["Labels"], states_of)]
    names = [str(each["Names"][0]).removeprefix("/") for each in orphans]
    for each, name in zip(orphans, names, strict=True):
        remove_container(client, each["Id"])
        log.warning("a container was removed whose task is over", container=name)
    return names


def _is_at_work(labels: Mapping[str, str], states_of: StatesOf) -> bool:
    task, index = labels["airflow.task_id"], int(labels["airflow.map_index"])
    states = states_of(labels["airflow.dag_id"], labels["airflow.run_id"])
    return states.get(task if index < 0 else f"{task}_{index}") in _AT_WORK
