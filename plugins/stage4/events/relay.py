"""The relay: sends what is in the outbox, at least once, and in order within a job.

A process that ends at any point leaves the rows: what was sent and not stored as delivered is sent
again, with the same id.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from stage4.database import deliveries
from stage4.database.connection import Database
from stage4.database.deliveries import DeliveryState, Due, ReceiverQueue
from stage4.events.receivers import Receiver, Sender, names_of
from stage4.events.retrying import Outcome, verdict

BATCH = 200

Connect = Callable[[], AbstractContextManager[Database]]

log = structlog.get_logger()


class Queue(Protocol):
    """The deliveries of one receiver (`stage4.database.deliveries.ReceiverQueue`)."""

    def due(self, now: datetime, limit: int) -> list[Due]:
        """Read what is to be sent now, in order."""

    def settle(
        self,
        due: Due,
        state: DeliveryState,
        *,
        now: datetime,
        next_attempt_at: datetime,
        refused: bool = False,
        error: str | None = None,
    ) -> None:
        """Store how an attempt ended."""

    def failures(self) -> int:
        """Count the attempts in a row that the receiver has not answered."""

    def answers(self) -> None:
        """Store that the receiver answers."""

    def rest(self, failures: int, retry_at: datetime, error: str) -> None:
        """Leave the receiver alone until a moment."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Relay:
    """How events are sent to one receiver.

    Attributes:
        queue: what is to be sent.
        sender: that sends.
        keep: for how long an event is tried again.
        now: reads the clock.
        share: random number, 0 to 1.
        stop: whether to end between two events.
    """

    queue: Queue
    sender: Sender
    keep: timedelta
    now: Callable[[], datetime] = _now
    share: Callable[[], float] = random.random
    stop: Callable[[], bool] = lambda: False

    def drain(self) -> Counter[str]:
        """Send what is due until nothing is, or the receiver is away; returns the outcomes."""
        done = Counter[str]()
        failures = self.queue.failures()
        while batch := self.queue.due(self.now(), BATCH):
            for due in self._in_order(batch, done):
                outcome = self.sender.send(due)
                if outcome.how != "away" and failures:
                    self.queue.answers()
                    failures = 0
                if self._settle(due, outcome, failures, done):
                    return done
            if self.stop():
                break
        return done

    def _in_order(self, batch: list[Due], done: Counter[str]) -> Iterator[Due]:
        """Leave out what is behind an event that was not taken."""
        held = set[str]()
        for due in batch:
            if self.stop():
                return
            if due.job_id in held:
                continue
            before = done["pending"]
            yield due
            if done["pending"] > before:
                held.add(due.job_id)

    def _settle(self, due: Due, outcome: Outcome, failures: int, done: Counter[str]) -> bool:
        """Store an attempt; True: nothing else is sent to this receiver for now."""
        now = self.now()
        judged = verdict(
            due, outcome, now=now, failures=failures, keep=self.keep, share=self.share()
        )
        done[judged.state] += 1
        self.queue.settle(
            due,
            judged.state,
            now=now,
            next_attempt_at=judged.next_attempt_at,
            refused=outcome.how == "refused",
            error=outcome.detail,
        )
        if judged.state == "given_up":
            log.error(
                "an event is given up; `stage4 events resend` sends it again",
                receiver=due.receiver,
                event_id=due.event_id,
                job_id=due.job_id,
                why=outcome.detail,
            )
        if not (judged.receiver_rests and self.sender.shared):
            return False
        self.queue.rest(failures + 1, judged.next_attempt_at, outcome.detail or "")
        return True


def relay_all(
    receivers: Sequence[Receiver],
    connection: Database,
    connect: Connect,
    keep: timedelta,
    stop: threading.Event,
) -> dict[str, Counter[str]]:
    """Send what is due to every receiver, each in a thread of its own.

    Args:
        receivers: of the installation.
        connection: to the results database.
        connect: opens another one, for each receiver.
        keep: for how long an event is tried again.
        stop: ends the threads between two events.

    Returns:
        By receiver: how many events were delivered, are pending again, were given up; without those
            that another process sends to.
    """
    while deliveries.route(connection, lambda kind, url: names_of(receivers, kind, url)):
        pass
    with ExitStack() as stack:
        # Here: Airflow's connections are looked up by the main thread.
        queues = [
            (ReceiverQueue(stack.enter_context(connect()), each.name), each.sender)
            for each in receivers
            if deliveries.any_due(connection, each.name)
        ]
        claimed = [(queue, sender) for queue, sender in queues if queue.claim()]
        if not claimed:
            return {}
        with ThreadPoolExecutor(len(claimed), "events") as threads:
            done = threads.map(lambda each: _relay_one(each[0], each[1], keep, stop), claimed)
            return {queue.receiver: each for (queue, _), each in zip(claimed, done, strict=True)}


def _relay_one(
    queue: ReceiverQueue, sender: Sender, keep: timedelta, stop: threading.Event
) -> Counter[str]:
    with sender:
        return Relay(queue, sender, keep, stop=stop.is_set).drain()
