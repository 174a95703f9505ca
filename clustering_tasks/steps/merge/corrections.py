"""`together` and `apart`, applied to whole clusters after whichever algorithm.

In this order, which is also the precedence:

1. Items of one story are in one cluster: the clusters that hold some of them become one, whole. Of
   a cluster that holds an item which the story has to leave, the story's own items are taken, and
   not the cluster. A story of noise alone becomes a cluster.
2. A story that is still with an item which it has to leave is taken out, whole. Those that leave
   the same cluster stay together, unless they have to leave each other: the algorithm has found
   them alike. A single item becomes noise.
3. A cluster whose core has fewer than two members left is none any more; its members are noise.

Each story is treated in the order of its first correction. Items with the same vector share their
fate (AL-10): those that no correction names follow the one that is named, unless two stories name
items of that vector. Blocks, windows in time, gaps and the outlier policy give way to a correction.
What a filter left out, and what a missing part left unassigned, stays where it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.corrections.contradictions import (
    Contradiction,
    Link,
    Stories,
    links_of,
    stories,
)
from clustering_tasks.corrections.correction import Correction
from clustering_tasks.corrections.rows import RowOrName, rows_of
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.workspace.artefacts import Metric, Result

_SMALLEST = 2  # members of a core
_NAMED = 20  # contradictions that a metric names

log = structlog.get_logger()


@dataclass(frozen=True)
class Corrected:
    """A clustering with corrections.

    Attributes:
        labels: (n,) int32 clusters from 0 without gaps; negative ones as before, NOISE for items
            that were taken out.
        core: (n,) int32 the same, NOISE where an item is no core of its cluster.
        placed: (n,) rows whose cluster a correction decided.
        metrics: what was applied.
    """

    labels: I32
    core: I32
    placed: Mask
    metrics: dict[str, Metric]


def apply_corrections(
    corrections: Sequence[Correction], snapshot: Result, node: I32, labels: I32, core: I32
) -> Corrected:
    """Apply a run's corrections to its clustering, and log what contradicts.

    Args:
        corrections: frozen for the run.
        snapshot: of the run, n rows.
        node: (n,) node of each row; rows of one node have the same vector.
        labels: (n,) cluster after the outlier policy, negative for none.
        core: (n,) cluster of the algorithm, negative for none.
    """
    links = rows_of(snapshot.path("items"), links_of(corrections))
    found = stories(links)
    for each in found.contradictions:
        log.warning("a correction contradicts earlier ones and is not applied", which=str(each))
    corrected = correct(labels, core, node, found)
    refused = {each.correction_id for each in found.contradictions}
    waiting = [each for each in links if each.correction_id not in refused and _waits(each)]
    metrics: dict[str, Metric] = {
        "corrections_applied": len(links) - len(refused) - len(waiting),
        "corrections_waiting": len(waiting),
        "corrections_contradicting": len(refused),
        "corrections_contradictions": _names(found.contradictions),
    }
    return Corrected(corrected.labels, corrected.core, corrected.placed, metrics)


def probability_of_placed(probabilities: F32, corrected: Corrected) -> F32:
    """Give a decision of a person the probability 1, and 0 to those that it left alone.

    Args:
        probabilities: (n,) of membership before.
        corrected: the clustering.
    """
    decided = np.where(corrected.labels >= 0, np.float32(1), np.float32(0))
    return np.where(corrected.placed, decided, probabilities)


def _waits(link: Link[RowOrName]) -> bool:
    """Whether a link names too few items of this snapshot to change anything."""
    items, others = (_present(side) for side in (link.items, link.others))
    return not (items and others) if link.others else len(items) < _SMALLEST


def _present(names: Iterable[RowOrName]) -> list[int]:
    return [name for name in names if isinstance(name, int)]


def _names(found: Sequence[Contradiction]) -> str | None:
    return "; ".join(map(str, found[:_NAMED])) or None


def correct(labels: I32, core: I32, node: I32, found: Stories[RowOrName]) -> Corrected:
    """Apply links that hold together; a pure function.

    Args:
        labels: (n,) cluster of each row, negative for none.
        core: (n,) the same, or NOISE where a row is no core.
        node: (n,) rows of one node have the same vector; negative: a row has none.
        found: the links, by rows; other names stand for items that are not there.
    """
    rows = _rows_of_stories(labels, node, found)
    if not any(map(len, rows.values())):
        return Corrected(labels, core, np.zeros(len(labels), dtype=bool), {})
    work = _Work(labels, rows)
    leaves = {story: list(enemies) for story, enemies in found.leaves.items()}
    for story in rows:
        work.unite(story, leaves.get(story, []))
    for story in rows:
        work.leave(story, leaves.get(story, []))
    decided = np.zeros(len(labels), dtype=bool)
    decided[[row for each in rows.values() if len(each) >= _SMALLEST for row in each]] = True
    in_core = (core >= 0) | decided
    final = _numbered(work.labels(), in_core)
    own = np.where(in_core | (final < 0), final, NOISE).astype(np.int32)
    joined = work.placed | decided & (core < 0)
    return Corrected(final, own, joined | (final < 0) & (labels >= 0), {})


def _rows_of_stories(
    labels: I32, node: I32, found: Stories[RowOrName]
) -> dict[RowOrName, list[int]]:
    """Return the rows of each story that can be moved, in the order of their first corrections."""
    rows: dict[RowOrName, list[int]] = {}
    stories_of_node: dict[int, set[RowOrName]] = {}
    named = set[int]()
    for name in found.names():
        story = found.story(name)
        mine = rows.setdefault(story, [])
        if isinstance(name, int) and labels[name] >= NOISE:
            mine.append(name)
            named.add(name)
            stories_of_node.setdefault(int(node[name]), set()).add(story)
    alone = {at: only for at, (only, *more) in stories_of_node.items() if not more and at >= 0}
    mates = np.flatnonzero(np.isin(node, np.fromiter(alone, np.int64, len(alone))))
    for row in mates.tolist():
        if row not in named and labels[row] >= NOISE:
            rows[alone[int(node[row])]].append(row)
    return rows


@dataclass
class _Leaving:
    """Stories that have left the same cluster, and are a cluster of their own.

    Attributes:
        cluster: its number.
        enemies: by story, the stories that it has to leave.
    """

    cluster: int
    enemies: dict[RowOrName, frozenset[RowOrName]] = field(default_factory=dict)

    def may_join(self, story: RowOrName, enemies: Sequence[RowOrName]) -> bool:
        """Whether a story has to leave none of these, and none of these has to leave it."""
        return not self.enemies.keys() & {*enemies} and all(
            story not in each for each in self.enemies.values()
        )


class _Work:
    """Clusters that become one, and rows that change theirs."""

    def __init__(self, labels: I32, rows: dict[RowOrName, list[int]]) -> None:
        self.placed: Mask = np.zeros(len(labels), dtype=bool)
        self._labels = labels.copy()
        self._rows = rows
        self._left: dict[int, list[_Leaving]] = {}
        self._next = int(labels.max(initial=-1)) + 1
        self._into: dict[int, int] = {}

    def unite(self, story: RowOrName, enemies: Sequence[RowOrName]) -> None:
        """Bring a story's rows into one cluster, with the clusters that hold some, if they may."""
        rows = self._rows[story]
        if len(rows) < _SMALLEST:
            return
        here = list(map(self._cluster, rows))
        forbidden = self._clusters(enemies)
        whole = sorted({each for each in here if each >= 0} - forbidden)
        target = whole[0] if whole else self._new()
        for each in whole[1:]:
            self._into[each] = target
        for row, cluster in zip(rows, here, strict=True):
            if cluster not in whole:
                self._place(row, target)

    def leave(self, story: RowOrName, enemies: Sequence[RowOrName]) -> None:
        """Take a story out of a cluster that holds what it has to leave."""
        rows = self._rows[story]
        here = {each for each in map(self._cluster, rows) if each >= 0}
        if not here & self._clusters(enemies):
            return
        (cluster,) = here  # `unite` has brought all rows there
        groups = self._left.setdefault(cluster, [])
        found = next((each for each in groups if each.may_join(story, enemies)), None)
        if found is None:
            found = _Leaving(self._new())
            groups.append(found)
        found.enemies[story] = frozenset(enemies)
        for row in rows:
            self._place(row, found.cluster)

    def labels(self) -> I32:
        """Return the cluster of each row: (n,); numbers have gaps."""
        numbers = np.arange(-3, self._next, dtype=np.int32)
        for one in self._into:
            numbers[one + 3] = self._root(one)
        return np.asarray(numbers[self._labels + 3])

    def _clusters(self, some: Iterable[RowOrName]) -> set[int]:
        rows = (row for story in some for row in self._rows.get(story, ()))
        return {cluster for row in rows if (cluster := self._cluster(row)) >= 0}

    def _cluster(self, row: int) -> int:
        return self._root(int(self._labels[row]))

    def _root(self, cluster: int) -> int:
        while cluster in self._into:
            above = self._into[cluster]
            if above in self._into:
                self._into[cluster] = self._into[above]
            cluster = above
        return cluster

    def _place(self, row: int, cluster: int) -> None:
        self._labels[row] = cluster
        self.placed[row] = True

    def _new(self) -> int:
        self._next += 1
        return self._next - 1


def _numbered(labels: I32, in_core: Mask) -> I32:
    """Dissolve clusters of a core of one, and number the others without gaps, in their order."""
    count = int(labels.max(initial=-1)) + 1
    sizes: I64 = np.bincount(labels[in_core & (labels >= 0)], minlength=count)
    stay = sizes >= _SMALLEST
    number = np.append(np.where(stay, np.cumsum(stay) - 1, NOISE), NOISE).astype(np.int32)
    return np.where(labels >= 0, number[np.maximum(labels, -1)], labels).astype(np.int32)
