"""Writes a level's pair of files a block at a time, so that a million items fit into memory."""

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from clustering_tasks.arrays import F32
from clustering_tasks.settings.levels import LEVELS
from tests.benchmarks.spectrum import DIMENSION


def write_pair(
    folder: Path,
    level: str,
    sources: Sequence[str],
    vectors: Iterable[F32],
    metadata: Iterable[dict[str, Any]],
) -> None:
    """Write the index and the metadata of a level.

    Args:
        folder: of Stage 3.
        level: by its name.
        sources: (n) source ids.
        vectors: blocks of unit vectors, n rows in all.
        metadata: (n) of the items.
    """
    index, about = (folder / name for name in LEVELS[level].pair)
    _write_index(index, len(sources), vectors)
    _write_metadata(about, level, sources, metadata)


def _write_index(path: Path, n: int, vectors: Iterable[F32]) -> None:
    """Write an `IndexFlatIP`, whose header is 45 bytes."""
    with path.open("wb") as file:
        unused = 1 << 20
        file.write(struct.pack("<4siqqq?i", b"IxFI", DIMENSION, n, unused, unused, True, 0))
        file.write(struct.pack("<Q", n * DIMENSION))
        for block in vectors:
            file.write(block.astype("<f4").tobytes())


def _write_metadata(
    path: Path, level: str, sources: Sequence[str], metadata: Iterable[dict[str, Any]]
) -> None:
    """Write the three objects as Python's `json` does, an entry at a time."""
    kind, prefix = LEVELS[level].cluster_type, LEVELS[level].vector_prefix
    with path.open("w", encoding="utf-8") as file:
        file.write('{"metadata_store": {')
        for row, (source, about) in enumerate(zip(sources, metadata, strict=True)):
            entry = {"source_id": source, "embedding_type": kind, "metadata": about}
            file.write(f"{', ' if row else ''}{json.dumps(prefix + source)}: {json.dumps(entry)}")
        file.write('}, "id_map": {')
        file.write(", ".join(f'"{prefix}{source}": {row}' for row, source in enumerate(sources)))
        file.write('}, "reverse_id_map": {')
        file.write(", ".join(f'"{row}": "{prefix}{source}"' for row, source in enumerate(sources)))
        file.write("}}")
