"""Feeds that are mostly lone items: a share of the stories of each collection thinned to one item.

    python -m tests.benchmarks.thinned
    python -m tests.benchmarks.thinned --draws 5 --fractions .7 --only "ecbplus documents" \\
        --set evidence.story_similarity_floor=0

Each draw is a Stage 3 folder with all its levels. The gain of a level and fraction is over the one
setting of a peer that is best on average over the draws, chosen with gold. What peers find in a
draw does not depend on this project: it is kept in `.local/benchmarks` and used again. With `--set`
the figures are printed and do not enter the history.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from statistics import fmean
from typing import Any

from clustering_tasks.settings.dotted import assignments
from tests.benchmarks import ours
from tests.benchmarks.bootstraps import Series, summary
from tests.benchmarks.collection import Collection, read_collection
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.peer_cache import cached_peers
from tests.benchmarks.quality import DATA
from tests.benchmarks.variants import FRACTIONS, THINNED_DRAWS, Thinned, thinned


def main() -> None:
    """Measure every level and fraction; add the figures of each to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=THINNED_DRAWS)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="as 'ecbplus events'")
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE")
    given = parser.parse_args()
    ours.quiet()
    load = os.getloadavg()[0]
    draws = thinned(real_collections(), given.fractions, given.draws, given.only)
    for path, series, items in compared(draws, assignments(given.set)):
        figures: dict[str, Figure] = {f"{path}/items": items}
        figures |= {f"{path}/{name}": value for name, value in summary(series).items()}
        print(_line(path, figures), flush=True)
        if not given.set:
            add(new_entry(figures, load))


def real_collections() -> dict[str, Collection]:
    """Read the collections that have gold."""
    folders = sorted(path.parent for path in DATA.glob("*/gold.json"))
    if not folders:
        sys.exit(f"no real collections in {DATA}: set STAGE4_TEST_DATA")
    return {folder.name: read_collection(folder) for folder in folders}


def compared(
    draws: Iterable[Thinned], settings: Mapping[str, Any]
) -> Iterator[tuple[str, Series, float]]:
    """Cluster every draw; yield the figures' path, F1 in each draw, and the mean number of items.

    Args:
        draws: those of a level and fraction follow each other.
        settings: ours, beside the defaults.
    """
    for path, group in groupby(draws, lambda draw: f"thinned/{draw.name}/{draw.fraction:g}"):
        series: Series = {}
        counts = []
        for draw in group:
            counts.append(len(draw.items.names))
            for name, value in measured(draw, settings).items():
                series.setdefault(name, []).append(value)
        yield path, series, fmean(counts)


def measured(draw: Thinned, settings: Mapping[str, Any]) -> dict[str, float]:
    """B-cubed F1 of ours, and of each peer's setting."""
    found = ours.found(draw.collection, draw.level, **settings)
    return {"ours": scores(draw.items.gold, found)["f1"], **cached_peers(draw.items)}


def _line(path: str, figures: Mapping[str, Figure]) -> str:
    own, gain, low, peer = (
        figures[f"{path}/{name}"] for name in ("ours/f1", "ours/gain", "ours/low", "peer_f1")
    )
    return f"{path}: {own:.3f}, {figures[f'{path}/peer']} {peer:.3f}, gain {gain:+.3f} ({low:+.3f})"


if __name__ == "__main__":
    main()
