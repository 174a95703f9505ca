"""The relay as a state machine: it ends between any two effects, and starts again."""

from collections.abc import Callable
from datetime import timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stage4.events.relay import Relay
from stage4.events.retrying import LONGEST_PAUSE
from tests.unit.core.invariants import arrivals_are_in_order
from tests.unit.core.level import Receiver
from tests.unit.core.world import EndOfProcess, Queue, World

JOBS = [f"cluster_events.manual__{number}" for number in range(3)]
KEEP = timedelta(hours=72)
HOWS = st.sampled_from(["taken", "taken", "failed", "away", "refused"])


class Machine(RuleBasedStateMachine):
    """Events come, receivers fail, the relay ends at the n-th effect, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.receiver = Receiver(self.world)

    @rule(job=st.sampled_from(JOBS), count=st.integers(1, 4))
    def events_come(self, job: str, count: int) -> None:
        for _ in range(count):
            self.world.rows.write(job, "clustering.job.progress", None, self.world.now)

    @rule(hows=st.lists(HOWS, max_size=5))
    def the_receiver_wavers(self, hows: list[str]) -> None:
        self.receiver.hows = hows

    @rule(how=HOWS)
    def the_receiver_becomes(self, how: str) -> None:
        self.receiver.how = how

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(share=st.floats(0, 1))
    def the_relay_runs(self, share: float) -> None:
        self._relay(share)

    @rule(effects=st.integers(0, 12), share=st.floats(0, 1))
    def the_relay_is_killed(self, effects: int, share: float) -> None:
        self.world.left = effects
        try:
            self._relay(share)
        except EndOfProcess:
            pass
        finally:
            self.world.left = -1

    @rule(after=st.integers(0, 4))
    def the_relay_is_stopped(self, after: int) -> None:
        left = iter([False] * after)
        self._relay(0.5, lambda: next(left, True))

    @invariant()
    def nothing_is_taken_out_of_order_but_again(self) -> None:
        arrivals_are_in_order(self.world.rows, self.receiver)

    @invariant()
    def what_is_delivered_was_taken_and_an_event_has_one_id(self) -> None:
        taken = {event for *_, event in self.receiver.taken}
        for each in self.world.rows.deliveries:
            assert each.state != "delivered" or each.due.event_id in taken
        assert len({(job, sequence) for job, sequence, _ in self.receiver.taken}) == len(taken)

    @invariant()
    def nothing_is_sent_to_who_is_away(self) -> None:
        assert "away" not in self.receiver.sent[:-1]

    def teardown(self) -> None:
        """In the end the receiver is well: everything arrives."""
        self.receiver.how, self.receiver.hows = "taken", []
        for _ in range(3):
            self.world.pass_time(LONGEST_PAUSE.total_seconds())
            self._relay(0.5)
        deliveries = self.world.rows.deliveries
        assert {each.state for each in deliveries} <= {"delivered", "given_up"}
        self.nothing_is_taken_out_of_order_but_again()
        taken = {event for *_, event in self.receiver.taken}
        lost = [each for each in deliveries if each.due.event_id not in taken]
        assert all(each.state == "given_up" and each.due.refusals >= 8 for each in lost)

    def _relay(self, share: float, stop: Callable[[], bool] = lambda: False) -> None:
        self.receiver.sent.clear()
        now = self.world.now
        Relay(
            Queue(self.world), self.receiver, KEEP, now=lambda: now, share=lambda: share, stop=stop
        ).drain()


TestRelay = Machine.TestCase
TestRelay.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
