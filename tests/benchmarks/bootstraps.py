"""Is the gain more than chance? Paired draws of topics from ecbplus, without replacement.

    python -m tests.benchmarks.bootstraps

Each draw is a Stage 3 folder of 10 to 12 of the 33 topics, which goes through a whole run with
default settings and through the peers. The gain is over the one setting of a peer that is best on
average over all draws: it is chosen with gold, ours is not.
"""

import os
from collections.abc import Iterator

import numpy as np

from tests.benchmarks import ours
from tests.benchmarks.collection import Collection, read_collection
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.peer_cache import cached_peers
from tests.benchmarks.quality import DATA

DRAWS = 20
LEAST, MOST = 10, 12
Series = dict[str, list[float]]  # F1 in every draw, by peer; "ours" is ours


def main() -> None:
    """Make all draws; add the figures to the history."""
    load = os.getloadavg()[0]
    ours.quiet()
    ecb = read_collection(DATA / "ecbplus")
    series: dict[str, Series] = {level: {} for level in ecb.levels}
    for seed in range(DRAWS):
        drawn = draw(ecb, seed)
        topics = sorted({int(topic(d)) for d in drawn.levels["documents"].documents})
        print(f"seed {seed}: topics {' '.join(map(str, topics))}", flush=True)
        for level in drawn.levels:
            for name, value in _compared(drawn, level):
                series[level].setdefault(name, []).append(value)
    figures: dict[str, Figure] = {"bootstraps/draws": DRAWS}
    for level, each in series.items():
        figures |= {f"bootstraps/{level}/{name}": value for name, value in summary(each).items()}
    add(new_entry(figures, load))


def topic(document: str) -> str:
    """Topic of a document of ecbplus: `1_10ecb` is of topic 1."""
    return document.partition("_")[0]


def draw(collection: Collection, seed: int) -> Collection:
    """Draw some topics, each at most once, with all their items."""
    rng = np.random.default_rng(seed)
    documents = collection.levels["documents"].documents
    topics = sorted({topic(document) for document in documents})
    chosen = set(rng.choice(topics, rng.integers(LEAST, MOST + 1), replace=False))
    return collection.of_documents(d for d in documents if topic(d) in chosen)


def _compared(drawn: Collection, level: str) -> Iterator[tuple[str, float]]:
    items = drawn.levels[level]
    yield "ours", scores(items.gold, ours.found(drawn, level))["f1"]
    yield from cached_peers(items).items()


def summary(series: Series) -> dict[str, Figure]:
    """Sum up the draws of a level; the interval is of the middle 95 % of them."""
    own = np.array(series["ours"])
    means = {name: float(np.mean(values)) for name, values in series.items() if name != "ours"}
    best = max(means, key=means.__getitem__)
    gains = own - np.array(series[best])
    low, high = np.quantile(gains, [0.025, 0.975])
    return {
        "ours/f1": float(own.mean()),
        "peer": best,
        "peer_f1": means[best],
        "ours/gain": float(gains.mean()),
        "ours/low": float(low),
        "ours/high": float(high),
        "gains": [round(float(gain), 4) for gain in gains],
        **{f"peers/{name}": value for name, value in means.items()},
    }


if __name__ == "__main__":
    main()
