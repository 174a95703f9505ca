"""How well lasting ids follow stories in collections that grow day by day.

    python -m tests.benchmarks.identity
    python -m tests.benchmarks.identity --only "ecbplus by date documents" --days 10
    python -m tests.benchmarks.identity --rules

A run each day, of all documents so far. `--rules` compares other rules of the matching on the same
clusters, and prints only.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import pyarrow as pa
from upath import UPath

from clustering_tasks.identity.matching import RULE, Rule
from clustering_tasks.identity.registry import nothing
from clustering_tasks.identity.succession import Found, succeed
from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.workspace.artefacts import Run
from clustering_tasks.workspace.columns import read_columns
from local.sample import write_sample
from tests.benchmarks import ours
from tests.benchmarks.collection import Collection, read_collection, write_collection
from tests.benchmarks.growth import DAYS, Growth, at_random, by_calendar, by_date, with_removals
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.quality import DATA
from tests.benchmarks.tracks import Day, figures

_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
RULES: Mapping[str, tuple[Rule, int]] = {
    "as it is": (RULE, 7),
    "look back 1": (RULE, 1),
    "look back 3": (RULE, 3),
    "look back 14": (RULE, 14),
    "noise does not count": (Rule(count_noise=False), 7),
    "half both ways": (Rule(least_share=0.5), 7),
    "at least .1 both ways": (Rule(least_share=0.1), 7),
    "at least .25 both ways": (Rule(least_share=0.25), 7),
    "nearly 0": (Rule(nearly=0.0), 7),
    "nearly .2": (Rule(nearly=0.2), 7),
    "nearly .34": (Rule(nearly=0.34), 7),
    "nearly .5": (Rule(nearly=0.5), 7),
}


@dataclass(frozen=True)
class Series:
    """A level of a collection that grows, and its runs.

    Attributes:
        name: of its figures.
        days: as the runs have published them.
        found: the clusters of the runs, without ids.
        gold: story of each item, by day.
    """

    name: str
    days: list[Day]
    found: list[Found]


def main() -> None:
    """Measure; add the figures of each series to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="as 'ecbplus by date documents'")
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--rules", action="store_true", help="compare other rules")
    given = parser.parse_args()
    ours.quiet()
    load = os.getloadavg()[0]
    for growth, level in wanted(given.days, given.only):
        series = perform(growth, level)
        if given.rules:
            for name, (rule, look_back) in RULES.items():
                print(
                    f"{series.name}: {name}: {_line(figures(replayed(series, rule, look_back)))}",
                    flush=True,
                )
            continue
        found = figures(series.days)
        print(f"{series.name}: {_line(found)}", flush=True)
        entry: dict[str, Figure] = {
            f"identity/{series.name}/{name}": None if isnan(each) else each
            for name, each in found.items()
        }
        add(new_entry(entry, load))


def wanted(days: int, only: Sequence[str] | None) -> Iterator[tuple[Growth, str]]:
    """Yield each series: how a collection grows, and the level that is clustered."""
    for growth in growths(days):
        for level in growth.collection.levels:
            if only is None or f"{growth.name} {level}" in only:
                yield growth, level


def growths(days: int) -> Iterator[Growth]:
    """Yield the collections, each in the ways in which it grows."""
    yield by_calendar(sample(), days)
    yield with_removals(by_calendar(sample(), days))
    for name in ("ecbplus", "headlines"):
        if not (DATA / name / "gold.json").exists():
            continue
        collection = read_collection(DATA / name)
        grown = [at_random(collection, days=days)]
        if name == "ecbplus":
            grown.insert(0, by_date(collection, days=days))
        yield from (*grown, *map(with_removals, grown))


def sample() -> Collection:
    """Make the sample corpus."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "sample")
        return read_collection(Path(folder) / "sample")


def perform(growth: Growth, level: str) -> Series:
    """Run the pipeline each day, in one workspace."""
    gold = dict(
        zip(
            growth.collection.levels[level].names, growth.collection.levels[level].gold, strict=True
        )
    )
    days, found = list[Day](), list[Found]()
    with tempfile.TemporaryDirectory() as scratch:
        for number, documents in enumerate(growth.days):
            folder = Path(scratch) / f"indices-{number}"
            write_collection(growth.collection.of_documents(documents), folder)
            run = _run(folder, Path(scratch) / "workspace", level, number)
            done = run_all(run, UPath(scratch) / "output")
            assert done["published"]
            days.append(_day(run, Path(done["clusters_jsonl"]), gold))
            found.append(_found(run))
    return Series(f"{growth.name} {level}", days, found)


def _run(indices: Path, workspace: Path, level: str, day: int) -> Run:
    run = Run(
        workspace=UPath(workspace),
        level=LEVELS[level],
        job_id=f"day-{day}",
        indices=str(indices),
        as_of=_FIRST_DAY + timedelta(days=day),
        settings=run_settings({"publish.min_coverage": 0}),
    )
    run.start()
    return run


def _day(run: Run, jsonl: Path, gold: Mapping[str, str]) -> Day:
    records = [json.loads(line) for line in jsonl.read_bytes().splitlines()]
    prefix = run.level.vector_prefix
    items = read_columns(run.result("snapshot").path("items"), ["vector_id"])["vector_id"]
    return Day(
        members={
            each["cluster_id"]: frozenset(f"{prefix}{name}" for name in each["member_ids"])
            for each in records
        },
        gold={name: gold[name] for name in items.to_pylist()},
        labels={each["cluster_id"]: each["cluster_label"] for each in records},
        previous={each["cluster_id"]: each["previous_ids"] for each in records},
        changes={each["cluster_id"]: each["lineage"] for each in records},
    )


def _found(run: Run) -> Found:
    snapshot, merge = run.result("snapshot"), run.result("merge")
    return Found(
        level=run.level.name,
        cluster_type=run.level.cluster_type,
        job_id=run.job_id,
        as_of=run.as_of,
        base=None,
        items=pa.table(read_columns(snapshot.path("items"), ["vector_id", "document_id"])),
        assignments=pa.table(
            read_columns(merge.path("assignments"), ["cluster", "status", "near_duplicate"])
        ),
        clusters=int(merge.metrics["clusters"] or 0),
    )


def replayed(series: Series, rule: Rule, look_back: int) -> list[Day]:
    """Give the same clusters ids by another rule."""
    registry, days = nothing("none", _FIRST_DAY), list[Day]()
    for day, found in zip(series.days, series.found, strict=True):
        done = succeed(registry, found, look_back, rule)
        registry = done.registry
        ids = done.ids.to_pylist()
        members: dict[str, set[str]] = {row["cluster_id"]: set() for row in ids}
        names = found.items["vector_id"].to_pylist()
        for name, number in zip(names, found.assignments["cluster"].to_pylist(), strict=True):
            if number is not None:
                members[ids[number]["cluster_id"]].add(name)
        days.append(
            Day(
                members={name: frozenset(items) for name, items in members.items()},
                gold=day.gold,
                previous={row["cluster_id"]: row["previous_ids"] for row in ids},
                changes={row["cluster_id"]: row["change"] for row in ids},
            )
        )
    return days


def _line(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items())


if __name__ == "__main__":
    main()
