"""What corrections that are drawn from gold are worth, and whether they hold in later runs.

    python -m tests.benchmarks.corrections
    python -m tests.benchmarks.corrections --only events --seeds 1 --corrections 10

Six daily runs of ecbplus, which grows from a third to all of its documents in the order of their
dates. Behind the first run an analyst who knows the gold makes 50 corrections, half `together`,
half `apart`, drawn at random among the mistakes of that run, in one of two ways:

- `items`: a pair of one story in two clusters; a pair of two stories in one cluster, of which the
  item of the smaller part leaves.
- `clusters`, as on a cluster's page: two clusters whose largest parts are of one story; an item
  that is not of its cluster's largest part leaves the central members that are.

The five later runs are made with and without them. Some contradictions are tried, too.
"""

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.corrections.contradictions import contradictions
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.frozen import freeze
from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from tests.benchmarks import ours
from tests.benchmarks.collection import Collection, read_collection, write_collection
from tests.benchmarks.growth import by_date
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.measures import scores
from tests.benchmarks.quality import DATA

DAYS = 6
SEEDS = 3
CORRECTIONS = 50
STANDING = 5  # members that stand for a cluster, as in the API
Draw = Callable[["Found", int, np.random.Generator], Iterator[Correction]]


@dataclass
class Found:
    """The clusters of a run, beside the gold.

    Attributes:
        cluster: of each item that is in one.
        similarity: of these items to their cluster's centroid.
        gold: of each item of the run.
    """

    cluster: dict[str, str]
    similarity: dict[str, float]
    gold: dict[str, str]
    members: dict[str, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.members = {}
        for name in sorted(self.cluster, key=lambda name: (-self.similarity[name], name)):
            self.members.setdefault(self.cluster[name], []).append(name)

    def story(self, cluster: str) -> str:
        """Return the gold cluster of the largest part."""
        counts = Counter(self.gold[name] for name in self.members[cluster])
        return max(counts, key=lambda story: (counts[story], story))

    def part(self, name: str) -> int:
        """Count the members of an item's cluster that are of its story."""
        mates = self.members[self.cluster[name]]
        return sum(self.gold[each] == self.gold[name] for each in mates)

    @property
    def f1(self) -> float:
        """B-cubed; noise counts as clusters of one."""
        names = sorted(self.gold)
        gold = [self.gold[name] for name in names]
        return scores(gold, [self.cluster.get(name) for name in names])["f1"]


def of_items(found: Found, count: int, draw: np.random.Generator) -> Iterator[Correction]:
    """Yield corrections of random pairs of items that are wrong; `count` of each kind."""
    names = sorted(found.gold)
    by_story: dict[str, list[str]] = {}
    for name in names:
        by_story.setdefault(found.gold[name], []).append(name)
    pairs = ((names[i], found.gold[names[i]]) for i in draw.integers(len(names), size=100_000))
    torn = (
        (one, other)
        for one, story in pairs
        for other in [by_story[story][draw.integers(len(by_story[story]))]]
        if one != other and found.cluster.get(one, one) != found.cluster.get(other, other)
    )
    inside = sorted(found.cluster)
    mixed = (
        sorted((one, other), key=found.part)
        for one in (inside[i] for i in draw.integers(len(inside), size=100_000))
        for mates in [found.members[found.cluster[one]]]
        for other in [mates[draw.integers(len(mates))]]
        if found.gold[one] != found.gold[other]
    )
    yield from _made(torn, mixed, count)


def of_clusters(found: Found, count: int, draw: np.random.Generator) -> Iterator[Correction]:
    """Yield corrections as a reader of clusters would make them; `count` of each kind."""
    of_story: dict[str, list[str]] = {}
    for cluster in sorted(found.members):
        of_story.setdefault(found.story(cluster), []).append(cluster)
    torn = [
        (*found.members[one][:STANDING], *found.members[other][:STANDING])
        for clusters in of_story.values()
        for one, other in pairwise(clusters)
    ]
    mixed = [
        (name, *standing[:STANDING])
        for cluster, members in sorted(found.members.items())
        for standing in [[m for m in members if found.gold[m] == found.story(cluster)]]
        for name in members
        if found.gold[name] != found.story(cluster)
    ]
    yield from _made(
        (torn[i] for i in draw.permutation(len(torn))),
        (mixed[i] for i in draw.permutation(len(mixed))),
        count,
    )


def _made(
    torn: Iterator[tuple[str, ...]], mixed: Iterator[Sequence[str]], count: int
) -> Iterator[Correction]:
    number = 0
    for _, items in zip(range(count), torn, strict=False):
        number += 1
        yield Correction(correction_id=number, kind="together", items=tuple(items))
    for _, (leaving, *staying) in zip(range(count), mixed, strict=False):
        number += 1
        yield Correction(
            correction_id=number, kind="apart", items=(leaving,), others=tuple(staying)
        )


DRAWS: dict[str, Draw] = {"items": of_items, "clusters": of_clusters}


def main() -> None:
    """Measure every level, draw and seed; add the figures to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--corrections", type=int, default=CORRECTIONS)
    given = parser.parse_args()
    ours.quiet()
    load = os.getloadavg()[0]
    growth = by_date(read_collection(DATA / "ecbplus"), days=DAYS)
    for level in given.only:
        entry: dict[str, Figure] = {}
        with tempfile.TemporaryDirectory() as scratch:
            series = Series(growth.collection, level, growth.days, Path(scratch))
            for name, draw in DRAWS.items():
                found = [
                    series.measure(draw, given.corrections, seed) for seed in range(given.seeds)
                ]
                means = {key: fmean(each[key] for each in found) for key in found[0]}
                line = ", ".join(f"{key} {value:.4g}" for key, value in means.items())
                print(f"{level} {name}: {line}", flush=True)
                path = f"corrections/ecbplus {level}/{name}"
                entry |= {f"{path}/{key}": value for key, value in means.items()}
        add(new_entry(entry, load))


@dataclass
class Series:
    """The daily runs of a level.

    Attributes:
        collection: with gold.
        level: plural name.
        days: documents of each day.
        folder: for Stage 3's folders and the workspace, which runs share: what does not depend on
            corrections is performed once.
    """

    collection: Collection
    level: str
    days: list[frozenset[str]]
    folder: Path
    _before: list[Found] = field(default_factory=list)

    def measure(self, draw: Draw, count: int, seed: int) -> dict[str, float]:
        """Correct the first day, and run all days with it."""
        if not self._before:
            self._before = [self._run(day, []) for day in range(len(self.days))]
        drawn = list(draw(self._before[0], count // 2, np.random.default_rng(seed)))
        refused = {each.correction_id for each in contradictions(drawn)}
        made = [each for each in drawn if each.correction_id not in refused]
        after = [self._run(day, made) for day in range(len(self.days))]
        gains = [now.f1 - then.f1 for now, then in zip(after, self._before, strict=True)]
        return {
            "corrections": len(made),
            "f1_before": self._before[0].f1,
            "f1": after[0].f1,
            "gain_per_correction": gains[0] / len(made),
            "later_gain": fmean(gains[1:]),
            "held": fmean(_holds(each, found) for each in made for found in after),
            "contradictions_refused": _refused(made),
        }

    def _run(self, day: int, corrections: list[Correction]) -> Found:
        indices = self.folder / f"indices-{day}"
        if not indices.exists():
            write_collection(self.collection.of_documents(self.days[day]), indices)
        workspace = UPath(self.folder / "workspace")
        run = Run(
            workspace=workspace,
            level=LEVELS[self.level],
            job_id=f"day-{day}",
            indices=str(indices),
            as_of=ours.AS_OF + timedelta(days=day),
            settings=run_settings({"publish.min_coverage": 0}),
            corrections=freeze(workspace, self.level, corrections),
        )
        run.start()
        done = run_all(run, UPath(self.folder) / "output")
        rows = pq.read_table(done["members_parquet"]).to_pylist()
        items = self.collection.levels[self.level]
        gold = dict(zip(items.names, items.gold, strict=True))
        inside = [row for row in rows if row["cluster_id"] is not None]
        return Found(
            cluster={row["vector_id"]: row["cluster_id"] for row in inside},
            similarity={row["vector_id"]: row["similarity"] for row in inside},
            gold={row["vector_id"]: gold[row["vector_id"]] for row in rows},
        )


def _holds(correction: Correction, found: Found) -> bool:
    of = found.cluster
    if correction.kind == "together":
        return len({of.get(name, name) for name in correction.items}) == 1
    kept = {of[name] for name in correction.others if name in of}
    return all(of.get(name) not in kept for name in correction.items)


def _refused(made: Sequence[Correction]) -> float:
    """Return the share of opposites of corrections that are refused with a number that is right."""
    refused = list[bool]()
    for each in made:
        sides = {"items": each.items[:1], "others": each.items[1:2]}
        opposite: dict[str, object] = {"correction_id": 10_000, "kind": "apart"} | sides
        if each.kind == "apart":
            items = (each.items[0], each.others[0])
            opposite = {"correction_id": 10_000, "kind": "together", "items": items}
        found = contradictions([*made, Correction.model_validate(opposite)])
        refused.append(len(found) == 1 and found[0].correction_id == 10_000)
    return fmean(refused)


if __name__ == "__main__":
    main()
