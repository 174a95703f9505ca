"""How well a text finds a cluster's members, by its words."""

import math
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import F32
from clustering_tasks.stage3.text import unpointed
from clustering_tasks.stage3.words import beyond_latin, has_runs, pieces_of, runs_of

_PADDING = 4.0  # words, so that a label of two does not win for being short
_NOT_FOUND = 0.5  # of a label that finds a rival's members before the cluster's own


@dataclass(frozen=True)
class Words:
    """A cluster's single words, and what each adds to a query's score.

    Attributes:
        rows: of a word its row.
        rewards: (words, 2 + rivals) of `rewards`.
        keywords: the heaviest terms.
        tells: whether each finds the cluster's members before a rival's.
    """

    rows: dict[str, int]
    rewards: F32
    keywords: list[str]
    tells: list[bool]

    def fit(self, text: str) -> tuple[float, bool]:
        """Say how well a text finds the cluster's members, by its length, and whether it does."""
        pieces = pieces_of(text)
        said = set(map(unpointed, pieces)) if beyond_latin(text) else pieces
        known = self.rows
        rows = [known[word] for word in said if word in known]
        length = float(len(pieces))
        if has_runs(text):  # a word without blanks beside it has two letters or more
            rows += [row for term, row in known.items() if has_runs(term) and term in text]
            length += len("".join(runs_of(text))) / 2
        if not rows:
            return 0.0, False
        rows.sort()  # a set is in another order in each process, and so would the last bits be
        score = np.add.reduce(self.rewards[rows]).tolist()  # `sum` takes twice as long
        typical, own, rival = score[0], score[1], max(score[2:])
        found = own > rival
        worth = typical * (own / (own + rival)) ** 2 if own else 0.0
        return worth * (1 if found else _NOT_FOUND) / math.sqrt(length + _PADDING), found

    def telling_first(self) -> list[str]:
        """Return the keywords, those behind that find a rival's members before the cluster's."""
        both = list(zip(self.keywords, self.tells, strict=True))
        return [term for term, does in both if does] + [term for term, does in both if not does]
