"""Dates for collections that have none, or none that are independent of their making.

A construction: nobody published these items on these days. Each gold story begins on a day of a
calendar and is followed up over days to weeks, now and then a year later. The controls have dates
that say nothing about stories.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clustering_tasks.arrays import F64
from clustering_tasks.settings.levels import LEVELS
from tests.benchmarks.collection import Collection

HALF_YEAR, TWO_YEARS = 182.0, 730.0
# Scales of the follow-ups of one story, in days: from an accident's to a trial's.
_DAYS_TO_WEEKS, _MONTHS = (1.0, 21.0), (30.0, 180.0)
_ANNIVERSARIES = 0.03  # of the items
_YEAR = 365.0
_FIRST_DAY = np.datetime64("2021-01-01T00:00:00")
_SECONDS = 86_400  # per day
_UNDATED = 0.3

Days = Callable[[Sequence[str], np.random.Generator], F64]


def stories_in(
    calendar: float, undated: float = 0.0, scales: tuple[float, float] = _DAYS_TO_WEEKS
) -> Days:
    """Date stories: a start anywhere in the calendar, follow-ups at exponential distances.

    Args:
        calendar: days.
        undated: share of the items without a date.
        scales: shortest and longest mean distance of a story's follow-ups from its start, in days.
    """

    def days(gold: Sequence[str], rng: np.random.Generator) -> F64:
        of = np.unique(list(gold), return_inverse=True)[1]
        count = int(of.max()) + 1
        start = rng.uniform(0, calendar, count)
        scale = np.exp(rng.uniform(np.log(scales[0]), np.log(scales[1]), count))
        after = rng.exponential(scale[of])
        later = _YEAR * (rng.random(len(of)) < _ANNIVERSARIES)
        dates: F64 = np.floor(start[of] + after + later)
        dates[rng.random(len(of)) < undated] = np.nan
        return dates

    return days


def crawl(gold: Sequence[str], rng: np.random.Generator) -> F64:
    """Date items by when a crawler came by: all within two days, in any order."""
    return np.asarray(rng.uniform(0, 2, len(gold)))


def at_random(gold: Sequence[str], rng: np.random.Generator) -> F64:
    """Date items at random, within half a year."""
    return np.floor(rng.uniform(0, HALF_YEAR, len(gold)))


def template(gold: Sequence[str], _rng: np.random.Generator) -> F64:
    """Date all items by one template."""
    return np.zeros(len(gold))


def redated(collection: Collection, level: str, days: Days, seed: int) -> Collection:
    """Give the items of a level dates, and the other levels none.

    Events get the date of their document, where the documents have gold: its main story dates it.
    """
    items = collection.levels[level]
    rng = np.random.default_rng([seed, 100])
    if level == "events" and "documents" in collection.levels:
        documents = collection.levels["documents"]
        of = dict(zip(documents.documents, days(documents.gold, rng).tolist(), strict=True))
        dates = [of.get(name, float("nan")) for name in items.documents]
    else:
        dates = days(items.gold, rng).tolist()
    field = LEVELS[level].date_fields[0]
    others = [name for name in LEVELS[level].date_fields if name != field]
    entries = [
        {
            **entry,
            "metadata": {
                **{key: value for key, value in entry["metadata"].items() if key not in others},
                field: _written(day),
            },
        }
        for entry, day in zip(items.entries, dates, strict=True)
    ]
    return Collection(
        collection.name, {**collection.levels, level: replace(items, entries=entries)}
    )


def _written(day: float) -> str | None:
    if not np.isfinite(day):
        return None
    return str(_FIRST_DAY + np.timedelta64(round(day * _SECONDS), "s")) + "Z"


DATES: dict[str, Days] = {
    "half a year": stories_in(HALF_YEAR),
    "half a year, 30% undated": stories_in(HALF_YEAR, _UNDATED),
    "two years": stories_in(TWO_YEARS),
    "two years, slow": stories_in(TWO_YEARS, scales=_MONTHS),
}
CONTROLS: dict[str, Days] = {
    "crawl times": crawl,
    "random dates": at_random,
    "one date": template,
}
