"""What follows from how an attempt ended."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage4.events.retrying import LONGEST_PAUSE, MOST_REFUSALS, Outcome, Verdict, verdict
from stage4.events.webhook import outcome_of
from tests.events_out import NOON, due

KEEP = timedelta(hours=72)


def judge(outcome: Outcome, *, failures: int = 0, share: float = 1.0, **own: Any) -> Verdict:
    return verdict(due(**own), outcome, now=NOON, failures=failures, keep=KEEP, share=share)


@pytest.mark.parametrize(
    ("status", "how"),
    [
        *((status, "taken") for status in (200, 202, 204)),
        *((status, "refused") for status in (301, 302, 307, 308, 400, 404, 410, 413)),
        *((status, "failed") for status in (408, 425, 500, 501, 507)),
        *((status, "away") for status in (401, 403, 429, 502, 503, 504)),
    ],
)
def test_statuses(status: int, how: str) -> None:
    assert outcome_of(status).how == how


def test_the_pause_doubles_to_its_limit_and_is_half_random() -> None:
    pauses = [
        (judge(Outcome("failed"), attempts=before).next_attempt_at - NOON).total_seconds()
        for before in (0, 1, 2, 3, 8, 9, 1000)
    ]
    assert pauses == [1, 2, 4, 8, 256, 300, 300]
    assert judge(Outcome("failed"), share=0).next_attempt_at - NOON == timedelta(seconds=0.5)


def test_a_receiver_that_is_away_rests_as_a_whole() -> None:
    judged = judge(Outcome("away"), failures=3)
    assert judged == Verdict("pending", NOON + timedelta(seconds=8), receiver_rests=True)
    assert not judge(Outcome("failed")).receiver_rests


@pytest.mark.parametrize(("asked", "pause"), [("30", 30), ("999999", 3600), ("-1", 1), ("x", 1)])
def test_a_pause_that_is_asked_for_is_kept_within_limits(asked: str, pause: int) -> None:
    judged = judge(outcome_of(503, asked))
    assert judged.next_attempt_at - NOON == timedelta(seconds=pause)


def test_an_event_is_given_up_when_it_is_refused_often_or_is_old() -> None:
    assert judge(Outcome("refused"), refusals=MOST_REFUSALS - 2).state == "pending"
    assert judge(Outcome("refused"), refusals=MOST_REFUSALS - 1).state == "given_up"
    assert judge(Outcome("failed"), refusals=MOST_REFUSALS - 1, attempts=99).state == "pending"
    for how in ("failed", "away"):
        assert judge(Outcome(how), since=NOON - KEEP).state == "given_up"


@given(
    how=st.sampled_from(["refused", "failed", "away"]),
    attempts=st.integers(0, 10**6),
    failures=st.integers(0, 10**6),
    share=st.floats(0, 1),
)
def test_a_pause_is_never_nothing_nor_above_its_limit(
    how: Any, attempts: int, failures: int, share: float
) -> None:
    judged = judge(Outcome(how), failures=failures, share=share, attempts=attempts)
    assert timedelta(seconds=0.5) <= judged.next_attempt_at - NOON <= LONGEST_PAUSE
