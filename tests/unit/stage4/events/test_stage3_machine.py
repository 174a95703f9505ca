"""Events of Stage 3 and runs of a level as a state machine: a crash between any two effects.

The store is what PostgreSQL keeps: each of its acts is one transaction. Airflow refuses a second
run of an id. Whoever decides ends at the n-th effect, and somebody looks again.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stage4.events.stage3.decision import Decision, Requested, Waiting, decide
from stage4.events.stage3.requests import progress_of

FEWEST = 10
NUMBERS = st.one_of(st.none(), st.integers(0, 12))


class EndOfProcess(BaseException):
    """SIGKILL."""


@dataclass
class Event:
    """A row of `stage4.stage3_events`."""

    number: int
    embeddings: int | None
    run_id: str | None = None


@dataclass
class Run:
    """A run in Airflow, and the events whose vectors were in Stage 3's files when it read them."""

    state: str = "queued"
    begun: bool = False
    read: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """Stage 3 announces, again and again; runs wait, begin, end; processes end anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.announced: list[tuple[str, int | None]] = []
        self.sent = 0
        self.rows: dict[str, Event] = {}
        self.requests: dict[str, bool] = {}  # run id to whether it has begun
        self.airflow: dict[str, Run] = {}
        self.refused = 0
        self.left = -1

    def effect(self) -> None:
        if self.left == 0:
            self.left = -1
            raise EndOfProcess
        self.left -= self.left > 0

    def crashing(self, after: int | None, act: Callable[[], None]) -> None:
        self.left = -1 if after is None else after
        with suppress(EndOfProcess):
            act()
        self.left = -1

    @rule(embeddings=NUMBERS)
    def stage3_writes_and_announces(self, embeddings: int | None) -> None:
        self.announced.append((f"job-{len(self.announced)}", embeddings))

    @precondition(lambda self: self.announced)
    @rule(data=st.data(), after=st.one_of(st.none(), st.integers(0, 3)))
    def an_event_arrives_maybe_again(self, data: st.DataObject, after: int | None) -> None:
        fresh = min(self.sent, len(self.announced) - 1)
        place = data.draw(st.integers(0, fresh))
        self.sent = max(self.sent, place + 1)
        job, embeddings = self.announced[place]
        self.crashing(after, lambda: self.take(job, embeddings))

    @rule(after=st.one_of(st.none(), st.integers(0, 2)))
    def somebody_looks(self, after: int | None) -> None:
        self.crashing(after, self.look)

    def take(self, job: str, embeddings: int | None) -> None:
        self.effect()
        self.rows.setdefault(job, Event(len(self.rows) + 1, embeddings))
        self.look()

    def look(self) -> None:
        self.effect()
        decision = self.decided()
        self.effect()
        if decision.start is not None:
            if decision.start in self.airflow:
                self.refused += 1
            else:
                self.airflow[decision.start] = Run()
        self.effect()

    def decided(self) -> Decision:
        """One transaction: as `request_run`."""
        waiting = [Waiting(e.number, e.embeddings) for e in self.rows.values() if e.run_id is None]
        requested = None
        for run_id in self.open_requests():
            run = self.airflow.get(run_id)
            requested = Requested(run_id, progress_of(None if run is None else run.state))
        decision = decide(waiting, requested, FEWEST)
        if decision.closed is not None:
            self.requests[decision.closed] = True
        if decision.run_id is not None:
            if decision.is_new:
                assert decision.run_id not in self.requests
                self.requests[decision.run_id] = False
            for event in self.rows.values():
                event.run_id = event.run_id or decision.run_id
        return decision

    def open_requests(self) -> list[str]:
        return [run_id for run_id, begun in self.requests.items() if not begun]

    @precondition(lambda self: any(run.state == "queued" for run in self.airflow.values()))
    @rule()
    def the_next_run_starts(self) -> None:
        if not any(run.state == "running" for run in self.airflow.values()):
            run = next(run for run in self.airflow.values() if run.state == "queued")
            run.state = "running"

    @rule()
    def the_running_run_begins_to_read(self) -> None:
        for run_id, run in self.airflow.items():
            if run.state == "running" and not run.begun:
                run.begun = True
                self.requests[run_id] = True
                run.read = {job for job, _ in self.announced}

    @rule(data=st.data())
    def a_run_ends(self, data: st.DataObject) -> None:
        unfinished = [r for r in self.airflow.values() if r.state in ("queued", "running")]
        if unfinished:
            run = data.draw(st.sampled_from(unfinished))
            how = "success" if run.begun else "failed"  # canceled before its turn
            run.state = data.draw(st.sampled_from([how, "failed"]))

    @precondition(lambda self: any(run.begun for run in self.airflow.values()))
    @rule()
    def a_run_is_cleared(self) -> None:
        run = next(run for run in self.airflow.values() if run.begun)
        if run.state in ("success", "failed"):
            run.state = "queued"  # and reads nothing again

    @invariant()
    def one_run_at_most_is_to_come(self) -> None:
        assert len(self.open_requests()) <= 1

    @invariant()
    def every_run_was_asked_for_and_has_an_event_of_its_own(self) -> None:
        assert set(self.airflow) <= set(self.requests)
        assert set(self.requests) <= {event.run_id for event in self.rows.values()}

    @invariant()
    def a_run_that_has_read_has_read_what_it_is_for(self) -> None:
        for job, event in self.rows.items():
            run = self.airflow.get(event.run_id or "")
            if run is not None and run.begun:
                assert job in run.read

    def teardown(self) -> None:
        """Whatever happened: after one more look, an event waits for more alone, or has its run."""
        self.left = -1
        self.look()
        waits = [event for event in self.rows.values() if event.run_id is None]
        assert None not in [event.embeddings for event in waits]
        assert sum(event.embeddings or 0 for event in waits) < FEWEST
        for event in self.rows.values():
            assert event.run_id is None or event.run_id in self.airflow


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
