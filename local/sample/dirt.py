"""The realistic dirt of upstream stages: missing dates, other date forms, wrong guesses."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta, timezone

from local.sample.templates import DOMAINS

UNDATED = 0.03
WRONG_DOMAIN = 0.1
SHORT_DOMAIN = 0.03
_HOUR_EAST = timezone(timedelta(hours=1))


def written_date(moment: datetime, draw: random.Random) -> str | int | None:
    """Return `moment` as an upstream may write it: mostly ISO 8601 in UTC, sometimes none."""
    form = draw.random()
    if form < UNDATED:
        return None
    if form < 0.08:
        return moment.date().isoformat()
    if form < 0.12:
        return moment.replace(tzinfo=None).isoformat()
    if form < 0.16:
        return moment.astimezone(_HOUR_EAST).isoformat()
    if form < 0.18:
        return int(moment.timestamp())
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: date, like: datetime) -> datetime:
    """Return the start of `day` in the zone of `like`."""
    return datetime.combine(day, time(), tzinfo=like.tzinfo)


def guessed_domain(domain: str, draw: random.Random) -> tuple[str, bool]:
    """Return a zero-shot guess of an event's domain, and whether it is right.

    A few guesses carry the short name (`diplomatic` for `diplomatic_relations`).
    """
    guess = draw.choice(DOMAINS) if draw.random() < WRONG_DOMAIN else domain
    written = guess.partition("_")[0] if draw.random() < SHORT_DOMAIN else guess
    return written, guess == domain
