"""Seeded schedules of acts, each of which may be cut off between any two effects."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import accumulate

from tests.unit.core.invariants import check, check_end
from tests.unit.core.level import TASKS, Level
from tests.unit.core.world import EndOfProcess

_STORIES = "abcdef"
_HOWS = ("taken", "taken", "failed", "away", "refused")
_LONG = timedelta(hours=1).total_seconds()


def perform(seed: int, acts: int = 12) -> Counter[str]:
    """Perform the schedule of a seed, and bring everything to its end.

    Returns:
        how often each act was performed; `killed`: how many were cut off; `again`: how often ids
        were made again.

    Raises:
        AssertionError: something does not hold.
    """
    drawn = random.Random(seed)
    level, done = Level(), Counter[str]()
    for _ in range(acts):
        name = drawn.choices(_NAMES, cum_weights=_WEIGHTS)[0]
        level.world.left = drawn.randrange(12) if drawn.random() < 0.3 else -1
        level.interlude = None
        if drawn.random() < 0.2:
            level.interlude = partial(
                _ACTS[drawn.choices(_NAMES, cum_weights=_WEIGHTS)[0]], level, drawn
            )
        try:
            _ACTS[name](level, drawn)
        except EndOfProcess:
            done["killed"] += 1
        done[name] += 1
        check(level)
    settle(level)
    done["again"] = level.made_again
    return done


def settle(level: Level) -> None:
    """Everything is well from now on, and comes to its end."""
    level.world.left, level.interlude = -1, None
    level.receiver.how, level.receiver.hows = "taken", []
    for run in level.runs:
        level.pause(run, paused=False)
        while run.state not in ("success", "failed"):
            level.step(run)
    level.observe()
    level.keep_house()
    for _ in range(3):
        level.world.pass_time(_LONG)
        level.relay(0.5)
    check_end(level)


def _submit(level: Level, drawn: random.Random) -> None:
    stories = drawn.sample(_STORIES, drawn.randint(1, 4))
    level.submit(tuple(stories), drawn.choice((-1, 0, 0, 0)))


def _step(level: Level, drawn: random.Random) -> None:
    if level.runs:
        level.step(drawn.choice(level.runs))


def _finish(level: Level, drawn: random.Random) -> None:
    if level.runs:
        run = drawn.choice(level.runs)
        for _ in range(len(TASKS)):
            level.step(run)


def _pause(level: Level, drawn: random.Random) -> None:
    if level.runs:
        level.pause(drawn.choice(level.runs), paused=drawn.random() < 0.6)


def _cancel(level: Level, drawn: random.Random) -> None:
    if level.runs:
        level.cancel(drawn.choice(level.runs))


def _clear(level: Level, drawn: random.Random) -> None:
    if level.runs:
        level.clear(drawn.choice(level.runs), drawn.randrange(len(TASKS)))


def _roll_back(level: Level, drawn: random.Random) -> None:
    level.roll_back(drawn.randrange(8))


def _observe(level: Level, drawn: random.Random) -> None:
    level.observe()


def _relay(level: Level, drawn: random.Random) -> None:
    level.world.pass_time(drawn.random() * 400)
    level.receiver.how = drawn.choice(_HOWS)
    level.receiver.hows = drawn.choices(_HOWS, k=drawn.randrange(4))
    level.relay(drawn.random())


_ACTS: dict[str, Callable[[Level, random.Random], None]] = {
    "submit": _submit,
    "step": _step,
    "finish": _finish,
    "pause": _pause,
    "cancel": _cancel,
    "clear": _clear,
    "roll back": _roll_back,
    "observe": _observe,
    "relay": _relay,
}
_NAMES = [*_ACTS]
_WEIGHTS = [*accumulate((5, 8, 5, 2, 1, 1, 1, 2, 4))]
