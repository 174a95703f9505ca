"""The words of clusters whose numbers follow each other, as they go to whoever names them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.steps.label.words import Words


@dataclass(frozen=True)
class WordGroup:
    """Words and heaviest terms of g clusters.

    Attributes:
        words: each once, without vowel points.
        shown: of a word its form with the points, where one has it.
        numbers: (w,) of each cluster's single words the place in `words`.
        bounds: (g + 1,) where those of each cluster begin.
        rewards: (w, 2 + rivals) of `rewards`.
        terms: (g, count, 2) rows, among the w, of the words of the heaviest terms, -1 for none.
        tells: (g, count) whether a term finds the cluster's members before a rival's.
    """

    words: list[str]
    shown: dict[str, str]
    numbers: I32
    bounds: I64
    rewards: F32
    terms: I32
    tells: Mask

    def clusters(self) -> Iterator[Words]:
        """Yield the words of each cluster, from the first to the last."""
        texts = list(map(self.words.__getitem__, self.numbers.tolist()))
        shown = [self.shown.get(text, text) for text in texts] if self.shown else texts
        terms, tells = self.terms.tolist(), self.tells.tolist()
        for place, (start, stop) in enumerate(pairwise(self.bounds.tolist())):
            heaviest = [
                f"{shown[first]} {shown[second]}" if second >= 0 else shown[first]
                for first, second in terms[place]
                if first >= 0
            ]
            rows = dict(zip(texts[start:stop], range(stop - start), strict=True))
            yield Words(rows, self.rewards[start:stop], heaviest, tells[place][: len(heaviest)])


def tells_of(terms: I32, rewards: F32, plain: Mask) -> Mask:
    """Tell which terms find their cluster's members before a rival's.

    Args:
        terms: as `WordGroup` has them.
        rewards: as well.
        plain: (w,) whether the word is shown as it is.
    """
    known = (terms >= 0) & np.append(plain, False)[terms]
    said = np.append(rewards[:, 1:], np.zeros((1, rewards.shape[1] - 1), np.float32), axis=0)
    both = said[np.where(known, terms, -1)].sum(axis=2)
    return np.asarray(both[:, :, 0] > both[:, :, 1:].max(axis=2))
