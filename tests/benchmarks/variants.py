"""Collections of other shapes made from the real ones: thinned, halved, mixed, mostly singletons.

One setting has to hold on all of them, so every default is looked at here, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from clustering_tasks.arrays import I64
from tests.benchmarks.collection import Collection, Items, joined

# Shares of the stories of which one item is kept.
FRACTIONS = (0.3, 0.5, 0.7, 0.9)
THINNED_DRAWS = 20


@dataclass(frozen=True)
class Variant:
    """A level of a collection that was changed.

    Attributes:
        group: variants that differ by their seed only are averaged.
        seed: of the draw, None where nothing was drawn.
        level: that is clustered.
        collection: as it is now.
    """

    group: str
    seed: int | None
    level: str
    collection: Collection

    @property
    def name(self) -> str:
        """The group and the seed."""
        return self.group if self.seed is None else f"{self.group}, seed {self.seed}"


@dataclass(frozen=True)
class Thinned:
    """A level of a collection of which a share of the stories has lost all items but one.

    Attributes:
        name: collection and level, as `ecbplus events`.
        level: that is clustered.
        fraction: of the stories with companions.
        seed: of the draw.
        collection: what is left, the other levels too (`write_collection` makes a folder of it).
    """

    name: str
    level: str
    fraction: float
    seed: int
    collection: Collection

    @property
    def items(self) -> Items:
        """The level's vectors, metadata and gold."""
        return self.collection.levels[self.level]


Draw = Callable[[list[str], np.random.Generator], I64]


def variants(base: dict[str, Collection]) -> Iterator[Variant]:
    """Make the variants of the three real collections."""
    ecb, headlines, wikinews = base["ecbplus"], base["headlines"], base["wikinews"]
    three = joined("all three", [ecb, wikinews, headlines])
    for collection in (ecb, headlines, wikinews, joined("ecbplus + wikinews", [ecb, wikinews])):
        yield Variant(collection.name, None, "documents", collection)
    yield Variant("all three", None, "documents", three)
    yield Variant("ecbplus storylines", None, "storylines", ecb)
    thirds = ("at most 3 a story", "12 stories", "half", "mostly singletons")
    yield from _drawn("ecbplus", ecb, "documents", thirds, 3)
    large = ("at most 12 a story", "at most 4 a story", "half")
    yield from _drawn("headlines", headlines, "documents", large, 2)
    yield from _drawn("wikinews", wikinews, "documents", ("half", "mostly singletons"), 2)
    yield from _drawn("all three", three, "documents", ("mostly singletons",), 2)
    fourths = ("at most 4 a story", "12 stories", "half", "mostly singletons")
    yield from _drawn("ecbplus storylines", ecb, "storylines", fourths, 2)
    yield from _drawn("ecbplus", ecb, "documents", _ONE, 3)
    yield from _drawn("ecbplus storylines", ecb, "storylines", _ONE, 3)
    yield from _drawn("headlines", headlines, "documents", _ONE, 3)
    for name, collection in (("ecbplus", ecb), ("headlines", headlines), ("wikinews", wikinews)):
        yield from _drawn(name, collection, "documents", _SMALL, 8)
    yield from _drawn("ecbplus storylines", ecb, "storylines", _SMALL, 8)
    for name, collection in (("ecbplus", ecb), ("headlines", headlines), ("wikinews", wikinews)):
        yield from _drawn(name, collection, "documents", _SMALL_AND_LONE, 8)
    yield from _drawn("ecbplus storylines", ecb, "storylines", _SMALL_AND_LONE, 8)


def _drawn(
    name: str, collection: Collection, level: str, draws: Iterable[str], seeds: int
) -> Iterator[Variant]:
    for title in draws:
        for seed in range(seeds):
            rows = DRAWS[title](collection.levels[level].gold, np.random.default_rng(seed))
            yield Variant(f"{name}, {title}", seed, level, collection.with_rows(level, rows))


