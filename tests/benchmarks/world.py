"""A made-up stretch of news: which document is about which stories, which item is of which event.

Every level is drawn from the same documents, so that levels agree with each other. Nothing here has
vectors or words: `world_vectors` and `world_metadata` make them from the numbers.

| what | how |
|---|---|
| stories | of sizes 1/(10 + rank), two documents at least, twelve on average |
| lone documents | a fifth: each is the only one of its story |
| documents of a story | three in ten mention one or two other stories of the days before |
| digests | a tenth: each item is of another story of the days before; of no story itself |
| events, entities | chains inside a story, of Zipf's sizes; some items are alone in theirs |
| storylines | the stories of a document, one each, then threads that only this document has |
| copies | one item in fifty has the vector and the words of the one before |
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F64, I32, I64
from tests.benchmarks.hashed import mixed

Bools = npt.NDArray[np.bool_]
Dates = Literal["story", "random", "none"]

# Of what is generated, here and in `world_vectors` and `world_metadata`: figures of different
# versions do not stand in one table.
GENERATOR = 2
ITEMS_PER_DOCUMENT = {"documents": 1, "events": 10, "entities": 20, "storylines": 2}
DAYS = 730  # at most
_DOCUMENTS_PER_DAY = 20  # at least
DOCUMENTS_PER_STORY = 12
STORIES_PER_FAMILY = 4  # whose vectors are more alike
DAYS_PER_ASPECT = 2.0
_SPREAD = {"events": (5, 15), "entities": (12, 28), "storylines": (1, 3)}  # of items a document
_LONE_DOCUMENTS = 0.2
_HEAD = 10  # flattens the head of Zipf's law: the largest story has two documents in a hundred
_OTHER_STORIES = (0.22, 0.08)  # shares of the documents with one, with two other stories
_MAIN = 0.75  # share of a document's items that are of its main story
_SAME_DAYS = 200  # documents published just before
_STEP = 77  # has no divisor in common with them
_COPIES = 0.02
_LONE_ITEMS = {"events": 0.15, "entities": 0.12}
_EVERYWHERE = 0.08  # share of the entities that many stories name
_LATER_IN_SENTENCE = 0.6
_LONE_CHAIN, _GLOBAL_CHAIN = 1 << 61, 1 << 60
CHAINS = 1 << 20  # more than any story has


@dataclass(frozen=True)
class WorldSettings:
    """What a world is made from.

    Attributes:
        documents: their number.
        seed: of everything.
        digests: share of the documents that report one item of each of many stories.
        dates: `story`: documents are published in their story's days; `random`: the same days,
            given to documents at random; `none`.
        shuffle_documents: whether the items' document ids are dealt out at random.
    """

    documents: int
    seed: int = 0
    digests: float = 0.1
    dates: Dates = "story"
    shuffle_documents: bool = False


@dataclass(frozen=True)
class World:
    """The documents.

    Attributes:
        settings: it was made from.
        story_count: stories that several documents are about; they have the numbers from 0. A lone
            document or digest d is alone in story `story_count + d`.
        stories: (D, 3) int32 main and other stories, -1 for none.
        digest: (D,) whether it is one.
        copied: (D,) whether it is the same as the document before.
        begin: (story_count + D,) days since the first, when each story began.
        time: (D,) days since the first, when it was published.
        aspect: (D,) int32 how far its story had come.
        sizes: (story_count,) documents whose subject it is.
        by_time: (m,) int32 documents with a story as their subject, in the order of their time.
        subject: (D,) int32 main story, for a digest the story that it was published among.
    """

    settings: WorldSettings
    story_count: int
    stories: I32
    digest: Bools
    copied: Bools
    begin: F64
    time: F64
    aspect: I32
    sizes: I64
    by_time: I32
    subject: I32

    def stories_of_days(self, documents: I32, number: I64) -> I32:
        """Story that a document published shortly before is about: (m,), by a number for each."""
        if not len(self.by_time):
            return np.asarray(self.subject[documents])
        at = np.searchsorted(self.time[self.by_time], self.time[documents])
        first = mixed(documents, 1).view(np.int64)
        # documents before it, each of them once; at the beginning of the world, after it
        near = np.abs(at - 1 - (first + number * _STEP) % _SAME_DAYS)
        near = np.minimum(near, len(self.by_time) - 1)
        return np.asarray(self.subject[self.by_time[near]])

    def own_story(self, story: I64) -> Bools:
        """Whether several documents are about a story."""
        return story < self.story_count


@dataclass(frozen=True)
class LevelItems:
    """The items of a level, document by document.

    Attributes:
        document: (n,) int32 that it belongs to.
        part: (n,) int32 its place among the document's items.
        story: (n,) int64 that it is of.
        chain: (n,) int64 gold: items that are the same thing.
        sentence: (n,) int64 that it stands in.
        wording: (n,) int32 which of the names of its chain is used, from 0.
        copied: (n,) whether it is the same as the item before.
    """

    document: I32
    part: I32
    story: I64
    chain: I64
    sentence: I64
    wording: I32
    copied: Bools

    def clusters(self) -> I32:
        """Gold cluster of each item: (n,), from 0 on, -1 for an item alone."""
        at, sizes = np.unique(self.chain, return_inverse=True, return_counts=True)[1:]
        numbers = np.cumsum(sizes > 1) - 1
        return np.where((sizes > 1)[at], numbers[at], -1).astype(np.int32)


def make_world(settings: WorldSettings) -> World:
    """Draw the documents."""
    count = settings.documents
    rng = np.random.default_rng([settings.seed, count, 11])
    digest = rng.random(count) < settings.digests
    # a digest takes the place of a document of its days: its story is told all the same
    of_story = rng.permutation(count)[round(_LONE_DOCUMENTS * count) :]
    sizes = story_sizes(len(of_story))
    subject = np.arange(len(sizes), len(sizes) + count, dtype=np.int32)
    subject[of_story] = np.repeat(np.arange(len(sizes)), sizes)
    begin = rng.random(len(sizes) + count) * min(count / _DOCUMENTS_PER_DAY, DAYS)
    lasts = np.append(0.5 + 0.35 * np.sqrt(sizes), np.full(count, 1e-3))
    later = rng.exponential(size=count) * lasts[subject]
    time, aspect = begin[subject] + later, (later / DAYS_PER_ASPECT).astype(np.int32)
    by_time = of_story[np.argsort(time[of_story], kind="stable")].astype(np.int32)
    world = World(
        settings=settings,
        story_count=len(sizes),
        stories=np.full((count, 3), -1, dtype=np.int32),
        digest=digest,
        copied=np.zeros(count, dtype=bool),
        begin=begin,
        time=time,
        aspect=np.where(digest, 0, aspect).astype(np.int32),
        sizes=sizes,
        by_time=by_time,
        subject=subject,
    )
    world.stories[:, 0] = np.where(digest, len(sizes) + np.arange(count), subject)
    drawn = np.where(digest | (subject >= len(sizes)), 1.0, rng.random(count))
    for column, share in ((1, sum(_OTHER_STORIES)), (2, _OTHER_STORIES[1])):
        rows = np.flatnonzero(drawn < share).astype(np.int32)
        world.stories[rows, column] = world.stories_of_days(rows, np.full(len(rows), -column))
    _copy_documents(world, rng)
    return world


def _copy_documents(world: World, rng: np.random.Generator) -> None:
    """Make some lone documents the same as the one before, in all but their day.

    Only lone ones, so that no story loses a document; only once, so that none is a copy's copy.
    """
    drawn = rng.random(len(world.time)) < _COPIES / _LONE_DOCUMENTS
    drawn &= (world.stories[:, 0] >= world.story_count) & ~world.digest
    rows = np.flatnonzero(drawn[1:] & ~drawn[:-1] & ~world.digest[:-1]) + 1
    for array in (world.stories, world.aspect):
        array[rows] = array[rows - 1]
    world.copied[rows] = True


def story_sizes(documents: int) -> I64:
    """Documents of each story: they add up, and are two at least (none for a single document)."""
    if documents < 2:
        return np.full(documents, 1, dtype=np.int64)
    count = max(documents // DOCUMENTS_PER_STORY, 1)
    weights = 1 / (_HEAD + np.arange(count))
    free = documents - 2 * count
    sizes: I64 = 2 + (weights / weights.sum() * free).astype(np.int64)
    sizes[: documents - int(sizes.sum())] += 1
    return sizes


def make_items(world: World, level: str, n: int) -> LevelItems:
    """Draw the items of a level.

    Args:
        world: with `n // ITEMS_PER_DOCUMENT[level]` documents.
        level: by its name.
        n: items.
    """
    number = list(ITEMS_PER_DOCUMENT).index(level)
    rng = np.random.default_rng([world.settings.seed, n, 12, number])
    counts = item_counts(len(world.time), level, n, rng)
    document = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    part = (np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
    story = _stories(world, level, document, part, rng)
    chain = story if level in ("documents", "storylines") else _chains(world, level, story, rng)
    begins = (part == 0) | (rng.random(n) >= _LATER_IN_SENTENCE)
    sentence = np.cumsum(begins).astype(np.int64)
    wording = (rng.random(n) ** 2 * 4).astype(np.int32)
    copied = world.copied[document] if level == "documents" else rng.random(n) < _COPIES
    copied &= (part > 0) | (level == "documents")
    items = LevelItems(document, part, story, chain, sentence, wording, copied)
    if level != "documents":
        _copy_items(items)
    return items


def _copy_items(items: LevelItems) -> None:
    for row in np.flatnonzero(items.copied):  # in order: a copy of a copy is one, too
        for array in (items.story, items.chain, items.sentence, items.wording):
            array[row] = array[row - 1]


def item_counts(documents: int, level: str, n: int, rng: np.random.Generator) -> I64:
    """Items of each document: (documents,), n in all."""
    if level == "documents":
        return np.full(documents, 1, dtype=np.int64)
    low, high = _SPREAD[level]
    counts: I64 = rng.integers(low, high + 1, documents)
    while (lacking := n - int(counts.sum())) != 0:
        changed = rng.permutation(documents)[: abs(lacking)]
        counts[changed] = np.maximum(counts[changed] + np.sign(lacking), 1)
    return counts


def _stories(world: World, level: str, document: I32, part: I32, rng: np.random.Generator) -> I64:
    """Story of each item: (n,)."""
    own = world.stories[document]
    column = part.astype(np.int64)
    if level in ("events", "entities"):
        column = np.where(rng.random(len(part)) < _MAIN, 0, 1 + (rng.random(len(part)) < 0.5))
        column = np.where(own[np.arange(len(part)), column] >= 0, column, 0)
    chosen = own[np.arange(len(part)), np.minimum(column, 2)].astype(np.int64)
    exhausted = (column > 2) | (chosen < 0)
    alone = world.story_count + len(world.time) + np.arange(len(part))
    again = rng.random(len(part)) < 0.5
    story = np.where(exhausted, np.where(again, own[:, 0], alone), chosen)
    if level != "documents":
        rows = np.flatnonzero(world.digest[document])
        story[rows] = world.stories_of_days(document[rows], part[rows].astype(np.int64))
    return story


def _chains(world: World, level: str, story: I64, rng: np.random.Generator) -> I64:
    """Event or entity of each item: (n,). A story's first is its largest."""
    documents = np.where(world.own_story(story), _taken(world.sizes, story), 1)
    several = 4 + documents if level == "events" else 10 + 2 * documents
    rank = ((several + 1.0) ** rng.random(len(story))).astype(np.int64) - 1
    chain = story * CHAINS + rank
    kind = rng.random(len(story))
    lone = kind < _LONE_ITEMS[level]
    chain[lone] = _LONE_CHAIN + np.flatnonzero(lone)
    if level == "entities":
        everywhere = kind > 1 - _EVERYWHERE
        known = 20.0 + world.story_count // 2
        ranks = (known ** rng.random(int(everywhere.sum()))).astype(np.int64)
        chain[everywhere] = _GLOBAL_CHAIN + ranks
    return chain


def _taken(sizes: I64, story: I64) -> I64:
    padded = np.append(sizes, 0)
    return np.asarray(padded[np.minimum(story, len(sizes))])
