"""How far a job is, by the states of its tasks."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping

from airflow.utils.state import TaskInstanceState

from clustering_tasks.steps import MAPPED

# Of these nothing is left to do. A task that has failed, or that waits for one, is not done.
_DONE = (TaskInstanceState.SUCCESS, TaskInstanceState.SKIPPED, TaskInstanceState.REMOVED)
_PART = re.compile(rf"{MAPPED.name}_(\d+)")


def percent(states: Mapping[str, Mapping[str, int]], done: Collection[str] = _DONE) -> float:
    """Tell how far a job is: the mean over its tasks of the share of instances that are done.

    Args:
        states: task id to the number of its instances in each state.
        done: states of what is done.
    """
    shares = [
        sum(count for state, count in found.items() if state in done) / sum(found.values())
        for found in states.values()
    ]
    return round(100 * sum(shares) / len(shares), 1) if shares else 0.0


def percent_of_run(states: Mapping[str, str | None]) -> float:
    """`percent` of a run, by what the SDK's `get_task_states` returns of it.

    Args:
        states: task id, of a mapped task followed by `_` and its index, to the state.
    """
    by_task = defaultdict[str, Counter[str]](Counter)
    for name, state in states.items():
        by_task[task_of(name)[0]][str(state)] += 1
    return percent(by_task)


def task_of(name: str) -> tuple[str, int]:
    """Split a name of `get_task_states` into task id and map index, -1 of a task without parts."""
    part = _PART.fullmatch(name)
    return (MAPPED.name, int(part[1])) if part else (name, -1)
