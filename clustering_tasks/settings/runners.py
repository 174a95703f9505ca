"""The runners as data.

A runner's name is the value of `STAGE4_RUNNER` and that of its module in `stage4.runners`. Whatever
needs to know the runners reads `RUNNERS`; a new one is a module and a line here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Runner:
    """One runner.

    Attributes:
        name: see above.
        operator: class in its module, a `stage4.runners.base.StepOperator`.
        does: with a step, for the description of the setting.
    """

    name: str
    operator: str
    does: str


_ALL = (
    Runner("process", "ProcessStepOperator", "starts a process on the Airflow worker"),
    Runner("docker", "DockerStepOperator", "starts a container of STAGE4_IMAGE"),
)
RUNNERS = {runner.name: runner for runner in _ALL}
