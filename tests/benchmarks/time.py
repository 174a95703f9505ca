"""What dates do to clusters: settings of time against collections that were given dates.

    python -m tests.benchmarks.time
    python -m tests.benchmarks.time --only "ecbplus documents" --draws 2 --shares 0 .7

The dates are a construction (`tests.benchmarks.dated`). The controls have dates that say nothing
about stories: there, a learned decay has to change nothing. Events have the dates of their
documents. With `--set` the figures are printed and do not enter the history.
"""

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np

from clustering_tasks.settings.dotted import assignments
from tests.benchmarks import ours
from tests.benchmarks.collection import Collection
from tests.benchmarks.dated import CONTROLS, DATES, Days, redated
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.thinned import real_collections
from tests.benchmarks.variants import to_one

LEVELS = ("documents", "storylines", "events")
SHARES = (0.0, 0.5, 0.7)
DRAWS = 2
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "off": {"temporal.decay": False},
    "learned": {"temporal.decay": True},
    **{
        f"decay {days}": {"temporal.decay": True, "temporal.decay_days": days}
        for days in (7, 30, 90, 365)
    },
    **{
        f"window {days}": {"temporal.decay": False, "temporal.window_days": days}
        for days in (14, 30, 90)
    },
}


@dataclass(frozen=True)
class Row:
    """A level of a collection, how much of it is thinned, and how it is dated."""

    collection: Collection
    level: str
    share: float
    dates: str

    @property
    def path(self) -> str:
        """Of its figures."""
        return f"time/{self.collection.name} {self.level}/{self.share:g}/{self.dates}"


def main() -> None:
    """Measure every level, share and kind of dates; add the figures of each to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="as 'ecbplus documents'")
    parser.add_argument("--dates", nargs="+", choices=DATES | CONTROLS, default=[*DATES, *CONTROLS])
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE")
    given = parser.parse_args()
    ours.quiet()
    load = os.getloadavg()[0]
    for row in rows(real_collections().values(), given.shares, given.dates, given.only):
        figures: dict[str, Figure] = {}
        for name in given.settings:
            settings = {**SETTINGS[name], **assignments(given.set)}
            figures[f"{row.path}/{name}/f1"] = fmean(measured(row, settings, given.draws))
        print(row.path, *(f"{f:.3f}" for f in figures.values() if isinstance(f, float)), flush=True)
        if not given.set:
            add(new_entry(figures, load))


def rows(
    collections: Iterable[Collection],
    shares: Iterable[float],
    kinds: Iterable[str],
    names: Iterable[str] | None,
) -> Iterator[Row]:
    """Yield what is measured.

    Args:
        collections: with gold.
        shares: of the stories that are thinned to one item.
        kinds: of dates.
        names: collections and levels, as `ecbplus events`; None for all.
    """
    chosen = None if names is None else set(names)
    for collection, level in product(collections, LEVELS):
        wanted = chosen is None or f"{collection.name} {level}" in chosen
        if level in collection.levels and wanted:
            for share, dates in product(shares, kinds):
                yield Row(collection, level, share, dates)


def measured(row: Row, settings: Mapping[str, Any], draws: int) -> Iterator[float]:
    """Yield B-cubed F1 in each draw."""
    days: Days = (DATES | CONTROLS)[row.dates]
    for seed in range(draws):
        collection = row.collection
        if row.share:
            gold = collection.levels[row.level].gold
            kept = to_one(row.share)(gold, np.random.default_rng(seed))
            collection = collection.with_rows(row.level, kept)
        collection = redated(collection, row.level, days, seed)
        found = ours.found(collection, row.level, **settings)
        yield scores(collection.levels[row.level].gold, found)["f1"]


if __name__ == "__main__":
    main()
