"""Collections with gold: Stage 3 folders that can be read, thinned, put together and written."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from clustering_tasks.arrays import F32, I64
from clustering_tasks.settings.levels import LEVELS


@dataclass(frozen=True)
class Items:
    """The items of a level.

    Attributes:
        names: (n) vector ids.
        vectors: (n, d) unit vectors.
        entries: (n) of the metadata store.
        gold: (n) cluster of each.
    """

    names: list[str]
    vectors: F32
    entries: list[dict[str, Any]]
    gold: list[str]

    @cached_property
    def documents(self) -> list[str]:
        """Document of each item."""
        return [e["metadata"].get("document_id") or e["source_id"] for e in self.entries]

    def take(self, rows: I64) -> "Items":
        """Return the items of some rows, in their order."""
        return Items(
            [self.names[row] for row in rows],
            self.vectors[rows],
            [self.entries[row] for row in rows],
            [self.gold[row] for row in rows],
        )


@dataclass(frozen=True)
class Collection:
    """A Stage 3 folder in memory."""

    name: str
    levels: Mapping[str, Items]

    def of_documents(self, documents: Iterable[str]) -> "Collection":
        """Keep what belongs to some documents, at every level."""
        kept = set(documents)
        return Collection(
            self.name,
            {
                level: items.take(np.flatnonzero([d in kept for d in items.documents]))
                for level, items in self.levels.items()
            },
        )

    def with_rows(self, level: str, rows: I64) -> "Collection":
        """Keep some rows of a level, and of the others what belongs to the documents that stay."""
        items = self.levels[level].take(rows)
        rest = self.of_documents(items.documents)
        return Collection(self.name, {**rest.levels, level: items})


def read_collection(folder: Path) -> Collection:
    """Read a folder whose `gold.json` has the gold of each level."""
    gold = json.loads((folder / "gold.json").read_bytes())
    present = [level for level in LEVELS if (folder / f"{level}.index").is_file()]
    return Collection(
        folder.name, {level: _read_level(folder, level, gold[level]) for level in present}
    )


def _read_level(folder: Path, level: str, gold: Mapping[str, str]) -> Items:
    index = faiss.read_index(str(folder / f"{level}.index"))
    metadata = json.loads((folder / f"{level}_metadata.json").read_bytes())
    names = [metadata["reverse_id_map"][str(row)] for row in range(index.ntotal)]
    entries = [metadata["metadata_store"][name] for name in names]
    vectors: F32 = index.reconstruct_n(0, index.ntotal)
    return Items(names, vectors, entries, [str(gold[name]) for name in names])


def write_collection(collection: Collection, folder: Path) -> None:
    """Write the folder that a collection would be read from, without its gold."""
    folder.mkdir(parents=True)
    for level, items in collection.levels.items():
        index = faiss.IndexFlatIP(items.vectors.shape[1])
        index.add(items.vectors)
        faiss.write_index(index, str(folder / f"{level}.index"))
        metadata = {
            "metadata_store": dict(zip(items.names, items.entries, strict=True)),
            "id_map": {name: row for row, name in enumerate(items.names)},
            "reverse_id_map": {str(row): name for row, name in enumerate(items.names)},
        }
        (folder / f"{level}_metadata.json").write_text(json.dumps(metadata))


def joined(name: str, collections: Iterable[Collection]) -> Collection:
    """Put collections together, level by level; gold clusters of different ones stay apart."""
    levels: dict[str, list[Items]] = {}
    for number, collection in enumerate(collections):
        for level, items in collection.levels.items():
            gold = [f"{number}:{cluster}" for cluster in items.gold]
            own = Items(items.names, items.vectors, items.entries, gold)
            levels.setdefault(level, []).append(own)
    return Collection(name, {level: _together(parts) for level, parts in levels.items()})


def _together(parts: list[Items]) -> Items:
    return Items(
        [name for part in parts for name in part.names],
        np.concatenate([part.vectors for part in parts]),
        [entry for part in parts for entry in part.entries],
        [cluster for part in parts for cluster in part.gold],
    )
