"""Items whose documents say nothing about their stories: the generator of versions before 2.

Stories have Zipf's sizes, a fifth of the items belong to none, and one in fifty is a copy of its
neighbour's vector. The items of a document belong to stories drawn at random: evidence from
documents is wrong here (`python -m tests.benchmarks.scale FOLDER --documents independent`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.settings.levels import DOMAINS, LEVELS
from tests.benchmarks.invented_words import Writer, vocabulary
from tests.benchmarks.spectrum import Spectrum, level_spectrum, unit
from tests.benchmarks.stage3_stream import write_pair

ITEMS_PER_STORY = 50
ITEMS_PER_DOCUMENT = 10
_ROWS = 8192
_NOISE = 0.2  # share of items that belong to no story
_COPIES = 0.02  # share of items with the vector of the one before
_WITHIN = 0.3  # squared distance of an item from its story's centre; real news: .29 to .39

Json = dict[str, Any]


def write_independent(folder: Path, level: str, n: int, seed: int = 0) -> None:
    """Write a level's pair of files, and the truth beside them as `<level>_truth.npz`.

    The truth holds `vector_id` (n,) and `cluster` (n,) int32, the story of each item, -1 for none,
    in the file's order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, n])
    story = stories(n, rng)
    copies = np.flatnonzero(rng.random(n) < _COPIES)
    copies = copies[copies % _ROWS > 0]
    story[copies] = story[copies - 1]
    sources = [source_id(level, row, seed) for row in range(n)]
    names = [LEVELS[level].vector_prefix + source for source in sources]
    np.savez(folder / f"{level}_truth.npz", vector_id=np.array(names), cluster=story)
    vectors = _blocks(story, copies, level_spectrum(level), seed)
    write_pair(folder, level, sources, vectors, metadata_of(level, sources, story, seed))


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


def _blocks(story: I32, copies: I64, spectrum: Spectrum, seed: int) -> Iterator[F32]:
    """Make all vectors, a block at a time."""
    for start in range(0, len(story), _ROWS):
        block = _block(start, story[start : start + _ROWS], spectrum, seed)
        here = copies[(copies >= start) & (copies < start + _ROWS)] - start
        for row in here:  # in order: a copy of a copy is one, too
            block[row] = block[row - 1]
        yield block


def _block(start: int, story: I32, spectrum: Spectrum, seed: int) -> F32:
    """Make the vectors of some rows: (len(story), 768)."""
    # An item without a story has a centre of its own, numbered below -1.
    numbers = np.where(story >= 0, story, -2 - start - np.arange(len(story)))
    centres, at = np.unique(numbers, return_inverse=True)
    mixed = np.stack([centre(int(number), spectrum, seed) for number in centres])
    rng = np.random.default_rng([seed, 1, start])
    scattered = rng.standard_normal((len(story), len(spectrum.scatter)), dtype=np.float32)
    within = np.float32(np.sqrt(_WITHIN)) * (scattered @ spectrum.scatter)
    return unit(np.float32(np.sqrt(1 - _WITHIN)) * mixed[at] + within)


def centre(number: int, spectrum: Spectrum, seed: int) -> F32:
    """Mix a centre from two real vectors and some scatter: as far apart as real stories are."""
    rng = np.random.default_rng([seed, 2, number % (1 << 32)])
    one, other = spectrum.sources[rng.integers(len(spectrum.sources), size=2)]
    scatter = rng.standard_normal(64, dtype=np.float32) @ spectrum.scatter[:64]
    mixed = unit((0.75 * one + 0.35 * other + 0.5 * scatter)[None])
    return np.asarray(mixed[0])


# Metadata


def metadata_of(level: str, sources: list[str], story: I32, seed: int) -> Iterator[Json]:
    words = vocabulary(np.random.default_rng([seed, 3]))
    make = _MAKERS[level]
    for start in range(0, len(sources), _ROWS):
        rng = np.random.default_rng([seed, 4, start])
        for offset, source in enumerate(sources[start : start + _ROWS]):
            number = int(story[start + offset])
            of_story = number if number >= 0 else int(rng.integers(1 << 31))
            yield make(source, Writer(of_story, words, rng))


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
