"""Words and texts that a generator invents: some are their story's, some everybody's."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

_SYLLABLES = "ba ce di fo gu ha ki lo mar nen pos rul sta tre vin wol zan \u00e9r \u00fcn sk\u00f8"
_MINUTES_IN_TWO_YEARS = 1_051_200


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
