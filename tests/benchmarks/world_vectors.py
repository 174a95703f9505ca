"""Vectors of a world's items: what they share with others, direction by direction.

A vector is a sum of directions that stand for its story, document, sentence, chain, words and so
on, and of scatter of its own. Squared lengths are the cosines that two items get from what they
share. They were chosen so that cosines come near those of ecbplus, where they are .66 for events of
one chain, .52 for others of one document, .41 of one story, .17 of two, and so that the nearest of
an event with companions is one of them about as often as there (.78).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from tests.benchmarks.hashed import mixed, normal
from tests.benchmarks.spectrum import DIMENSION, Spectrum, level_spectrum, unit
from tests.benchmarks.world import STORIES_PER_FAMILY, LevelItems, World
from tests.benchmarks.world_metadata import words_of

ROWS = 8192
_SCATTERED = 64  # the widest directions, which tell one mixture from another
_DIGEST_STORIES = 4


@dataclass(frozen=True)
class Shares:
    """Squared length of each direction; `everything` is in all vectors."""

    everything: float
    family: float
    story: float
    aspect: float
    document: float
    sentence: float
    chain: float
    words: float
    scatter: float


SHARES = {
    "documents": Shares(0.08, 0.12, 0.30, 0.12, 0.18, 0, 0, 0, 0.20),
    "events": Shares(0.12, 0.05, 0.15, 0.05, 0.03, 0.22, 0.12, 0.24, 0.06),
    "entities": Shares(0.10, 0.05, 0.14, 0.05, 0.03, 0.20, 0.12, 0.26, 0.06),
    "storylines": Shares(0.08, 0.12, 0.28, 0.12, 0.13, 0, 0, 0, 0.27),
}


@dataclass(frozen=True)
class Directions:
    """Unit directions by number, without what all have in common.

    Attributes:
        spectrum: whose sources are centred.
        mean: (768,) of the sources, unit.
    """

    spectrum: Spectrum
    mean: F32

    def of(self, ids: I64, salt: int) -> F32:
        """Directions of some numbers: (m, 768) unit rows, each a mixture of three real vectors."""
        each, at = np.unique(ids, return_inverse=True)
        sources, scatter = self.spectrum.sources, self.spectrum.scatter[:_SCATTERED]
        numbers = mixed(each, salt).view(np.int64)[:, None] + np.arange(_SCATTERED)
        rows = np.float32(0.5) * (normal(numbers, salt).astype(np.float32) @ scatter)
        for number, weight in enumerate((0.6, 0.5, 0.4)):
            chosen = mixed(each, salt + 1 + number) % np.uint64(len(sources))
            rows += np.float32(weight) * sources[chosen.astype(np.int64)]
        return np.asarray(unit(rows)[at])


def directions(level: str) -> Directions:
    """Read the directions of a level."""
    spectrum = level_spectrum(level)
    mean = spectrum.sources.mean(axis=0)
    centred = replace(spectrum, sources=unit(spectrum.sources - mean))
    return Directions(centred, unit(mean[None])[0])


def vectors_of(world: World, level: str, items: LevelItems) -> Iterator[F32]:
    """Make the items' unit vectors, a block at a time."""
    of_stories, own = directions("documents"), directions(level)
    last = np.zeros(DIMENSION, dtype=np.float32)
    for start in range(0, len(items.part), ROWS):
        block = _block(world, level, items, slice(start, start + ROWS), of_stories, own)
        for row in np.flatnonzero(items.copied[start : start + ROWS]):
            block[row] = block[row - 1] if row else last
        last = block[-1].copy()
        yield block


def _block(
    world: World,
    level: str,
    items: LevelItems,
    rows: slice,
    of_stories: Directions,
    own: Directions,
) -> F32:
    shares, document, story = SHARES[level], items.document[rows], items.story[rows]
    rng = np.random.default_rng([world.settings.seed, 13, rows.start])
    count = len(story)
    # Some stories are tighter than others, some items nearer to what they are about.
    tight = np.exp(0.2 * normal(story, 42))
    loose = np.exp(0.3 * rng.standard_normal(count))
    families = np.uint64(world.story_count // STORIES_PER_FAMILY + 1)
    total = np.tile(np.sqrt(np.float32(shares.everything)) * of_stories.mean, (count, 1))

    def add(share: float, vectors: F32, scale: F64 | float = 1.0) -> None:
        length = np.broadcast_to(np.sqrt(share) * np.asarray(scale), count)
        total[:] += length.astype(np.float32)[:, None] * vectors

    seed = 1000 * (world.settings.seed + 1)
    add(shares.family, of_stories.of((mixed(story, 41) % families).astype(np.int64), seed + 10))
    add(shares.story, _about(world, level, document, story, of_stories, seed + 20), tight)
    add(shares.aspect, of_stories.of(story * 64 + world.aspect[document], seed + 30), tight)
    add(shares.document, own.of(document.astype(np.int64), seed + 40), loose)
    if shares.sentence:
        add(shares.sentence, own.of(items.sentence[rows], seed + 50), loose)
        add(shares.chain, own.of(items.chain[rows], seed + 60))
        add(shares.words, _named(words_of(level, items, rows), own, seed + 70))
    scattered = rng.standard_normal((count, len(own.spectrum.scatter)), dtype=np.float32)
    add(shares.scatter, scattered @ own.spectrum.scatter, loose)
    return unit(total)


def _named(words: tuple[I32, I32], own: Directions, salt: int) -> F32:
    """Direction of what names items: of both words, the first one's more."""
    one, other = (own.of(each.astype(np.int64), salt) for each in words)
    second = np.float32(0.7) * (words[1] >= 0)
    return unit(one + second.astype(np.float32)[:, None] * other)


def _about(
    world: World, level: str, document: I32, story: I64, of_stories: Directions, salt: int
) -> F32:
    """Direction of what an item tells: of its story, for a document also of others."""
    if level != "documents":
        return of_stories.of(story, salt)
    told = world.stories[document].astype(np.int64)
    told = np.column_stack([told, np.full((len(told), _DIGEST_STORIES - 3), -1)])
    digests = np.flatnonzero(world.digest[document])
    for place in range(_DIGEST_STORIES):
        part = np.full(len(digests), place)
        told[digests, place] = world.stories_of_days(document[digests], part)
    weights = np.array([1, 0.45, 0.3, 0], dtype=np.float32)
    of_digest = np.array([1, 0.8, 0.6, 0.5], dtype=np.float32)
    total = np.zeros((len(story), DIMENSION), dtype=np.float32)
    for place in range(_DIGEST_STORIES):
        weight = np.where(world.digest[document], of_digest[place], weights[place])
        weight = weight * (told[:, place] >= 0)
        total += weight.astype(np.float32)[:, None] * of_stories.of(told[:, place], salt)
    return unit(total)
