"""A level as a state machine, whose schedules hypothesis chooses and shrinks."""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.unit.core.invariants import check
from tests.unit.core.level import TASKS, Level, Run
from tests.unit.core.schedules import settle
from tests.unit.core.world import EndOfProcess

pytestmark = pytest.mark.no_cover  # measured lines take three times as long

LIFE = st.one_of(st.just(-1), st.integers(0, 14))  # effects until the process ends
WHICH = st.integers(0, 5)
STORIES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)
HOWS = st.sampled_from(["taken", "taken", "failed", "away", "refused"])


class Machine(RuleBasedStateMachine):
    """Runs of a level, those who act on them, a receiver, and the end of any process."""

    def __init__(self) -> None:
        super().__init__()
        self.level = Level()

    @rule(stories=STORIES, hours=st.integers(-1, 1), life=LIFE)
    def submit(self, stories: list[str], hours: int, life: int) -> None:
        with Life(self.level, life):
            self.level.submit(tuple(stories), hours)

    @precondition(lambda self: self.level.runs)
    @rule(which=WHICH, steps=st.integers(1, len(TASKS)), other=WHICH, life=LIFE)
    def step(self, which: int, steps: int, other: int, life: int) -> None:
        with Life(self.level, life):
            self.level.interlude = lambda: self.level.step(self.run_of(other))
            for _ in range(steps):
                self.level.step(self.run_of(which))

    @precondition(lambda self: self.level.runs)
    @rule(which=WHICH, paused=st.booleans(), life=LIFE)
    def pause(self, which: int, paused: bool, life: int) -> None:
        with Life(self.level, life):
            self.level.pause(self.run_of(which), paused=paused)

    @precondition(lambda self: self.level.runs)
    @rule(which=WHICH, life=LIFE)
    def cancel(self, which: int, life: int) -> None:
        with Life(self.level, life):
            self.level.cancel(self.run_of(which))

    @precondition(lambda self: self.level.runs)
    @rule(which=WHICH, task=st.integers(0, len(TASKS) - 1))
    def clear(self, which: int, task: int) -> None:
        self.level.clear(self.run_of(which), task)

    @rule(which=WHICH, life=LIFE)
    def roll_back(self, which: int, life: int) -> None:
        with Life(self.level, life):
            self.level.roll_back(which)

    @rule(life=LIFE)
    def keep_house(self, life: int) -> None:
        with Life(self.level, life):
            self.level.observe()
            self.level.keep_house()

    @rule(how=HOWS, seconds=st.integers(0, 400), share=st.floats(0, 1), life=LIFE)
    def relay(self, how: str, seconds: int, share: float, life: int) -> None:
        self.level.receiver.how = how
        self.level.world.pass_time(seconds)
        with Life(self.level, life):
            self.level.relay(share)

    def teardown(self) -> None:
        """Bring everything to its end."""
        settle(self.level)

    def run_of(self, which: int) -> Run:
        return self.level.runs[which % len(self.level.runs)]


class Life:
    """A process that may end between any two effects; what holds is looked at behind it."""

    def __init__(self, level: Level, effects: int) -> None:
        self.level = level
        level.world.left = effects

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.level.world.left, self.level.interlude = -1, None
        if kind is None or issubclass(kind, EndOfProcess):
            check(self.level)
        return kind is not None and issubclass(kind, EndOfProcess)


TestCore = Machine.TestCase
TestCore.settings = settings(max_examples=2000, stateful_step_count=15, deadline=None)
