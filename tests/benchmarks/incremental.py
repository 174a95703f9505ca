"""Incremental runs against full ones: the clusters after each of ten batches, and the cost.

    STAGE4_TEST_DATA=FOLDERS python -m tests.benchmarks.incremental quality
    python -m tests.benchmarks.incremental cost FOLDER LEVEL

`quality` begins with a full run of most items of a collection and adds the rest in ten batches, in
an order drawn with a seed; after each it compares the incremental run with a full one of the same
items. `cost` makes a full run of 99 % of a generated level, then an incremental and a full run of
all of it, each step in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score
from upath import UPath

from clustering_tasks.arrays import I64
from clustering_tasks.pipeline import run_all
from clustering_tasks.publication.files import publish_files
from clustering_tasks.publication.report import read_report
from clustering_tasks.workspace.artefacts import Run
from local.sample import write_sample
from tests.benchmarks.collection import Collection, read_collection, write_collection
from tests.benchmarks.measures import scores
from tests.benchmarks.ours import AS_OF, new_run, quiet

BATCHES = 10
FIRST = 0.8  # share of the items of the first run
SETS = (
    ("sample", "documents"),
    ("sample", "events"),
    ("ecbplus", "documents"),
    ("ecbplus", "events"),
    ("headlines", "documents"),
    ("wikinews", "documents"),
)
STEPS = ("snapshot", "plan", "cluster", "merge", "label")


@dataclass(frozen=True)
class Batch:
    """One batch, clustered in both ways.

    Attributes:
        items: of the level by then.
        taken: mode of the run.
        full_f1, f1: B-cubed of the full run and of the other.
        ari: of one with the other, each item of noise a cluster of its own.
        changed: share of the items there before whose membership changed.
        full_changed: the same of the full runs, by the best overlap of their clusters.
        voted: share of the new items that joined by vote.
        may_differ: what the report says.
        limit: similarity of the vote.
    """

    items: int
    taken: str
    full_f1: float
    f1: float
    ari: float
    changed: float
    full_changed: float
    voted: float
    may_differ: float
    limit: float


def batches(collection: Collection, level: str, seed: int, mode: str) -> Iterator[Batch]:
    """Grow a collection, and cluster it in both ways after each batch."""
    order = np.random.default_rng(seed).permutation(len(collection.levels[level].names))
    bounds = np.linspace(FIRST * len(order), len(order), BATCHES + 1).astype(int).tolist()
    with tempfile.TemporaryDirectory() as scratch:
        before: dict[str, dict[str, int | None]] = {}
        for number, bound in enumerate(bounds):
            part = collection.with_rows(level, np.sort(order[:bound]))
            folder = Path(scratch) / f"indices-{number}"
            write_collection(part, folder)
            found, runs = {}, {}
            for name in ("full", mode):
                run = new_run(folder, Path(scratch) / name, level, {"mode": name}, f"b{number}")
                runs[name] = _performed(run, number)
                found[name] = _labels(runs[name])
            if number:
                yield _compared(part, level, runs[mode], found, before, mode)
            before = found


def _performed(run: Run, number: int) -> Run:
    run = replace(run, as_of=AS_OF + timedelta(hours=number))
    run.start()
    run_all(run, UPath(run.workspace) / "output")
    return run


def _labels(run: Run) -> dict[str, int | None]:
    """Cluster of each item by its vector id, None for noise."""
    with run.result("snapshot").path("items").open("rb") as file:
        names = pd.read_parquet(file, columns=["vector_id"])["vector_id"]
    with run.result("merge").path("assignments").open("rb") as file:
        labels = pd.read_parquet(file, columns=["cluster"])["cluster"]
    each = zip(names, labels, strict=True)
    return {name: None if pd.isna(label) else int(label) for name, label in each}


def _compared(
    part: Collection,
    level: str,
    run: Run,
    found: dict[str, dict[str, int | None]],
    before: dict[str, dict[str, int | None]],
    mode: str,
) -> Batch:
    items = part.levels[level]
    one, other = ([_text(found[name][item]) for item in items.names] for name in ("full", mode))
    report = json.loads(Path(run.result("label").files["report"]).read_bytes())["mode"]
    return Batch(
        items=len(items.names),
        taken=report["taken"],
        full_f1=scores(items.gold, one)["f1"],
        f1=scores(items.gold, other)["f1"],
        ari=float(adjusted_rand_score(_alone(one), _alone(other))),
        changed=_changed(before[mode], found[mode]),
        full_changed=_changed(before["full"], found["full"]),
        voted=(report["voted"] or 0) / max(report["new_items"] or 0, 1),
        may_differ=report["may_differ"] or 0.0,
        limit=report["vote_similarity"] or float("nan"),
    )


def _text(label: int | None) -> str | None:
    return None if label is None else str(label)


def _alone(labels: Sequence[str | None]) -> list[str]:
    return [f"alone {at}" if label is None else label for at, label in enumerate(labels)]


def _changed(before: dict[str, int | None], now: dict[str, int | None]) -> float:
    """Share of the items of both that left the cluster which most of its members are in now."""
    both = [name for name in before if name in now]
    then = pd.DataFrame({"was": [before[n] for n in both], "is": [now[n] for n in both]})
    then = then.astype("Float64").fillna(-1)
    clustered = then[then["was"] >= 0]
    heirs = clustered.groupby("was")["is"].agg(lambda values: values.value_counts().index[0])
    moved = (clustered["is"] != clustered["was"].map(heirs)).sum()
    moved += (then[then["was"] < 0]["is"] >= 0).sum()
    return float(moved / len(both))


def quality(names: Sequence[str], seeds: int, mode: str) -> None:
    """Print a row for each collection and seed: the worst of its batches, and the last."""
    folder = Path(os.environ["STAGE4_TEST_DATA"])
    print(
        "| collection | seed | items | full runs | F1 full, last | F1, last | least F1 - full | "
        "least ARI | most changed | full: most changed | voted | may differ, last | limit |"
    )
    print("|" + " --- |" * 13)
    for name, level in SETS:
        if names and f"{name}/{level}" not in names:
            continue
        collection = _collection(folder, name)
        for seed in range(seeds):
            rows = list(batches(collection, level, seed, mode))
            last = rows[-1]
            print(
                f"| {name} {level} | {seed} | {last.items} "
                f"| {sum(row.taken == 'full' for row in rows)} "
                f"| {last.full_f1:.3f} | {last.f1:.3f} "
                f"| {min(row.f1 - row.full_f1 for row in rows):+.3f} "
                f"| {min(row.ari for row in rows):.3f} | {max(row.changed for row in rows):.3f} "
                f"| {max(row.full_changed for row in rows):.3f} "
                f"| {np.mean([row.voted for row in rows]):.2f} | {last.may_differ:.3f} "
                f"| {last.limit:.3f} |",
                flush=True,
            )


def _collection(folder: Path, name: str) -> Collection:
    if name != "sample":
        return read_collection(folder / name)
    with tempfile.TemporaryDirectory() as scratch:
        write_sample(Path(scratch) / name)
        return read_collection(Path(scratch) / name)


def without(folder: Path, level: str, target: Path, share: float) -> None:
    """Write a generated folder without a share of a level's items, drawn with a seed."""
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.suffix in (".index", ".json") and not path.name.startswith(level):
            (target / path.name).symlink_to(path)
    index = faiss.read_index(str(folder / f"{level}.index"))
    metadata = json.loads((folder / f"{level}_metadata.json").read_bytes())
    count = index.ntotal
    gone = np.random.default_rng(0).permutation(count)[: round(share * count)]
    kept: I64 = np.setdiff1d(np.arange(count), gone)
    smaller = faiss.IndexFlatIP(index.d)
    for start in range(0, len(kept), 4096):
        smaller.add(index.reconstruct_batch(kept[start : start + 4096]))
    faiss.write_index(smaller, str(target / f"{level}.index"))
    of_row: dict[int, str] = {row: name for name, row in metadata["id_map"].items()}
    names = [of_row[row] for row in kept.tolist()]
    metadata = {
        "metadata_store": {name: metadata["metadata_store"][name] for name in names},
        "id_map": {name: row for row, name in enumerate(names)},
        "reverse_id_map": {str(row): name for row, name in enumerate(names)},
    }
    (target / f"{level}_metadata.json").write_text(json.dumps(metadata))


