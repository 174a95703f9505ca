"""Collections that grow day by day: which documents a daily run finds."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.collection import Collection

DAYS = 30
_FIRST = 1 / 3  # of the documents, on the first day
_REMOVED = 0.02  # of those that are left, each day


@dataclass(frozen=True)
class Growth:
    """A collection and how it grows.

    Attributes:
        name: of its figures.
        collection: with gold.
        days: documents of each day.
    """

    name: str
    collection: Collection
    days: list[frozenset[str]]


def by_calendar(collection: Collection, days: int = DAYS) -> Growth:
    """Grow by the last days of the collection's calendar, each with the documents dated by then."""
    dates = {name: date for name, date in _dates(collection).items() if date}
    calendar = sorted({*dates.values()})[-days:]
    return Growth(
        f"{collection.name} by day",
        collection,
        [
            frozenset(name for name in _documents(collection) if dates.get(name, "") <= day)
            for day in calendar
        ],
    )


def by_date(collection: Collection, seed: int = 0, days: int = DAYS) -> Growth:
    """Grow by as many documents each day in the order of their dates; undated ones by a seed."""
    dates, draw = _dates(collection), np.random.default_rng(seed)
    known = sorted(date for date in dates.values() if date)
    order = sorted(dates, key=lambda name: (dates[name] or known[draw.integers(len(known))], name))
    return Growth(f"{collection.name} by date", collection, [*_batches(order, days)])


def at_random(collection: Collection, seed: int = 0, days: int = DAYS) -> Growth:
    """Grow by as many documents each day in random order."""
    order = np.random.default_rng(seed).permutation(sorted(_documents(collection))).tolist()
    return Growth(f"{collection.name} at random", collection, [*_batches(order, days)])


def with_removals(growth: Growth, seed: int = 0) -> Growth:
    """Take a share of the documents away for good on every day but the first."""
    draw, gone, days = np.random.default_rng(seed), set[str](), list[frozenset[str]]()
    for documents in growth.days:
        left = sorted(documents - gone)
        if days:
            gone.update(draw.choice(left, int(_REMOVED * len(left)), replace=False).tolist())
        days.append(documents - gone)
    return Growth(f"{growth.name}, with removals", growth.collection, days)


def _documents(collection: Collection) -> list[str]:
    return collection.levels["documents"].documents


def _dates(collection: Collection) -> Mapping[str, str | None]:
    """Return the day of each document; None where it is not in ISO 8601."""
    items = collection.levels["documents"]
    said = (str(entry["metadata"].get("publication_date")) for entry in items.entries)
    days = (date[:10] if re.match(r"\d{4}-\d\d-\d\d", date) else None for date in said)
    return dict(zip(items.documents, days, strict=True))


def _batches(order: list[str], days: int) -> Iterator[frozenset[str]]:
    for end in np.linspace(_FIRST * len(order), len(order), days).round().astype(int).tolist():
        yield frozenset(order[:end])
