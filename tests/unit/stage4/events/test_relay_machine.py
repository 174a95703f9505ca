"""The relay as a state machine: it ends between any two effects, and starts again."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stage4.database.deliveries import DeliveryState, Due
from stage4.events.relay import Relay
from stage4.events.retrying import LONGEST_PAUSE, Outcome
from tests.events_out import NOON, due

JOBS = [f"cluster_events.manual__{number}" for number in range(3)]
KEEP = timedelta(hours=72)
HOWS = st.sampled_from(["taken", "taken", "failed", "away", "refused"])


class EndOfProcess(BaseException):
    """SIGKILL."""


@dataclass
class Row:
    """A row of `stage4.deliveries` with its event."""

    due: Due
    state: DeliveryState = "pending"
    next_attempt_at: datetime = NOON


@dataclass
class Store:
    """What a crash leaves: rows, and the receiver's rest; each method is one transaction."""

    rows: list[Row] = field(default_factory=list)
    silent: int = 0
    retry_at: datetime = NOON
    effect: Callable[[], None] = lambda: None

    def due(self, now: datetime, limit: int) -> list[Due]:
        if self.retry_at > now:
            return []
        pending = [row for row in self.rows if row.state == "pending"]
        held = {
            row.due.job_id: row.due.number for row in reversed(pending) if row.next_attempt_at > now
        }
        return [row.due for row in pending if row.due.number < held.get(row.due.job_id, 10**9)][
            :limit
        ]

    def settle(
        self,
        due: Due,
        state: DeliveryState,
        *,
        next_attempt_at: datetime,
        refused: bool = False,
        **_: Any,
    ) -> None:
        self.effect()
        row = next(row for row in self.rows if row.due.number == due.number)
        row.state, row.next_attempt_at = state, next_attempt_at
        row.due = replace(
            row.due, attempts=row.due.attempts + 1, refusals=row.due.refusals + refused
        )
        self.effect()

    def failures(self) -> int:
        return self.silent

    def answers(self) -> None:
        self.effect()
        self.silent, self.retry_at = 0, NOON

    def rest(self, failures: int, retry_at: datetime, error: str) -> None:  # noqa: ARG002 - a protocol's
        self.effect()
        self.silent, self.retry_at = failures, retry_at


@dataclass
class World:
    """A receiver that keeps all it takes, also what the relay never learns of."""

    name: str = "hook"
    shared: bool = True
    how: str = "taken"
    hows: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    taken: list[tuple[str, int, str]] = field(default_factory=list)
    effect: Callable[[], None] = lambda: None

    def send(self, due: Due) -> Outcome:
        self.effect()
        how = self.hows.pop(0) if self.hows else self.how
        self.sent.append(how)
        if how == "taken":
            self.taken.append((due.job_id, due.sequence, due.event_id))
        self.effect()
        return Outcome(how)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class Machine(RuleBasedStateMachine):
    """Events come, receivers fail, the relay ends at the n-th effect, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.store, self.world = Store(), World()
        self.sequences: dict[str, int] = defaultdict(int)
        self.left = -1
        self.store.effect = self.world.effect = self._effect

    @rule(job=st.sampled_from(JOBS), count=st.integers(1, 4))
    def events_come(self, job: str, count: int) -> None:
        for _ in range(count):
            self.sequences[job] += 1
            number = len(self.store.rows) + 1
            self.store.rows.append(
                Row(
                    due(
                        number=number,
                        job_id=job,
                        sequence=self.sequences[job],
                        event_id=f"event {number}",
                        since=self.now,
                    ),
                    next_attempt_at=self.now,
                )
            )

    @rule(hows=st.lists(HOWS, max_size=5))
    def the_receiver_wavers(self, hows: list[str]) -> None:
        self.world.hows = hows

    @rule(how=HOWS)
    def the_receiver_becomes(self, how: str) -> None:
        self.world.how = how

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(share=st.floats(0, 1))
    def the_relay_runs(self, share: float) -> None:
        self._relay(share)

    @rule(effects=st.integers(0, 12), share=st.floats(0, 1))
    def the_relay_is_killed(self, effects: int, share: float) -> None:
        self.left = effects
        try:
            self._relay(share)
        except EndOfProcess:
            pass
        finally:
            self.left = -1

    @rule(after=st.integers(0, 4))
    def the_relay_is_stopped(self, after: int) -> None:
        left = iter([False] * after)
        self._relay(0.5, lambda: next(left, True))

    @invariant()
    def nothing_is_taken_out_of_order_but_again(self) -> None:
        given_up = {row.due.event_id for row in self.store.rows if row.state == "given_up"}
        for job in JOBS:
            first = list(dict.fromkeys(seq for name, seq, _ in self.world.taken if name == job))
            assert first == sorted(first)
            missing = set(range(1, max(first, default=0) + 1)) - set(first)
            known = {
                row.due.sequence
                for row in self.store.rows
                if row.due.job_id == job and row.due.event_id in given_up
            }
            assert missing <= known

    @invariant()
    def what_is_delivered_was_taken_and_an_event_has_one_id(self) -> None:
        taken = {event for *_, event in self.world.taken}
        for row in self.store.rows:
            assert row.state != "delivered" or row.due.event_id in taken
        assert len({(job, seq) for job, seq, _ in self.world.taken}) == len(taken)

    @invariant()
    def nothing_is_sent_to_who_is_away(self) -> None:
        assert "away" not in self.world.sent[:-1]

    def teardown(self) -> None:
        """In the end the receiver is well: everything arrives."""
        self.world.how, self.world.hows = "taken", []
        for _ in range(3):
            self.now += LONGEST_PAUSE
            self._relay(0.5)
        assert {row.state for row in self.store.rows} <= {"delivered", "given_up"}
        self.nothing_is_taken_out_of_order_but_again()
        taken = {event for *_, event in self.world.taken}
        lost = [row for row in self.store.rows if row.due.event_id not in taken]
        assert all(row.state == "given_up" and row.due.refusals >= 8 for row in lost)

    def _effect(self) -> None:
        if self.left == 0:
            raise EndOfProcess
        self.left -= 1

    def _relay(self, share: float, stop: Callable[[], bool] = lambda: False) -> None:
        self.world.sent.clear()
        Relay(
            self.store, self.world, KEEP, now=lambda: self.now, share=lambda: share, stop=stop
        ).drain()


TestRelay = Machine.TestCase
TestRelay.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
