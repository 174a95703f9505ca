"""Which clusters a language model is asked about, and with which texts."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from upath import UPath

from clustering_tasks.arrays import F32
from clustering_tasks.llm.questions import Question, write_questions
from clustering_tasks.stage3.text import cut
from clustering_tasks.steps.label.copies import different, texts_of
from clustering_tasks.steps.label.members import Columns, most_central
from clustering_tasks.steps.label.naming import CENTRAL

_TEXTS = 6  # of a cluster
_OTHERS = 3  # similar clusters
_LONGEST = 300  # characters of a text


@dataclass(frozen=True)
class _Shown:
    """What is shown of a cluster.

    Attributes:
        texts: of its most central members, each another one; at least one.
        sources: ids of those members and of their documents.
    """

    texts: list[str]
    sources: list[str]


@dataclass
class Asking:
    """Collects the clusters with a new label, and writes the questions about the largest.

    A label that stays is not asked for: a model costs only what has changed.

    Attributes:
        level: its name.
        most: questions at most.
        new: clusters with a new label and a text so far.
    """

    level: str
    most: int
    new: int = 0
    _largest: list[tuple[int, int, str, _Shown]] = field(default_factory=list)
    _first: dict[int, _Shown] = field(default_factory=dict)

    def add(self, number: int, cluster_id: str, members: Columns, *, new: bool) -> None:
        """Look at a cluster.

        Args:
            number: of the cluster, ascending.
            cluster_id: of the cluster.
            members: its items.
            new: whether its label is of this run.
        """
        shown = _shown(members, self.level)
        if not shown.texts:
            return
        self._first[number] = _Shown(shown.texts[:1], shown.sources)
        if not new:
            return
        self.new += 1
        # of equally large ones those of the lesser number stay
        entry = (len(members["source_id"]), -number, cluster_id, shown)
        if len(self._largest) < self.most:
            heapq.heappush(self._largest, entry)
        else:
            heapq.heappushpop(self._largest, entry)

    def write(self, centroids: F32, path: UPath) -> None:
        """Write the questions, the largest cluster first.

        Args:
            centroids: (c, d) unit vectors, by number.
            path: of the file.
        """
        write_questions(self._questions(centroids), path)

    def _questions(self, centroids: F32) -> Iterator[Question]:
        for _, number, cluster_id, shown in sorted(self._largest, reverse=True):
            others = [self._first[each] for each in self._nearest(centroids, -number)]
            yield Question(
                cluster_id=cluster_id,
                texts=shown.texts,
                others=[text for other in others for text in other.texts],
                sources=sorted({s for each in (shown, *others) for s in each.sources}),
            )

    def _nearest(self, centroids: F32, number: int) -> list[int]:
        order = np.argsort(-(centroids @ centroids[number]), kind="stable")
        near = order[: _OTHERS * 2 + 1].tolist()  # some have no text
        return [each for each in near if each != number and each in self._first][:_OTHERS]


def _shown(members: Columns, level: str) -> _Shown:
    rows = different(members, most_central(members), level, CENTRAL)
    shown = dict.fromkeys(cut(text, _LONGEST) for text in texts_of(members, rows, level) if text)
    sources = {*members["source_id"][rows].tolist(), *members["document_id"][rows].tolist()}
    return _Shown([*shown][:_TEXTS], sorted(sources - {None}))
