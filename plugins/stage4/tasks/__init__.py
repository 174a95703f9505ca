"""Tasks that run in the Airflow worker, one module per DAG."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from clustering_tasks.steps import MAPPED, STEPS


@dataclass(frozen=True)
class Sink:
    """A task that delivers a published run elsewhere; it starts when `publish` has succeeded.

    Sinks do not wait for each other, and one that fails takes nothing back that is published.

    Attributes:
        name: id of the task, and function of its module; it takes `published`, the result of
            `publish`, and, if it needs them, `label`, that of `label` as it was published, and
            Airflow's context.
        module: in this package.
        does: one sentence for the DAG's page.
    """

    name: str
    module: str
    does: str

    def load(self) -> Callable[..., Any]:
        """Import the module and return the function."""
        function: Callable[..., Any] = getattr(
            import_module(f"{__name__}.{self.module}"), self.name
        )
        return function


SINKS = (
    Sink("notify_stage5", "stage5", "sends the event to Stage 5"),
    Sink("write_back", "write_back", "writes the clusters to the table that the run was read from"),
)

# The tasks of a level's DAG, in their order.
LEVEL_TASKS = (
    "check_stage3",
    *(step.name for step in STEPS),
    "load_postgres",
    "publish",
    *(sink.name for sink in SINKS),
)
ALL_PARTS = "all_parts"  # stands beside the others: it fails with a part
_AFTER_PARTS = LEVEL_TASKS.index(MAPPED.name) + 1
# All tasks of a level's DAG as a run performs them.
RUN_ORDER = (*LEVEL_TASKS[:_AFTER_PARTS], ALL_PARTS, *LEVEL_TASKS[_AFTER_PARTS:])