def thinned(
    base: Mapping[str, Collection],
    fractions: Iterable[float] = FRACTIONS,
    draws: int = THINNED_DRAWS,
    names: Iterable[str] | None = None,
) -> Iterator[Thinned]:
    """Thin every level of the collections, one draw after the other.

    Args:
        base: collections by name.
        fractions: of the stories with companions that are thinned to one item.
        draws: of each level and fraction, with the seeds from 0.
        names: collections and levels, as `ecbplus events`; None for all.

    Raises:
        ValueError: a name is that of no collection and level.
    """
    all_levels = {f"{c.name} {level}": (c, level) for c in base.values() for level in c.levels}
    chosen = list(all_levels) if names is None else list(names)
    if unknown := set(chosen) - set(all_levels):
        raise ValueError(f"no {', '.join(sorted(unknown))}: there are {', '.join(all_levels)}")
    for name in (name for name in all_levels if name in chosen):
        collection, level = all_levels[name]
        for fraction, seed in product(fractions, range(draws)):
            gold = collection.levels[level].gold
            rows = to_one(fraction)(gold, np.random.default_rng(seed))
            yield Thinned(name, level, fraction, seed, collection.with_rows(level, rows))


def to_one(fraction: float) -> Draw:
    """Keep one item of a share of the stories that have several, and all of the others."""

    def draw(gold: list[str], rng: np.random.Generator) -> I64:
        stories = _stories(gold)
        several = [number for number, rows in enumerate(stories) if len(rows) > 1]
        for number in rng.choice(several, round(fraction * len(several)), replace=False):
            stories[number] = rng.choice(stories[number], 1)
        return np.sort(np.concatenate(stories))

    return draw


def at_most(sizes: tuple[int, ...]) -> Draw:
    """Cut every story to one of these sizes, drawn for it alone."""

    def draw(gold: list[str], rng: np.random.Generator) -> I64:
        kept = []
        for rows in _stories(gold):
            most = int(rng.choice(sizes))
            kept.append(rng.choice(rows, min(most, len(rows)), replace=False))
        return np.sort(np.concatenate(kept))

    return draw


def of_stories(count: int) -> Draw:
    """Keep some stories, whole."""

    def draw(gold: list[str], rng: np.random.Generator) -> I64:
        stories = _stories(gold)
        chosen = rng.choice(len(stories), count, replace=False)
        return np.sort(np.concatenate([stories[story] for story in chosen]))

    return draw


def of_small(count: int, lone: float = 0) -> Draw:
    """Keep some stories of 5 to 40 items, as a first folder may have, and lone items of others.

    Args:
        count: of the stories.
        lone: items that stand alone, as a share of those of the stories.
    """

    def draw(gold: list[str], rng: np.random.Generator) -> I64:
        stories = _stories(gold)
        small = [number for number, rows in enumerate(stories) if 5 <= len(rows) <= 40]
        chosen = rng.choice(small, count, replace=False).tolist()
        kept = [stories[number] for number in chosen]
        others = rng.permutation([i for i in range(len(stories)) if i not in chosen])
        others = others[: round(lone * sum(map(len, kept)))]
        return np.sort(np.concatenate([*kept, *(rng.choice(stories[i], 1) for i in others)]))

    return draw


def one_story(lone: float) -> Draw:
    """Keep one of the five largest stories, and lone items of others, as a share of its items."""

    def draw(gold: list[str], rng: np.random.Generator) -> I64:
        stories = sorted(_stories(gold), key=len, reverse=True)
        story = stories.pop(int(rng.integers(5)))
        others = rng.permutation(len(stories))[: round(lone * len(story))]
        return np.sort(np.concatenate([story, *(rng.choice(stories[i], 1) for i in others)]))

    return draw


def half(gold: list[str], rng: np.random.Generator) -> I64:
    """Keep half of the items."""
    return np.sort(rng.choice(len(gold), len(gold) // 2, replace=False))


def _stories(gold: list[str]) -> list[I64]:
    of = np.unique(gold, return_inverse=True)[1]
    order = np.argsort(of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of[order])) + 1)


DRAWS: dict[str, Draw] = {
    "at most 3 a story": at_most((3,)),
    "at most 4 a story": at_most((4,)),
    "at most 12 a story": at_most((12,)),
    "mostly singletons": at_most((1, 1, 1, 1, 2, 2, 3, 5)),
    "12 stories": of_stories(12),
    "half": half,
    "one small story": of_small(1),
    "two small stories": of_small(2),
    "one small story and lone items": of_small(1, 0.6),
    "three small stories and lone items": of_small(3, 0.6),
    "one story": one_story(0),
    "one story and half as many lone items": one_story(0.5),
}
_ONE = ("one story", "one story and half as many lone items")
_SMALL = ("one small story", "two small stories")
_SMALL_AND_LONE = ("one small story and lone items", "three small stories and lone items")