def cost(folder: Path, level: str, share: float, scratch: Path) -> None:
    """Print the processor seconds and the peak memory of each step in both ways."""
    smaller = scratch / "smaller"
    if not smaller.exists():
        without(folder, level, smaller, share)
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    for job, source, mode in (
        ("base", smaller, "full"),
        ("next", folder, "incremental"),
        ("anew", folder, "full"),
    ):
        rows[job] = _steps(scratch / "workspace", source, level, job, mode)
        if job == "base":
            _publish(scratch / "workspace", level, job)
    print("| step | full: processor, wall, memory | incremental | ratio of processor, of wall |")
    print("| --- | --- | --- | --- |")
    for step in (*STEPS, "plan to merge"):
        one, other = (_of(rows[job], step) for job in ("anew", "next"))
        print(
            f"| {step} | {one[0]:.1f} s, {one[1]:.1f} s, {one[2]:.0f} MB "
            f"| {other[0]:.1f} s, {other[1]:.1f} s, {other[2]:.0f} MB "
            f"| {other[0] / one[0]:.2f}, {other[1] / one[1]:.2f} |"
        )


def _of(rows: dict[str, tuple[float, float, float]], step: str) -> tuple[float, float, float]:
    if step != "plan to merge":
        return rows[step]
    processor, wall, memory = zip(
        *(rows[name] for name in ("plan", "cluster", "merge")), strict=True
    )
    return sum(processor), sum(wall), max(memory)


