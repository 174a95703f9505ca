"""Which faults are done to a round of runs: chosen by a seed, and by nothing else."""

import random
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from clustering_tasks.steps import STEPS

STEP_TASKS = tuple(step.name for step in STEPS)
WORKER_TASKS = ("check_stage3", "load_postgres", "publish", "notify_stage5")
ANY_TASK = (*STEP_TASKS, *WORKER_TASKS)
DATABASE_TASKS = ("check_stage3", "load_postgres", "publish")
MOST = 7  # faults of a run
LONGEST_WAIT = 8.0  # seconds from the start of a task to its fault, most of them far fewer
SOON = 1.0  # where a task asks at once
Pair = tuple[str, str]  # a kind of fault, and the task that it comes in


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: of the function in `faults`.
        tasks: during which it may come.
        may_fail: whether a run may end as failed by it, to be completed by a clearing.
        is_wide: whether it hits every run of the round, and not the one task alone.
        wait: seconds, from the start of the task to the fault at most.
    """

    name: str
    tasks: Sequence[str] = ANY_TASK
    may_fail: bool = False
    is_wide: bool = True
    wait: float = LONGEST_WAIT


KINDS = (
    Kind("step_killed", STEP_TASKS, is_wide=False),
    Kind("step_terminated", STEP_TASKS, is_wide=False),
    Kind("step_stopped", STEP_TASKS, is_wide=False),
    # Memory that is refused is fatal: another try would be refused, too.
    Kind("step_memory_refused", STEP_TASKS, may_fail=True, is_wide=False),
    Kind("container_killed", STEP_TASKS, is_wide=False),
    Kind("container_out_of_memory", STEP_TASKS, may_fail=True, is_wide=False),
    Kind("engine_killed", STEP_TASKS),
    Kind("engine_restarted", STEP_TASKS),
    # Hours, in the steps that are at work.
    Kind("step_clock_ahead", STEP_TASKS),
    Kind("step_clock_behind", STEP_TASKS),
    # Minutes, in Airflow's services and tasks: a try that ends while the clock is ahead is followed
    # by the next when the clock gets there.
    Kind("clock_ahead"),
    Kind("clock_behind"),
    Kind("task_killed", is_wide=False),
    Kind("supervisor_killed", is_wide=False),
    Kind("supervisor_stopped", is_wide=False),
    Kind("scheduler_killed"),
    Kind("triggerer_killed"),
    Kind("api_server_killed"),
    Kind("dag_processor_killed"),
    Kind("connections_terminated"),
    Kind("postgres_restarted"),
    Kind("postgres_killed"),
    Kind("postgres_failed_over"),
    # A full disk is fatal: somebody has to make room.
    Kind("postgres_disk_filled", may_fail=True),
    Kind("results_cut", DATABASE_TASKS),
    Kind("results_slow", DATABASE_TASKS),
    Kind("results_frozen", DATABASE_TASKS),
    Kind("results_away", DATABASE_TASKS),
    Kind("results_silent", DATABASE_TASKS),
    Kind("metadata_cut"),
    Kind("metadata_frozen"),
    Kind("redis_killed"),
    Kind("redis_stopped"),
    Kind("disk_filled", may_fail=True),
    Kind("stage3_unhealthy", ("check_stage3",), wait=SOON),
    Kind("stage3_away", ("check_stage3",), wait=SOON),
    Kind("stage3_slow", ("check_stage3",), wait=SOON),
    Kind("stage3_frozen", ("check_stage3",), wait=SOON),
    Kind("files_replaced", ("check_stage3", "snapshot"), is_wide=False),
    # What stands half written for longer than a try looks is taken for bad input.
    Kind("files_half_written", ("check_stage3", "snapshot"), may_fail=True),
    Kind("hook_failing"),
    Kind("hook_hanging"),
    Kind("hook_away"),
    Kind("hook_redirecting"),
    Kind("stage5_failing", ("notify_stage5",), is_wide=False),
)
BY_NAME = {kind.name: kind for kind in KINDS}
PAIRS: frozenset[Pair] = frozenset((kind.name, task) for kind in KINDS for task in kind.tasks)


@dataclass(frozen=True)
class Fault:
    """A fault that is to come.

    Attributes:
        kind: its name.
        level: of the run.
        step: task of the run that it comes in.
        wait: seconds from when the task is at work.
        seconds: how long it lasts, if it lasts.
    """

    kind: str
    level: str
    step: str
    wait: float
    seconds: float

    def record(self) -> dict[str, Any]:
        return asdict(self)


def schedule(
    seed: int, levels: Sequence[str], kinds: Collection[str], most: int = MOST
) -> list[Fault]:
    """Choose two to `most` faults for each level's run."""
    draw = random.Random(seed)
    known = [kind for kind in KINDS if kind.name in kinds]
    return [
        _fault(draw, level, draw.choice(known))
        for level in levels
        for _ in range(draw.randint(2, most))
    ]


def schedule_of_pairs(
    seed: int, levels: Sequence[str], pairs: Collection[Pair], most: int = MOST
) -> list[Fault]:
    """Choose some of the pairs of a fault and a task, at most `most` for each level's run.

    They come soon: such a pair may be one whose task is over too early for the fault.
    """
    draw = random.Random(seed)
    chosen = draw.sample(sorted(pairs), min(len(pairs), most * len(levels)))
    return [
        replace(_fault(draw, levels[i % len(levels)], BY_NAME[kind], step), wait=0.0)
        for i, (kind, step) in enumerate(chosen)
    ]


def _fault(draw: random.Random, level: str, kind: Kind, step: str | None = None) -> Fault:
    wait, seconds = kind.wait * draw.random() ** 2, draw.uniform(2, 8)
    step = step or draw.choice(kind.tasks)
    return Fault(kind.name, level, step, round(wait, 2), round(seconds, 1))
