"""Collections of other shapes made from the real ones: thinned, halved, mixed, mostly singletons.

One setting has to hold on all of them, so every default is looked at here, too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import I64
from tests.benchmarks.collection import Collection, joined


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


def _drawn(
    name: str, collection: Collection, level: str, draws: Iterable[str], seeds: int
) -> Iterator[Variant]:
    for title in draws:
        for seed in range(seeds):
            rows = DRAWS[title](collection.levels[level].gold, np.random.default_rng(seed))
            yield Variant(f"{name}, {title}", seed, level, collection.with_rows(level, rows))


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
}
