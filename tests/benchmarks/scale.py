"""Stage 3 folders of any size for benchmarks, streamed to disk; the same seed, the same folder.

    python -m tests.benchmarks.scale FOLDER --level events -n 1000000

Stories have Zipf's sizes, a fifth of the items belong to none, and one in fifty is a copy of its
neighbour's vector. Where real collections are at hand (`STAGE4_TEST_DATA`), centres are mixtures of
their vectors and items scatter about them with their covariance; else a decaying spectrum takes
their place.
"""

import argparse
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import faiss
import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.settings.levels import DOMAINS, LEVELS

DATA = Path(os.environ.get("STAGE4_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
DIMENSION = 768
ITEMS_PER_STORY = 50
ITEMS_PER_DOCUMENT = 10
_ROWS = 8192
_NOISE = 0.2  # share of items that belong to no story
_COPIES = 0.02  # share of items with the vector of the one before
_WITHIN = 0.3  # squared distance of an item from its story's centre; real news: .29 to .39
_SYLLABLES = "ba ce di fo gu ha ki lo mar nen pos rul sta tre vin wol zan \u00e9r \u00fcn sk\u00f8"
_MINUTES_IN_TWO_YEARS = 1_051_200

Json = dict[str, Any]


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


def write_scale_folder(folder: Path, level: str, n: int, seed: int = 0) -> None:
    """Write a level's pair of files, and the truth beside them as `<level>_truth.npz`.

    The truth holds `vector_id` (n,) and `story` (n,) int32, -1 for none, in the file's order. The
    documents that events, entities and storylines name are the level `documents` with
    `n // ITEMS_PER_DOCUMENT` items and the same seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, n])
    story = stories(n, rng)
    copies = np.flatnonzero(rng.random(n) < _COPIES)
    copies = copies[copies % _ROWS > 0]
    story[copies] = story[copies - 1]
    sources = [source_id(level, row, seed) for row in range(n)]
    names = [LEVELS[level].vector_prefix + source for source in sources]
    np.savez(folder / f"{level}_truth.npz", vector_id=np.array(names), story=story)
    _write_index(folder / LEVELS[level].pair[0], story, copies, level_spectrum(level), seed)
    with (folder / LEVELS[level].pair[1]).open("w", encoding="utf-8") as file:
        _write_metadata(file, level, names, sources, story, seed)


def stories(n: int, rng: np.random.Generator) -> I32:
    """Draw each item's story: sizes fall as 1, 1/2, 1/3, ..., and no story has a single item."""
    weights = 1 / np.arange(1, max(n // ITEMS_PER_STORY, 1) + 1)
    sizes = np.maximum(weights / weights.sum() * n * (1 - _NOISE), 2).astype(int)
    story = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[:n]
    story = np.concatenate([story, np.full(n - len(story), -1, dtype=np.int32)])
    rng.shuffle(story)
    return story


def source_id(level: str, row: int, seed: int) -> str:
    """Name an item; an odd factor permutes the documents' numbers, so ids are in disorder."""
    document, part = (row, 0) if level == "documents" else divmod(row, ITEMS_PER_DOCUMENT)
    name = f"doc_{(document * 2_654_435_761 + seed) % (1 << 32):08x}"
    return name if level == "documents" else f"{name}_{LEVELS[level].cluster_type}_{part}"


# Vectors


def level_spectrum(level: str) -> Spectrum:
    """Take the level's spectrum from the real collections, else from a power law."""
    found = [folder for folder in DATA.glob("*") if (folder / f"{level}.index").is_file()]
    if not found:
        rng = np.random.default_rng(0)
        sources = rng.normal(size=(8192, DIMENSION)) * np.arange(1, DIMENSION + 1) ** -0.35
        decay = np.diag(np.arange(1, DIMENSION + 1) ** -0.4)
        return Spectrum(_unit(sources), _scaled(decay))
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


def _unit(rows: npt.NDArray[Any]) -> F32:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def _write_index(
    path: Path,
    story: I32,
    copies: I64,
    spectrum: Spectrum,
    seed: int,
) -> None:
    """Write an `IndexFlatIP`, whose header is 45 bytes, a block of vectors at a time."""
    n = len(story)
    with path.open("wb") as file:
        unused = 1 << 20
        file.write(struct.pack("<4siqqq?i", b"IxFI", DIMENSION, n, unused, unused, True, 0))
        file.write(struct.pack("<Q", n * DIMENSION))
        for start in range(0, n, _ROWS):
            block = _block(start, story[start : start + _ROWS], spectrum, seed)
            here = copies[(copies >= start) & (copies < start + _ROWS)] - start
            for row in here:  # in order: a copy of a copy is one, too
                block[row] = block[row - 1]
            file.write(block.astype("<f4").tobytes())


def _block(start: int, story: I32, spectrum: Spectrum, seed: int) -> F32:
    """Make the vectors of some rows: (len(story), 768)."""
    # An item without a story has a centre of its own, numbered below -1.
    numbers = np.where(story >= 0, story, -2 - start - np.arange(len(story)))
    centres, at = np.unique(numbers, return_inverse=True)
    mixed = np.stack([centre(int(number), spectrum, seed) for number in centres])
    rng = np.random.default_rng([seed, 1, start])
    scattered = rng.standard_normal((len(story), len(spectrum.scatter)), dtype=np.float32)
    within = np.float32(np.sqrt(_WITHIN)) * (scattered @ spectrum.scatter)
    return _unit(np.float32(np.sqrt(1 - _WITHIN)) * mixed[at] + within)


def centre(number: int, spectrum: Spectrum, seed: int) -> F32:
    """Mix a centre from two real vectors and some scatter: as far apart as real stories are."""
    rng = np.random.default_rng([seed, 2, number % (1 << 32)])
    one, other = spectrum.sources[rng.integers(len(spectrum.sources), size=2)]
    scatter = rng.standard_normal(64, dtype=np.float32) @ spectrum.scatter[:64]
    mixed = _unit((0.75 * one + 0.35 * other + 0.5 * scatter)[None])
    return np.asarray(mixed[0])


# Metadata


def _write_metadata(
    file: TextIO,
    level: str,
    names: list[str],
    sources: list[str],
    story: I32,
    seed: int,
) -> None:
    """Write the three objects as Python's `json` does, an entry at a time."""
    kind = LEVELS[level].cluster_type
    file.write('{"metadata_store": {')
    for row, metadata in enumerate(metadata_of(level, sources, story, seed)):
        entry = {"source_id": sources[row], "embedding_type": kind, "metadata": metadata}
        file.write(f"{', ' if row else ''}{json.dumps(names[row])}: {json.dumps(entry)}")
    file.write('}, "id_map": {')
    file.write(", ".join(f'"{name}": {row}' for row, name in enumerate(names)))
    file.write('}, "reverse_id_map": {')
    file.write(", ".join(f'"{row}": "{name}"' for row, name in enumerate(names)))
    file.write("}}")


def metadata_of(level: str, sources: list[str], story: I32, seed: int) -> Iterator[Json]:
    words = vocabulary(np.random.default_rng([seed, 3]))
    make = _MAKERS[level]
    for start in range(0, len(sources), _ROWS):
        rng = np.random.default_rng([seed, 4, start])
        for offset, source in enumerate(sources[start : start + _ROWS]):
            number = int(story[start + offset])
            of_story = number if number >= 0 else int(rng.integers(1 << 31))
            yield make(source, Writer(of_story, words, rng))


def vocabulary(rng: np.random.Generator) -> list[str]:
    """Invent 30,000 words, the frequent ones short."""
    syllables = _SYLLABLES.split()
    lengths = {2: 600, 3: 8_000, 4: 40_000}
    drawn = [rng.integers(len(syllables), size=(n, length)) for length, n in lengths.items()]
    words = ("".join(syllables[s] for s in word) for draw in drawn for word in draw.tolist())
    return list(dict.fromkeys(words))[:30_000]


class Writer:
    """Words of one item: some are its story's, some everybody's."""

    def __init__(self, story: int, words: list[str], rng: np.random.Generator) -> None:
        self.story = story
        self.rng = rng
        self._words = words
        # Zipf's law again, by the inverse of its distribution; the story's own 40 words first.
        ranks = (len(words) ** rng.random(160) - 1).astype(int).tolist()
        self._draws: Iterator[int] = iter(ranks)
        self._of_story: Iterator[int] = iter((rng.random(160) ** 2 * 40).astype(int).tolist())

    def own(self) -> str:
        """One of the words that tell of the story."""
        return self._words[(self.story * 7_919 + next(self._of_story) * 613) % len(self._words)]

    def name(self) -> str:
        """One of the story's people, places and organisations."""
        return f"{self.own().title()} {self.own().title()}"

    def text(self, words: int) -> str:
        """Write a sentence; every third word is the story's, the rest is anybody's."""
        chosen = [
            self.own() if w % 3 == 0 else self._words[next(self._draws)] for w in range(words)
        ]
        return f"{' '.join(chosen).capitalize()}."

    def time(self) -> str | None:
        """Date an item within days of its story; one in ten has no date."""
        if self.rng.random() < 0.1:
            return None
        minute = self.story * 104_729 % _MINUTES_IN_TWO_YEARS + self.rng.exponential(3_000)
        return f"{datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=int(minute)):%FT%TZ}"

    def among(self, names: list[str]) -> str:
        """Choose by the story."""
        return names[self.story % len(names)]


_DOMAINS = list(DOMAINS.values())
EVENT_TYPES = (
    "contact_meet conflict_attack movement_transport transaction_transfer personnel_elect "
    "justice_arrest policy_change economic_indicator natural_disaster protest legislation"
)


def _document(source: str, writer: Writer) -> Json:
    return {
        "title": writer.text(10),
        "publication_date": writer.time(),
        "word_count": int(writer.rng.integers(80, 1500)),
        "entity_count": int(writer.rng.integers(3, 40)),
        "event_count": int(writer.rng.integers(2, 20)),
        "source_url": f"https://news.example.org/{source}",
        "categories": [writer.among(_DOMAINS)],
        "tags": [writer.own() for _ in range(4)],
        "lead": f'"{writer.text(20)}" {writer.text(40)}',
    }


def _event(source: str, writer: Writer) -> Json:
    trigger = writer.own()
    return {
        "document_id": source.rpartition("_event_")[0],
        "event_description": f"{trigger}: {writer.text(16)}",
        "trigger": trigger,
        "event_type": writer.among(EVENT_TYPES.split()),
        "domain": writer.among(_DOMAINS),
        "sentiment": writer.among(["neutral", "positive", "negative"]),
        "confidence": round(float(writer.rng.random()), 4),
        "temporal_reference": writer.time(),
        "argument_count": 2,
        "primary_entities": [writer.name() for _ in range(4)],
        "arguments": [
            {"role": role, "text": writer.name(), "span": [3, 17]} for role in ("agent", "place")
        ],
        "sentence": f'{writer.text(15)} "{writer.text(15)}"',
    }


def _entity(source: str, writer: Writer) -> Json:
    return {
        "document_id": source.rpartition("_entity_")[0],
        "entity_type": writer.among(["PER", "ORG", "LOC", "GPE"]),
        "entity_text": writer.name(),
        "context": f"{writer.text(30)} {writer.text(30)}",
        "publication_date": writer.time(),
    }


def _storyline(source: str, writer: Writer) -> Json:
    first = writer.time()
    document = source.rpartition("_storyline_")[0]
    return {
        "storyline_id": source,
        "document_id": document,
        "event_ids": [f"{document}_event_{number}" for number in range(6)],
        "event_count": 6,
        "primary_entities": [writer.name() for _ in range(4)],
        "temporal_span": [first, first] if first else None,
        "temporal_span_days": 0 if first else None,
        "domain": writer.among(_DOMAINS),
        "storyline_summary": f"{writer.text(30)} {writer.text(30)}",
    }


_MAKERS: dict[str, Callable[[str, Writer], Json]] = {
    "documents": _document,
    "events": _event,
    "entities": _entity,
    "storylines": _storyline,
}


def main() -> None:
    """Write a folder from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--level", choices=LEVELS, default="events")
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_scale_folder(arguments.folder, arguments.level, arguments.n, arguments.seed)
    for path in sorted(arguments.folder.glob(f"{arguments.level}*")):
        print(f"{path.stat().st_size:>14,} bytes  {path}")


if __name__ == "__main__":
    main()
