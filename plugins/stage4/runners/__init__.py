"""Runners: how a step becomes a process or a container."""

from importlib import import_module

from clustering_tasks.settings.deployment import deployment
from clustering_tasks.settings.runners import RUNNERS
from stage4.runners.base import StepOperator


def step_operator() -> type[StepOperator]:
    """Return the operator of the runner that this installation's settings name."""
    runner = RUNNERS[deployment().runner]
    operator: type[StepOperator] = getattr(
        import_module(f"{__name__}.{runner.name}"), runner.operator
    )
    return operator
