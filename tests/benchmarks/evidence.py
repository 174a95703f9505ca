"""Evidence that contradicts the vectors: B-cubed F1 with it, without it, and with it checked.

    python -m tests.benchmarks.evidence
    python -m tests.benchmarks.evidence --only "ecbplus events" --sizes 20000

Every row is three whole runs. `as set` trusts all evidence (`evidence.check=false`), `without`
leaves out the piece that is wrong and trusts the rest, `checked` is the default; noise, state and
factor are those of the last. Nothing enters the history.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from upath import UPath

from clustering_tasks.pipeline import run_all
from tests.benchmarks import disturbed, ours
from tests.benchmarks.collection import Collection, read_collection, write_collection
from tests.benchmarks.contingency import contingency
from tests.benchmarks.independent import write_independent
from tests.benchmarks.measures import b_cubed
from tests.benchmarks.quality import DATA
from tests.benchmarks.scale import write_scale_folder
from tests.benchmarks.world import ITEMS_PER_DOCUMENT, WorldSettings

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
_STORIES = {"evidence.story_similarity_floor": 0}
_MENTIONS = {"evidence.mention_weight": 0}
Gold = dict[str, str]  # cluster of each vector id


@dataclass(frozen=True)
class Case:
    """A level whose evidence may be wrong.

    Attributes:
        name: of the data and the disturbance.
        level: plural name.
        write: makes the Stage 3 folder and returns the gold.
        without: settings that leave the wrong piece out.
        piece: its name in the report.
        settings: of all three runs, beside the defaults.
    """

    name: str
    level: str
    write: Callable[[Path], Gold]
    without: dict[str, Any] = field(default_factory=lambda: _STORIES)
    piece: str = "stories"
    settings: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Print a table of all cases, or of those whose names contain a text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="part of the names, as 'ecbplus events'")
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 50_000])
    given = parser.parse_args()
    ours.quiet()
    print("| data | as set | without | checked | noise | state | factor |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in cases(given.sizes):
        if given.only in case.name:
            print(row(case), flush=True)


def cases(sizes: list[int]) -> Iterator[Case]:
    """Yield the generated levels, then those of ecbplus."""
    for n in sizes:
        yield Case(f"independent documents, {n:,} events", "events", _independent(n))
    for level in ("events", "entities"):
        for share in SHARES:
            made = _generated(level, sizes[0], digests=share)
            yield Case(f"generated {level}, digests {share:.0%}", level, made)
        shuffled = _generated(level, sizes[0], shuffle_documents=True)
        yield Case(f"generated {level}, document ids shuffled", level, shuffled)
    if not (DATA / "ecbplus").is_dir():
        print(f"no ecbplus in {DATA}: set STAGE4_TEST_DATA", file=sys.stderr)
        return
    ecbplus = read_collection(DATA / "ecbplus")
    for level in ("events", "entities"):
        yield from _of_collection(ecbplus, level)


def _of_collection(collection: Collection, level: str) -> Iterator[Case]:
    name = f"{collection.name} {level}"

    def case(title: str, disturb: disturbed.Disturbance, share: float, **more: Any) -> Case:
        made = _disturbed(collection, level, disturb, share)
        return Case(f"{name}, {title}", level, made, **more)

    for title, disturb in disturbed.GRADED.items():
        for share in SHARES:
            yield case(f"{title} {share:.0%}", disturb, share)
    for title, disturb in disturbed.WHOLE.items():
        yield case(title, disturb, 1)
    mentions: dict[str, Any] = {"without": _MENTIONS, "piece": "mentions"}
    yield case("one mention for all", disturbed.one_mention, 1, **mentions)
    for share in SHARES[1:]:
        yield case(f"mentions shuffled {share:.0%}", disturbed.shuffled_mentions, share, **mentions)
    if level == "events":
        yield from _kinds_and_dates(case)


def _kinds_and_dates(case: Callable[..., Case]) -> Iterator[Case]:
    """Evidence that is off by default, switched on."""
    types: dict[str, Any] = {
        "without": {"evidence.event_type_penalty": 0},
        "piece": "event_types",
        "settings": {"evidence.event_type_penalty": 0.1},
    }
    yield case("one event type", disturbed.one_event_type, 1, **types)
    for share in (0.0, 0.5, 1.0):
        yield case(f"types shuffled {share:.0%}", disturbed.shuffled_event_types, share, **types)
    dates: dict[str, Any] = {
        "without": {"temporal.decay": False},
        "piece": "decay",
        "settings": {"temporal.decay": True},
    }
    yield case("one date, decay", disturbed.one_date, 1, **dates)
    yield case("random dates, decay", disturbed.random_dates, 1, **dates)


def row(case: Case) -> str:
    """Run a case with all evidence as set, without the wrong piece, and checked."""
    with tempfile.TemporaryDirectory() as scratch:
        gold = case.write(Path(scratch) / "indices")
        trusted = {"evidence.check": False}
        settings = [trusted, trusted | case.without, {}]
        runs = [
            _run(case, Path(scratch), f"run-{number}", case.settings | more, gold)
            for number, more in enumerate(settings)
        ]
    (as_set, _), (without, _), (checked, report) = runs
    finding = report["evidence"].get(case.piece) or {}
    noise, factor = report["raw_outlier_share"], finding.get("factor", 1.0)
    return (
        f"| {case.name} | {as_set:.3f} | {without:.3f} | {checked:.3f} | {noise:.2f} | "
        f"{finding.get('state')} | {factor:.2f} |"
    )


def _run(
    case: Case, scratch: Path, job: str, settings: dict[str, Any], gold: Gold
) -> tuple[float, dict[str, Any]]:
    run = ours.new_run(scratch / "indices", scratch / "workspace", case.level, settings, job)
    done = run_all(run, UPath(scratch) / "output")
    members = pq.read_table(done["members_parquet"], columns=["vector_id", "cluster_id"])
    truth = [gold[name] for name in members["vector_id"].to_pylist()]
    score = b_cubed(contingency(truth, members["cluster_id"].to_pylist()))[0]
    return score, json.loads(Path(done["report"]).read_bytes())


def _disturbed(
    collection: Collection, level: str, disturb: disturbed.Disturbance, share: float
) -> Callable[[Path], Gold]:
    def write(folder: Path) -> Gold:
        levels = {name: collection.levels[name] for name in (level, "documents")}
        write_collection(disturb(Collection(collection.name, levels), level, share), folder)
        items = collection.levels[level]
        return dict(zip(items.names, items.gold, strict=True))

    return write


def _generated(level: str, n: int, **settings: Any) -> Callable[[Path], Gold]:
    def write(folder: Path) -> Gold:
        world = WorldSettings(n // ITEMS_PER_DOCUMENT[level], **settings)
        write_scale_folder(folder, level, n, world)
        write_scale_folder(folder, "documents", world.documents, world)
        return _truth(folder, level)

    return write


def _independent(n: int) -> Callable[[Path], Gold]:
    def write(folder: Path) -> Gold:
        write_independent(folder, "events", n)
        write_independent(folder, "documents", n // 10)
        return _truth(folder, "events")

    return write


def _truth(folder: Path, level: str) -> Gold:
    with np.load(folder / f"{level}_truth.npz") as truth:
        names, clusters = truth["vector_id"].tolist(), truth["cluster"].tolist()
    return {
        name: f"cluster {cluster}" if cluster >= 0 else f"alone {row}"
        for row, (name, cluster) in enumerate(zip(names, clusters, strict=True))
    }


if __name__ == "__main__":
    main()
