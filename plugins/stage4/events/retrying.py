"""What follows from how an attempt ended; nothing here reads a clock or a database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from stage4.database.deliveries import DeliveryState, Due

# An event that its receiver refuses holds up those behind it: it is given up sooner.
MOST_REFUSALS = 8
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_ASKED = timedelta(hours=1)  # by Retry-After
_DOUBLINGS = 16  # beyond the longest pause, and within a float

How = Literal["taken", "refused", "failed", "away"]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        how: the receiver has taken the event; refuses it (a defect of the event or of the
            configuration); failed over it; or is away (no answer, or none for any event).
        detail: of a failure, without anything that is secret.
        asked: pause that the receiver asks for; None: it asks for none.
    """

    how: How
    detail: str | None = None
    asked: timedelta | None = None


@dataclass(frozen=True)
class Verdict:
    """What an attempt leads to.

    Attributes:
        state: of the delivery.
        next_attempt_at: not before; of a pending one.
        receiver_rests: whether no other event is sent to this receiver before, either.
    """

    state: DeliveryState
    next_attempt_at: datetime
    receiver_rests: bool = False


def verdict(
    due: Due,
    outcome: Outcome,
    *,
    now: datetime,
    failures: int,
    keep: timedelta,
    share: float,
) -> Verdict:
    """Judge an attempt.

    Args:
        due: what was sent.
        outcome: of it.
        now: of the attempt's end.
        failures: attempts in a row, before this one, to which the receiver was away.
        keep: for how long an event is tried again.
        share: random, 0 to 1: receivers that fail together are not tried again together.
    """
    if outcome.how == "taken":
        return Verdict("delivered", now)
    away = outcome.how == "away"
    refusals = due.refusals + (outcome.how == "refused")
    if refusals >= MOST_REFUSALS or now - due.since >= keep:
        return Verdict("given_up", now, receiver_rests=away)
    pause = _pause(failures if away else due.attempts, share)
    if outcome.asked is not None:
        pause = max(pause, min(outcome.asked, LONGEST_ASKED))
    return Verdict("pending", now + pause, receiver_rests=away)


def _pause(before: int, share: float) -> timedelta:
    """Double the pause with each failure before, and take between its half and its whole."""
    whole = min(FIRST_PAUSE * float(2 ** min(before, _DOUBLINGS)), LONGEST_PAUSE)
    return whole * (0.5 + share / 2)
