"""Python tasks of a run: they can be paused, and one may have to perform steps of its run again."""

from functools import partial
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import Context

from stage4.runners.base import StepOperator
from stage4.runners.pausing import PausableOperator


class PausablePythonOperator(PausableOperator, PythonOperator):
    """Calls a function, unless the job is paused or canceled."""


class RepeatingOperator(PausablePythonOperator):
    """Gives its function `perform`, which performs a step by its name and returns the result.

    The installation's runner performs it, as in the step's own task; it ends with this task.

    Args:
        level: plural name of the level.
    """

    _step: StepOperator | None = None
    _killed: bool = False

    def __init__(self, *, level: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.level = level

    def execute(self, context: Context) -> Any:
        """Call the function."""
        self.op_kwargs = {**self.op_kwargs, "perform": partial(self._perform, context)}
        return super().execute(context)

    def on_kill(self) -> None:
        """End the step that is being performed, if there is one."""
        self._killed = True
        if self._step is not None:
            self._step.on_kill()

    def _perform(self, context: Context, step: str) -> Any:
        from stage4.runners import step_operator

        self._step = step_operator()(task_id=step, step=step, level=self.level)
        if self._killed:  # between two steps
            self._step.mark_killed()
        try:
            return self._step.execute(context)
        finally:
            self._step = None
