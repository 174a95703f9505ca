"""Labels: which of a cluster's labels finds its held-out members, and sheets to read them.

    python -m tests.benchmarks.labels                    # label retrieval, every collection
    python -m tests.benchmarks.labels --reprints         # one item of each story reprinted often
    python -m tests.benchmarks.labels --sheets FOLDER    # labels beside those of before

A third of the members of each cluster of six or more are held out, then the next, near-duplicates
with the member that they are of, which alone is scored; labels are made of the rest. A label is
right if the mean BM25 score of the cluster's held-out members is above that of each of its ten
nearest clusters (`mean`), or if the best scored member is its (`best`).
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pyarrow as pa
from upath import UPath

from clustering_tasks.arrays import F32, I32
from clustering_tasks.pipeline import run_all
from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.steps.label.copies import (
    ASSIGNED,
    ITEMS,
    different,
    near_duplicates_of,
)
from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.members import (
    by_cluster,
    most_central,
    read_members,
)
from clustering_tasks.steps.label.proposals import Described, count_words, describe
from clustering_tasks.workspace.columns import read_columns
from tests.benchmarks.collection import read_collection, write_collection
from tests.benchmarks.disturbed import reprinted
from tests.benchmarks.label_contenders import frequent_mention, typical_title
from tests.benchmarks.label_retrieval import Bm25, held_out, nearest, ranks_first
from tests.benchmarks.ours import new_run, quiet
from tests.benchmarks.quality import folders

SMALLEST, FOLDS = 6, 3
CONTENDERS = ("phrases", "medoid", "before", "label", "label and phrases")
_PER_SHEET = 50
_SEED = 20_261_128


@dataclass(frozen=True)
class Clustered:
    """A level after its run.

    Attributes:
        table: (n) items as `label` reads them.
        texts: (n,) from which keywords are drawn.
        clusters: (n,) the cluster of each, -1 for none.
        centroids: (c, d) unit vectors.
    """

    level: str
    table: pa.Table
    texts: pa.ChunkedArray
    clusters: I32
    centroids: F32


def main() -> None:
    """Print the table of rank-1 shares, or write sheets."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--only", help="name of one collection")
    parser.add_argument("--reprints", action="store_true")
    chosen = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders(Path(scratch)):
            if chosen.only not in (None, folder.name):
                continue
            for level in LEVELS:
                if (folder / f"{level}.index").is_file():
                    indices = folder
                    if chosen.reprints:
                        indices = Path(scratch) / "reprinted" / folder.name / level
                        write_collection(reprinted(read_collection(folder), level), indices)
                    found = cluster(indices, level, Path(scratch) / "workspace" / folder.name)
                    if chosen.sheets:
                        write_sheet(found, chosen.sheets / folder.name / f"{level}.md")
                    else:
                        print(folder.name, level, json.dumps(shares(found)), flush=True)


def cluster(folder: Path, level: str, workspace: Path) -> Clustered:
    """Run a level's steps with their defaults."""
    run = new_run(folder, workspace, level, {})
    run_all(run, UPath(workspace) / "output")
    items = run.result("snapshot").path("items")
    merge = run.result("merge")
    with merge.path("centroids").open("rb") as file, np.load(file) as arrays:
        centroids = arrays["centroids"]
    table = read_members(items, merge.path("assignments"), LEVELS[level])
    clusters = table["cluster"].fill_null(-1).to_numpy()
    return Clustered(level, table, read_columns(items, ["text"])["text"], clusters, centroids)


def shares(found: Clustered) -> dict[str, object]:
    """Return the share of clusters that each contender's labels find, over both folds."""
    searched = found.texts.to_pylist()
    if found.level == "entities":  # a mention is its text; what is said of it is beside it
        searched = [
            f"{a} {b or ''}"
            for a, b in zip(searched, found.table["sentence"].to_pylist(), strict=True)
        ]
    bm25 = Bm25([text or "" for text in searched])
    near = nearest(found.centroids)
    right: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    group = found.table["near_duplicate"].to_numpy()
    copied = _copies(found, found.clusters).is_valid().to_numpy(zero_copy_only=False)
    once = np.where(copied, -1, found.clusters).astype(np.int32)
    for fold in range(FOLDS):
        out = held_out(once, fold, FOLDS, SMALLEST)
        gone = (found.clusters >= 0) & np.isin(group, group[out])
        rows = [np.flatnonzero(once == c) for c in range(len(found.centroids))]
        texts = [(each[out[each]] if out[each].any() else each).tolist() for each in rows]
        for number, queries in enumerate(
            _queries(found, np.where(gone, -1, found.clusters).astype(np.int32))
        ):
            if out[rows[number]].any():
                for name, query in queries.items():
                    right[name].append(
                        ranks_first(bm25, query, number, near[number].tolist(), texts)
                    )
    counted: dict[str, object] = {"clusters": len(right["label"]) // FOLDS}
    for name, each in right.items():
        if each:
            counted[name] = [round(fmean(one[i] for one in each), 3) for i in (0, 1)]
    return counted


def _queries(found: Clustered, clusters: I32) -> Iterator[dict[str, str]]:
    """Yield what each contender calls a cluster."""
    count = len(found.centroids)
    table = pa.table({"text": found.texts})
    keywords = Keywords.of_texts(part["text"] for part in by_cluster(table, clusters, count))
    named = _described(found, clusters)
    free = FreeLabels()
    for number, (members, terms, now, *_) in enumerate(named):
        central = members["title"][most_central(members)].tolist()
        label = free.best(str(number), now.ranked, now.tellers, members) if now.ranked else ""
        free.take(str(number), label)
        before = typical_title(central, keywords.weights_of(number))
        if found.level == "entities":
            before = frequent_mention(central)
        yield {
            "phrases": " ".join(terms[:3]),
            "medoid": central[0] or "",
            "before": before,
            "label": label,
            "label and phrases": " ".join([label, *now.phrases]),
        }


def _described(found: Clustered, clusters: I32) -> Iterator[Described]:
    table = found.table.append_column("near_duplicate_of", _copies(found, clusters))
    words = count_words(table.append_column("text", found.texts), clusters)
    return describe(words, table, clusters, found.level, 10)


def _copies(found: Clustered, clusters: I32) -> pa.Array:
    columns = {name: found.table[name].combine_chunks() for name in (*ITEMS, *ASSIGNED)}
    return near_duplicates_of(columns, clusters)


def write_sheet(found: Clustered, path: Path) -> None:
    """Write labels of the 20 largest clusters and others drawn at random, with representatives."""
    described = list(_sheet_rows(found))
    order = sorted(range(len(described)), key=lambda n: (-int(described[n][0]), n))
    rest = np.random.default_rng(_SEED).permutation(order[20:])[: _PER_SHEET - 20]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "| members | before | label | key phrases | representatives |",
        "|---|---|---|---|---|",
    ]
    rows = (described[number] for number in [*order[:20], *rest.tolist()])
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    path.write_text("\n".join(lines) + "\n")


def _sheet_rows(found: Clustered) -> Iterator[tuple[str, ...]]:
    named = _described(found, found.clusters)
    for (members, _, now, *_), queries in zip(named, _queries(found, found.clusters), strict=True):
        central = different(members, most_central(members), found.level, 3)
        titles = [title or "" for title in members["title"][central].tolist()]
        yield (
            str(len(members["title"])),
            queries["before"],
            queries["label"],
            ", ".join(now.phrases),
            " / ".join(title[:160] for title in titles),
        )


if __name__ == "__main__":
    main()
