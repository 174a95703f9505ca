"""What real vectors look like, for generators: directions to mix, and how items scatter.

Where real collections are at hand (`STAGE4_TEST_DATA`), directions are their vectors and items
scatter with their covariance; else a decaying spectrum takes their place.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I64

DATA = Path(os.environ.get("STAGE4_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
DIMENSION = 768


@dataclass(frozen=True)
class Spectrum:
    """What real vectors look like.

    Attributes:
        sources: (m, 768) unit vectors that centres are mixed from.
        scatter: (768, 768); standard normal rows times it scatter as items do about their story's
            centre, with an expected squared length of 1.
    """

    sources: F32
    scatter: F32


@cache
def level_spectrum(level: str) -> Spectrum:
    """Take the level's spectrum from the real collections, else from a power law."""
    found = [folder for folder in DATA.glob("*") if (folder / f"{level}.index").is_file()]
    if not found:
        rng = np.random.default_rng(0)
        sources = rng.normal(size=(8192, DIMENSION)) * np.arange(1, DIMENSION + 1) ** -0.35
        decay = np.diag(np.arange(1, DIMENSION + 1) ** -0.4)
        return Spectrum(unit(sources), _scaled(decay))
    vectors, story = zip(*(_collection(folder, level) for folder in sorted(found)), strict=True)
    residuals = [_residuals(*pair) for pair in zip(vectors, story, strict=True)]
    together = np.concatenate(residuals).astype(np.float64)
    values, basis = np.linalg.eigh(together.T @ together)
    scatter = (np.sqrt(np.maximum(values, 0)) * basis).T[::-1]  # the widest direction first
    return Spectrum(np.concatenate(vectors), _scaled(scatter))


def _collection(folder: Path, level: str) -> tuple[F32, I64]:
    """Read a collection's vectors and the gold story of each."""
    index = faiss.read_index(str(folder / f"{level}.index"))
    vectors: F32 = index.reconstruct_n(0, index.ntotal)
    names = json.loads((folder / f"{level}_metadata.json").read_bytes())["reverse_id_map"]
    gold = json.loads((folder / "gold.json").read_bytes())[level]
    stories = [gold[names[str(row)]] for row in range(len(vectors))]
    return vectors, np.unique(stories, return_inverse=True)[1]


def _residuals(vectors: F32, story: I64) -> F32:
    """Distances of items from the mean of their story, for stories of at least three."""
    sizes = np.bincount(story)
    means = np.zeros((len(sizes), vectors.shape[1]), dtype=np.float32)
    np.add.at(means, story, vectors)
    means /= sizes[:, None].astype(np.float32)
    return np.asarray((vectors - means[story])[sizes[story] >= 3])


def _scaled(scatter: npt.NDArray[Any]) -> F32:
    return np.asarray(scatter / np.linalg.norm(scatter), dtype=np.float32)


def unit(rows: npt.NDArray[Any]) -> F32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)
