"""Stage 3 folders for tests: any level, any vectors and metadata, written by FAISS itself."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32
from clustering_tasks.settings.levels import DOMAINS, LEVELS

Json = dict[str, Any]
DIMENSION = 16
SMALL: Json = {"algorithm": "hdbscan", "input": {"dimension": DIMENSION}}
"""Settings that these folders need; the algorithm is pinned because its default may change."""


def unit(rows: npt.ArrayLike) -> F32:
    """Scale rows to length 1."""
    values = np.asarray(rows, dtype=np.float64)
    scaled: F32 = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def scattered(count: int, seed: int = 0, dimension: int = DIMENSION) -> F32:
    """Random directions: nothing to cluster."""
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def blobs(
    sizes: Sequence[int],
    noise: int = 0,
    seed: int = 0,
    spread: float = 0.08,
    dimension: int = DIMENSION,
) -> F32:
    """Groups around random directions, one after the other, then random directions."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(len(sizes), dimension)))
    around = np.repeat(centres, sizes, axis=0)
    moved = around + spread * rng.normal(size=around.shape)
    return np.concatenate([unit(moved), scattered(noise, seed + 1000, dimension)])


def source_id(level: str, number: int) -> str:
    if level == "documents":
        return f"doc_{number:04d}"
    return f"doc_{number // 5:04d}_{LEVELS[level].cluster_type}_{number % 5}"


def plain_metadata(level: str, number: int) -> Json:
    """Metadata as Stage 3 writes it, with every field of the contract."""
    day = f"2025-12-{1 + number % 28:02d}"
    domain = list(DOMAINS.values())[number % 3]
    fields: dict[str, Callable[[], Json]] = {
        "documents": lambda: {
            "title": f"Ministers discuss trade agreement {number}",
            "publication_date": f"{day}T08:00:00Z",
            "word_count": 100 + number,
            "entity_count": 3,
            "event_count": 2,
            "source_url": "https://news.invalid/1",
            "categories": ["economy", "europe"],
            "tags": ["trade"],
        },
        "events": lambda: {
            "event_type": "contact_meet",
            "domain": domain,
            "sentiment": "neutral",
            "confidence": 0.9,
            "temporal_reference": f"{day}T00:00:00Z",
            "argument_count": 2,
            "event_description": "Leaders meet in Hiroshima",
            "primary_entities": ["Japan", f"Delegation {number % 2}"],
        },
        "entities": lambda: {
            "entity_type": "ORG" if number % 2 else "PER",
            "entity_text": f"Bank {number % 3}",
            "context": "The bank said so.",
        },
        "storylines": lambda: {
            "storyline_id": f"s{number}",
            "event_ids": [f"e{number}", f"e{number + 1}"],
            "event_count": 2,
            "primary_entities": ["Japan"],
            "temporal_span": [f"{day}T00:00:00Z", "2025-12-30T00:00:00Z"],
            "temporal_span_days": 3,
            "domain": domain,
            "storyline_summary": "Summit and what followed",
        },
    }
    return fields[level]()


def faiss_index(vectors: F32, kind: str = "flat_ip") -> tuple[faiss.Index, list[int]]:
    """Build an index; return it with the ids under which it knows the vectors."""
    count, dimension = vectors.shape
    ids = list(range(count))
    index: faiss.Index
    if kind.startswith("flat"):
        index = {"flat_ip": faiss.IndexFlatIP, "flat_l2": faiss.IndexFlatL2}[kind](dimension)
        index.add(vectors)
        return index, ids
    # An IDMap's ids are anybody's: here neither in order nor without gaps.
    ids = [1000 - 7 * number for number in ids]
    wrapper = {"idmap": faiss.IndexIDMap, "idmap2": faiss.IndexIDMap2}[kind]
    index = wrapper(faiss.IndexFlatIP(dimension))
    index.add_with_ids(vectors, np.array(ids, dtype=np.int64))
    return index, ids


class Stage3Folder:
    """A folder of Stage 3's, under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(
        self,
        level: str,
        vectors: F32,
        metadata: Sequence[Json] | None = None,
        *,
        kind: str = "flat_ip",
        order: Sequence[int] | None = None,
    ) -> list[str]:
        """Write a level's pair of files; return the vector ids in the order of the vectors.

        Args:
            level: its name.
            vectors: (n, d).
            metadata: of each vector; default: `plain_metadata`.
            kind: of the index.
            order: in which the items are written; default: that of the vectors.
        """
        order = range(len(vectors)) if order is None else order
        each = metadata or [plain_metadata(level, number) for number in range(len(vectors))]
        sources = [source_id(level, number) for number in range(len(vectors))]
        names = [LEVELS[level].vector_prefix + source for source in sources]
        index, ids = faiss_index(vectors[list(order)], kind)
        faiss.write_index(index, str(self.index(level)))
        kind_of_item = LEVELS[level].cluster_type
        self.write_metadata(
            level,
            {
                "metadata_store": {
                    names[n]: {
                        "source_id": sources[n],
                        "embedding_type": kind_of_item,
                        "metadata": each[n],
                    }
                    for n in order
                },
                "id_map": {names[n]: ids[at] for at, n in enumerate(order)},
                "reverse_id_map": {str(ids[at]): names[n] for at, n in enumerate(order)},
            },
        )
        return names

    def index(self, level: str) -> Path:
        return self.path / f"{level}.index"

    def metadata(self, level: str) -> Path:
        return self.path / f"{level}_metadata.json"

    def read_metadata(self, level: str) -> Json:
        read: Json = json.loads(self.metadata(level).read_bytes())
        return read

    def write_metadata(self, level: str, content: object) -> None:
        self.metadata(level).write_text(json.dumps(content))


def write_chunks(folder: Stage3Folder, sizes: list[int], items: str) -> None:
    """Write documents in groups; the number of each vector's item is a digit of `items`."""
    folder.write("documents", blobs(sizes))
    metadata = folder.read_metadata("documents")
    for number, entry in zip(items, metadata["metadata_store"].values(), strict=True):
        entry["source_id"] = f"doc_{number}"
    folder.write_metadata("documents", metadata)
