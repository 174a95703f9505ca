"""Runners: how a step becomes a process or a container."""

from clustering_tasks.settings.deployment import deployment
from stage4.runners.base import StepOperator


def step_operator() -> type[StepOperator]:
    """Return the operator of the runner that this installation's settings name."""
    if deployment().runner == "docker":
        from stage4.runners.docker import DockerStepOperator

        return DockerStepOperator
    from stage4.runners.process import ProcessStepOperator

    return ProcessStepOperator
