"""One default on collections of many shapes: variants of the real ones, and samples of any size.

    python -m tests.benchmarks.robustness
    python -m tests.benchmarks.robustness --only small --set agglomerative.trim_similarity=.33

compares each with the peer's setting that is best there, chosen with gold. With `--only` or
`--set` the figures are printed and do not enter the history.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clustering_tasks.settings.dotted import assignments
from local.sample import write_sample
from tests.benchmarks import ours
from tests.benchmarks.collection import read_collection
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.peer_cache import cached_peers
from tests.benchmarks.quality import DATA
from tests.benchmarks.variants import Variant, variants

SAMPLES = (100, 420, 1000)  # documents


def main() -> None:
    """Measure every variant; add the figures to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="PART", help="of a variant's name")
    parser.add_argument("--set", nargs="+", default=[], metavar="SETTING=VALUE")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    ours.quiet()
    figures: dict[str, Figure] = {}
    for variant in all_variants():
        if given.only not in variant.group:
            continue
        path = f"robustness/{variant.group}/{variant.seed or 0}"
        figures |= {
            f"{path}/{name}": value
            for name, value in _measured(variant, assignments(given.set)).items()
        }
        print(path, round(float(str(figures[f"{path}/ours/f1"])), 3), flush=True)
    if not (given.only or given.set):
        add(new_entry(figures, load))


def all_variants() -> Iterator[Variant]:
    """Yield the variants of the real collections, then the samples."""
    base = {path.parent.name: read_collection(path.parent) for path in DATA.glob("*/gold.json")}
    yield from variants(base)
    with tempfile.TemporaryDirectory() as scratch:
        for documents in SAMPLES:
            folder = Path(scratch) / str(documents)
            write_sample(folder, documents)
            sample = read_collection(folder)
            for level in sample.levels:
                yield Variant(f"sample of {documents} documents, {level}", None, level, sample)


def _measured(variant: Variant, settings: Mapping[str, Any]) -> dict[str, Figure]:
    items = variant.collection.levels[variant.level]
    each = cached_peers(items)
    found = ours.found(variant.collection, variant.level, **settings)
    best = max(each, key=each.__getitem__) if each else None
    return {
        "items": len(items.names),
        "ours/f1": scores(items.gold, found)["f1"],
        "peer": best,
        "peer_f1": each[best] if best else None,
        **{f"peers/{name}": value for name, value in each.items()},
    }


if __name__ == "__main__":
    main()