def _steps(
    workspace: Path, folder: Path, level: str, job: str, mode: str
) -> dict[str, tuple[float, float, float]]:
    hours = {"base": 0, "next": 1, "anew": 2}[job]
    start = [
        *("--indices", str(folder), "--set", f"mode={mode}"),
        *("--as-of", (AS_OF + timedelta(hours=hours)).isoformat()),
    ]
    common = ["--workspace", str(workspace), "--level", level, "--job", job]
    found = {"snapshot": _timed(["snapshot", *common, *start])}
    found["plan"] = _timed(["plan", *common])
    record = json.loads((workspace / level / "runs" / job / "plan.json").read_bytes())
    parts = [_timed(["cluster", *common, "--part", str(p["part"])]) for p in record["parts"]]
    processor, wall, memory = zip(*parts, strict=True)
    found["cluster"] = (sum(processor), sum(wall), max(memory))
    return found | {
        step: _timed([step, *common]) for step in ("merge", "tag", "trend", "identify", "label")
    }


def _timed(arguments: list[str]) -> tuple[float, float, float]:
    """Run a step; return its processor seconds, the step's own seconds, and its peak in MB."""
    # VmHWM begins with the program; ru_maxrss would begin with the memory of this process.
    code = (
        "import os, re, runpy, sys\n"
        "try:\n    runpy.run_module('clustering_tasks', run_name='__main__')\nfinally:\n"
        "    most = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "    print(sum(os.times()[:2]), int(most) / 1024, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    processor, memory = map(float, done.stderr.splitlines()[-1].split())
    return processor, float(json.loads(done.stdout.splitlines()[-1])["seconds"]), memory


def _publish(workspace: Path, level: str, job: str) -> None:
    """Publish a run, so that the next one continues it."""
    record = json.loads((workspace / level / "runs" / job / "label.json").read_bytes())
    publish_files(
        read_report(record["files"]["report"]),
        clusters_jsonl=record["files"]["clusters_jsonl"],
        label_uri=record["uri"],
        workspace=str(workspace),
        output=str(workspace / "output"),
    )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    of_quality = commands.add_parser("quality")
    of_quality.add_argument("sets", nargs="*", help="COLLECTION/LEVEL; default: all")
    of_quality.add_argument("--seeds", type=int, default=1)
    of_quality.add_argument("--mode", default="incremental")
    of_cost = commands.add_parser("cost")
    of_cost.add_argument("folder", type=Path)
    of_cost.add_argument("level")
    of_cost.add_argument("--share", type=float, default=0.01)
    of_cost.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    quiet()
    if given.command == "quality":
        quality(given.sets, given.seeds, given.mode)
        return
    with tempfile.TemporaryDirectory() as scratch:
        cost(given.folder, given.level, given.share, given.scratch or Path(scratch))


if __name__ == "__main__":
    main()
