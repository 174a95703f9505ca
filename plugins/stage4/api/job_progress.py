"""How far a job is, by its tasks' states and by what `snapshot` and `plan` returned."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow.utils.state import DagRunState, TaskInstanceState

from clustering_tasks.steps import FIRST, MAPPED, PLANNING
from stage4.api.models.jobs import JobQuality, JobTask
from stage4.events.progress import percent
from stage4.tasks import RUN_ORDER

# Steps whose results hold the number of items, the parts, and what was found.
_MERGE = "merge"
TELLING = (FIRST.name, PLANNING.name, _MERGE)
_NOT_SCHEDULED = "none"
_WHOLE = 100.0
_NEARLY = 99.9  # a run that is not over yet
_PLACES = {task: place for place, task in enumerate(RUN_ORDER)}


@dataclass(frozen=True)
class Instance:
    """A task's instance: of a mapped task one for each part, of any other the one with -1."""

    task_id: str
    map_index: int
    state: str | None


def progress_of(
    instances: Sequence[Instance],
    returned: Mapping[str, Any],
    state: str = DagRunState.RUNNING,
) -> dict[str, Any]:
    """Tell a job's progress; what is not known is None.

    Args:
        instances: of all tasks.
        returned: XComs of `TELLING`, as far as there are any. That of a task that is to be run
            again, or runs again, is of an earlier try and says nothing.
        state: of the run.

    Returns:
        `tasks` in the order in which a run performs them, others behind, `percent`,
        `items_total`, `items_done`, `parts_total`, `parts_done`, `parts_failed`, `clusters`,
        `outliers`, `quality`.
    """
    states = states_by_task((each.task_id, each.state) for each in instances)
    valid = {
        task: value
        for task, value in returned.items()
        if TaskInstanceState.SUCCESS in states.get(task, {})
    }
    total, parts = _items_of(valid.get(FIRST.name)), valid.get(PLANNING.name)
    told: dict[str, Any] = {
        "tasks": [JobTask(task_id=task, states=dict(found)) for task, found in ordered(states)],
        "percent": percent_of_job(states, state),
        "items_total": total,
        **_found(_metrics_of(valid.get(_MERGE))),
    }
    if not isinstance(parts, list):
        return told | {
            "items_done": None if total is None else 0,
            **dict.fromkeys(("parts_total", "parts_done", "parts_failed")),
        }
    of_part = {each.map_index: each.state for each in instances if each.task_id == MAPPED.name}
    counted = Counter(of_part.get(number) for number in range(len(parts)))
    left = _items_left(parts, of_part)
    return told | {
        "items_done": None if total is None or left is None else total - left,
        "parts_total": len(parts),
        "parts_done": counted[TaskInstanceState.SUCCESS],
        "parts_failed": counted[TaskInstanceState.FAILED],
    }


def percent_of_job(states: Mapping[str, Mapping[str, int]], state: str) -> float | None:
    """Tell how much of a job is done: 100 only of one that has completed.

    Args:
        states: task id to the number of its instances in each state.
        state: of the run.

    Returns:
        Percent; None: the run was ended, and Airflow has no task of it.
    """
    if state == DagRunState.SUCCESS:
        return _WHOLE
    if state != DagRunState.FAILED:
        return min(percent(states), _NEARLY)
    # Airflow marks as skipped what a run that is ended has not begun.
    return min(percent(states, (TaskInstanceState.SUCCESS,)), _NEARLY) if states else None


def ordered(states: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    """Sort tasks as a run performs them; those of another DAG stay as they are, behind."""
    return sorted(states.items(), key=lambda each: _PLACES.get(each[0], len(_PLACES)))


def states_by_task(instances: Iterable[tuple[str, str | None]]) -> dict[str, Mapping[str, int]]:
    """Count the states of each task's instances, given as pairs of task id and state."""
    states = defaultdict[str, Counter[str]](Counter)
    for task_id, state in instances:
        states[task_id][str(state) if state else _NOT_SCHEDULED] += 1
    return dict(states)


def _items_of(snapshot: Any) -> int | None:
    return _count(_metrics_of(snapshot), "items")


def _found(merged: dict[str, Any]) -> dict[str, Any]:
    """Tell what `merge` has found, by its metrics."""
    known = {name: merged.get(name) for name in JobQuality.model_fields}
    return {
        "clusters": _count(merged, "clusters"),
        "outliers": _count(merged, "noise"),
        "quality": JobQuality(**known).model_dump() if merged else None,
    }


def _metrics_of(result: Any) -> dict[str, Any]:
    """Return the metrics of a step; none where a backend of the installation stores its XCom."""
    metrics = result.get("metrics") if isinstance(result, dict) else None
    return metrics if isinstance(metrics, dict) else {}


def _count(metrics: Mapping[str, Any], name: str) -> int | None:
    value = metrics.get(name)
    return value if isinstance(value, int) else None


def _items_left(parts: Sequence[Any], of_part: Mapping[int, str | None]) -> int | None:
    """Add up the items of the parts that are not done; None where a part does not say its own."""
    left = [
        part.get("items") if isinstance(part, dict) else None
        for number, part in enumerate(parts)
        if of_part.get(number) != TaskInstanceState.SUCCESS
    ]
    known = [items for items in left if isinstance(items, int)]
    return sum(known) if len(known) == len(left) else None
