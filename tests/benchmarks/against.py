"""This checkout against another one: are the files the same, and what is the ratio of CPU seconds?

    PYTHONPATH=. python -m tests.benchmarks.against OTHER --pairs 3

For a change that is to change nothing. OTHER is a checkout of another revision; both run by this
interpreter, in turn, on the real collections (`STAGE4_TEST_DATA`) and on FOLDER:LEVEL of `--more`.
Workspaces are new for each run, kernels are compiled before. F1 and coverage are those of the
clusters that this checkout found in the first pair.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from tests.benchmarks.measures import scores
from tests.benchmarks.scale import read_truth
from tests.benchmarks.spectrum import DATA

HERE = Path(__file__).parents[2]
COLLECTIONS = {
    "ecbplus": ("documents", "events", "entities", "storylines"),
    "headlines": ("documents",),
    "wikinews": ("documents",),
}
HEAD = (
    *("collection", "level", "clusters", "members and JSONL", "CPU before", "CPU now"),
    *("B-cubed F1", "coverage"),
)
FILES = ("members_parquet", "clusters_jsonl")


@dataclass(frozen=True)
class Ran:
    """What a run left.

    Attributes:
        digests: of `FILES`.
        clusters: their number.
        score: B-cubed F1 and coverage against gold.
        cpu: seconds, user's and system's, children included.
    """

    digests: tuple[str, ...]
    clusters: int
    score: tuple[float, float]
    cpu: float


def run(checkout: Path, indices: Path, level: str) -> Ran:
    """Cluster a level with the code of a checkout."""
    with tempfile.TemporaryDirectory() as workspace:
        command = [
            *(sys.executable, "-m", "clustering_tasks", "run", "--level", level, "--job", "job"),
            *("--indices", str(indices), "--workspace", workspace, "--as-of", "2026-01-01"),
        ]
        before = _cpu()
        done = subprocess.run(
            command,
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        result = json.loads(done.stdout.splitlines()[-1])
        digests = tuple(hashlib.sha256(Path(result[f]).read_bytes()).hexdigest() for f in FILES)
        cpu = _cpu() - before
        score = _score(Path(result["members_parquet"]), gold_of(indices, level))
        return Ran(digests, result["clusters"], score, cpu)


def gold_of(indices: Path, level: str) -> dict[str, str]:
    """Gold cluster of each vector id, of a collection or of what `scale` wrote."""
    if (indices / "gold.json").exists():
        gold: dict[str, str] = json.loads((indices / "gold.json").read_bytes())[level]
        return gold
    names, clusters = read_truth(indices, level)
    pairs = zip(names, clusters.tolist(), strict=True)
    return {name: str(cluster) if cluster >= 0 else name for name, cluster in pairs}


def _score(members: Path, gold: dict[str, str]) -> tuple[float, float]:
    table = pq.read_table(members, columns=["vector_id", "cluster_id"])
    names, clusters = (table[name].to_pylist() for name in table.column_names)
    found = scores([gold[name] for name in names], clusters)
    return found["f1"], found["coverage"]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compared(other: Path, indices: Path, level: str, pairs: int) -> tuple[str, bool]:
    """Return a row of the table, and whether all files are the same."""
    ran = [(run(other, indices, level), run(HERE, indices, level)) for _ in range(pairs)]
    equal = all(one.digests == two.digests for one, two in ran)
    theirs, ours = (median(pair[side].cpu for pair in ran) for side in (0, 1))
    words = "the same" if equal else "DIFFERENT"
    f1, coverage = ran[0][1].score
    found = f"{ran[0][1].clusters:,} | {words} | {theirs:.1f} s | {ours:.1f} s"
    found = f"{found} | {f1:.3f} | {coverage:.3f}"
    row = f"| {indices.name} | {level} | {found} |"
    return row, equal


def places(more: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield folders and levels to run."""
    for name, levels in COLLECTIONS.items():
        yield from ((DATA / name, level) for level in levels if (DATA / name).exists())
    for each in more:
        folder, _, level = each.rpartition(":")
        yield Path(folder), level


def main() -> int:
    """Print the table; 1 if a file differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--more", nargs="*", default=[], metavar="FOLDER:LEVEL")
    given = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |")
    print("|---" * len(HEAD), "|", sep="")
    equal = True
    for indices, level in places(given.more):
        row, same = compared(given.other.absolute(), indices, level, given.pairs)
        equal &= same
        print(row, flush=True)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
