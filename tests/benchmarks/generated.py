"""Quality on generated news: each level, and events whose evidence is wrong.

    python -m tests.benchmarks.generated
    python -m tests.benchmarks.generated --only "shuffled document ids" --dry

Each row is a world of its own (`tests.benchmarks.scale`). Evidence that is wrong must not destroy
what the vectors say: beside the default stands the same without the documents' evidence.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from clustering_tasks.settings.levels import LEVELS
from tests.benchmarks import ours
from tests.benchmarks.collection import Items
from tests.benchmarks.history import Figure, add, new_entry
from tests.benchmarks.independent import write_independent
from tests.benchmarks.measures import scores
from tests.benchmarks.peer_cache import cached_peers
from tests.benchmarks.scale import read_truth, write_scale_folder
from tests.benchmarks.world import GENERATOR, ITEMS_PER_DOCUMENT, WorldSettings

ITEMS = 10_000  # the peers' pairs fit into memory
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours without documents": {"evidence.story_similarity_floor": 0},
    "ours hdbscan": {"algorithm": "hdbscan"},
}
SHOWN = ("f1", "precision", "recall", "coverage")
Write = Callable[[Path, str, int], None]


def main() -> None:
    """Measure every row; add the figures of each to the history."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-n", type=int, default=ITEMS, help="items of the level")
    parser.add_argument("--only", nargs="+", choices=[*LEVELS, *WRONG])
    parser.add_argument("--dry", action="store_true", help="print the figures, keep none")
    given = parser.parse_args()
    ours.quiet()
    rows = {level: (level, _coherent()) for level in LEVELS}
    rows |= {name: ("events", write) for name, write in WRONG.items()}
    for name in given.only or rows:
        load = os.getloadavg()[0]
        level, write = rows[name]
        figures = measured(level, write, given.n)
        print(name, {key: value for key, value in figures.items() if key.endswith("/f1")})
        if not given.dry:
            paths = {f"generated/{name}/{key}": value for key, value in figures.items()}
            add(new_entry(paths, load, GENERATOR))


def _coherent(**changed: object) -> Write:
    """A world of the default settings, but for some."""

    def write(folder: Path, level: str, n: int) -> None:
        settings = WorldSettings(max(n // ITEMS_PER_DOCUMENT[level], 1))
        settings = replace(settings, **changed)  # type: ignore[arg-type]
        write_scale_folder(folder, "documents", settings.documents, settings)
        if level != "documents":
            write_scale_folder(folder, level, n, settings)

    return write


def _independent(folder: Path, level: str, n: int) -> None:
    write_independent(folder, "documents", max(n // ITEMS_PER_DOCUMENT[level], 1))
    write_independent(folder, level, n)


# Worlds whose events' documents are no evidence about them, all or some.
WRONG: dict[str, Write] = {
    **{f"digests {share:.0%}": _coherent(digests=share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)},
    "shuffled document ids": _coherent(shuffle_documents=True),
    "dates at random": _coherent(dates="random"),
    "independent": _independent,
}


def measured(level: str, write: Write, n: int) -> dict[str, Figure]:
    """Cluster a level of a new world by ours and by the peers.

    Args:
        level: by its name.
        write: the folder.
        n: items of the level.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write(folder, level, n)
        items = read_items(folder, level)
        find = partial(ours.found_in, folder, level, items.names)
        found = {name: scores(items.gold, find(**settings)) for name, settings in OURS.items()}
    sizes = np.unique(items.gold, return_counts=True)[1]
    figures: dict[str, Figure] = {
        "level": level,
        "items": n,
        "clusters": int((sizes > 1).sum()),
        "lone": float((sizes == 1).sum() / n),
        "largest": int(sizes.max()),
    }
    for name, score in found.items():
        figures |= {
            f"{name}/{key}": score[key] for key in ("f1", "precision", "recall", "coverage")
        }
    return figures | {f"peers/{name}": value for name, value in cached_peers(items).items()}


def read_items(folder: Path, level: str) -> Items:
    """Read the vectors and the gold of a level; metadata are left out."""
    names, clusters = read_truth(folder, level)
    index = faiss.read_index(str(folder / f"{level}.index"))
    gold = [str(c) if c >= 0 else f"alone {row}" for row, c in enumerate(clusters.tolist())]
    return Items(names, index.reconstruct_n(0, index.ntotal), [], gold)


if __name__ == "__main__":
    main()
