"""Stage 3 folders of any size for benchmarks, streamed to disk; the same seed, the same folder.

    python -m tests.benchmarks.scale FOLDER --level events -n 1000000
    python -m tests.benchmarks.scale FOLDER --all -n 50000 --digests 0.5 --dates none

Documents are about one to three stories, and all that belongs to them is of these stories, except
in digests (`tests.benchmarks.world`). `--all` writes all levels, with about n events. Evidence is
wrong with `--digests 1`, with `--shuffle-documents`, which deals out the items' document ids at
random, with `--dates random`, and with `--documents independent`, the generator before version 2:
its documents say nothing about the stories of their items.
"""

import argparse
from pathlib import Path
from typing import get_args

import numpy as np

from clustering_tasks.arrays import I32
from clustering_tasks.settings.levels import LEVELS
from tests.benchmarks.independent import write_independent
from tests.benchmarks.stage3_stream import write_pair
from tests.benchmarks.world import (
    ITEMS_PER_DOCUMENT,
    Dates,
    LevelItems,
    World,
    WorldSettings,
    make_items,
    make_world,
)
from tests.benchmarks.world_metadata import metadata_of
from tests.benchmarks.world_vectors import vectors_of


def write_scale_folder(
    folder: Path, level: str, n: int, settings: WorldSettings | None = None
) -> None:
    """Write a level's pair of files, and the truth beside them as `<level>_truth.npz`.

    Args:
        folder: that is made.
        level: by its name.
        n: items.
        settings: of the world; default: `n // ITEMS_PER_DOCUMENT[level]` documents. Levels that are
            written with equal settings belong together.

    The truth holds `vector_id` (n,) and `cluster` (n,) int32, the gold cluster of each item, -1 for
    an item alone, in the file's order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = settings or WorldSettings(max(n // ITEMS_PER_DOCUMENT[level], 1))
    world = make_world(settings)
    items = make_items(world, level, n)
    named = named_documents(world, level, items)
    documents = [document_id(number, settings.seed) for number in named.tolist()]
    sources = documents if level == "documents" else _source_ids(level, documents)
    names = np.array([LEVELS[level].vector_prefix + source for source in sources])
    np.savez(folder / f"{level}_truth.npz", vector_id=names, cluster=items.clusters())
    metadata = metadata_of(world, level, items, sources, documents)
    write_pair(folder, level, sources, vectors_of(world, level, items), metadata)


def write_levels(folder: Path, settings: WorldSettings) -> None:
    """Write all levels of a world."""
    for level, each in ITEMS_PER_DOCUMENT.items():
        write_scale_folder(folder, level, settings.documents * each, settings)


def named_documents(world: World, level: str, items: LevelItems) -> I32:
    """Document that each item names: (n,) its own, unless the ids are dealt out at random."""
    if not world.settings.shuffle_documents or level == "documents":
        return items.document
    return np.random.default_rng([world.settings.seed, 16]).permutation(items.document)


def document_id(number: int, seed: int) -> str:
    """Name a document; an odd factor permutes the numbers, so that ids are in disorder."""
    return f"doc_{(number * 2_654_435_761 + seed) % (1 << 32):08x}"


def _source_ids(level: str, documents: list[str]) -> list[str]:
    """Number the items of each document."""
    seen: dict[str, int] = {}
    names = []
    for document in documents:
        part = seen[document] = seen.get(document, -1) + 1
        names.append(f"{document}_{LEVELS[level].cluster_type}_{part}")
    return names


def read_truth(folder: Path, level: str) -> tuple[list[str], I32]:
    """Read the vector ids of a level, and the gold cluster of each, -1 for an item alone."""
    truth = np.load(folder / f"{level}_truth.npz")
    clusters: I32 = truth["cluster"]
    return truth["vector_id"].tolist(), clusters


def main() -> None:
    """Write a folder from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--level", choices=LEVELS, default="events")
    which.add_argument("--all", action="store_true", help="all levels, with n events")
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--digests", type=float, default=0.1, help="share of the documents")
    parser.add_argument("--dates", choices=get_args(Dates), default="story")
    parser.add_argument("--shuffle-documents", action="store_true")
    parser.add_argument("--documents", choices=("coherent", "independent"), default="coherent")
    given = parser.parse_args()
    levels = list(LEVELS) if given.all else [given.level]
    each = ITEMS_PER_DOCUMENT["events" if given.all else given.level]
    count = max(given.n // each, 1)
    settings = WorldSettings(count, given.seed, given.digests, given.dates, given.shuffle_documents)
    for level in levels:
        n = count * ITEMS_PER_DOCUMENT[level] if given.all else given.n
        if given.documents == "independent":
            write_independent(given.folder, level, n, given.seed)
        else:
            write_scale_folder(given.folder, level, n, settings)
    for path in sorted(given.folder.iterdir()):
        print(f"{path.stat().st_size:>14,} bytes  {path}")


if __name__ == "__main__":
    main()
