"""How well ids follow stories, as in the tracking of objects: IDF1 and identity switches.

Ristani and others, 2016. An item on a day is a detection, an id a track, a gold story the true one.
Both measures depend on the clusters, too, so what counts is the share of what the best possible ids
on the same clusters would reach: on each day, clusters and stories paired one to one so that they
share most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

_CLEAR = 0.5  # share of a cluster from which its story is clear
_SAME = 0.1  # share of members up to which a cluster counts as unchanged


@dataclass(frozen=True)
class Day:
    """The clusters of one day.

    Attributes:
        members: by id.
        gold: story of each item of the day.
        labels: by id.
        previous: by id the other ids that the lineage names.
        changes: by id, what the lineage says.
    """

    members: Mapping[str, frozenset[str]]
    gold: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    previous: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Items by id and story: `id`, `story`, `items`."""
        rows = [(name, self.gold[item]) for name, items in self.members.items() for item in items]
        frame = pd.DataFrame(rows, columns=["id", "story"])
        return (
            frame.groupby(["id", "story"], as_index=False).size().rename(columns={"size": "items"})
        )

    @cached_property
    def story_of(self) -> dict[str, str]:
        """The story that most of a cluster's items are of, where it is clear."""
        found = self.counts.sort_values(["items", "story"], ascending=[False, True])
        found = found.drop_duplicates("id")
        return {
            name: story
            for name, story, items in found[["id", "story", "items"]].to_numpy().tolist()
            if items > _CLEAR * len(self.members[name])
        }

    @cached_property
    def best(self) -> tuple[dict[str, str], int]:
        """The best pairs of a story and a cluster, and the items that they share."""
        return _best(self.counts)


def figures(days: Sequence[Day]) -> dict[str, float]:
    """Measure ids over all days."""
    together = pd.concat([day.counts for day in days]).groupby(["id", "story"])["items"].sum()
    shared = _best(together.reset_index())[1]
    most = sum(day.best[1] for day in days)
    found = sum(len(items) for day in days for items in day.members.values())
    true = sum(len(day.gold) for day in days)
    kept = [kept for before, after in pairwise(days) for kept in _kept(before, after)]
    steady = [same for before, after in pairwise(days) for same in _steady_labels(before, after)]
    parts = [told for before, after in pairwise(days) for told in _told(before, after)]
    return {
        "idf1": 2 * shared / (found + true),
        "idf1_of_best": shared / most,
        "switches": sum(_switches(days)),
        "story_days": sum(len(day.best[0]) for day in days),
        "kept": float(np.mean(kept)) if kept else float("nan"),
        "goes_on": len(kept),
        "moved": sum(_moved(days)),
        "told": float(np.mean(parts)) if parts else float("nan"),
        "merges_and_splits": len(parts),
        "ids": len({name for day in days for name in day.members}),
        "relabelled": 1 - float(np.mean(steady)) if steady else float("nan"),
    }


def _best(counts: pd.DataFrame) -> tuple[dict[str, str], int]:
    if counts.empty:
        return {}, 0
    ids, stories = (pd.factorize(counts[name]) for name in ("id", "story"))
    table = np.zeros((len(ids[1]), len(stories[1])))
    table[ids[0], stories[0]] = counts["items"]
    rows, columns = linear_sum_assignment(-table)
    shared = table[rows, columns]
    pairs = {
        stories[1][column]: ids[1][row]
        for row, column in zip(rows[shared > 0], columns[shared > 0], strict=True)
    }
    return pairs, int(shared.sum())


def _switches(days: Sequence[Day]) -> Iterator[int]:
    """Yield for each day the stories that have another id than when they were last seen."""
    last: dict[str, str] = {}
    for day in days:
        pairs = day.best[0]
        yield sum(last.get(story, name) != name for story, name in pairs.items())
        last |= pairs


def _kept(before: Day, after: Day) -> Iterator[bool]:
    """Yield whether the id was kept, where clusters and gold say that a story goes on.

    The cluster with most of the earlier one's items has most of its own from there, and both are of
    one story.
    """
    shares = _shared(before, after)
    into = shares.sort_values("items").drop_duplicates("before", keep="last")
    out_of = shares.sort_values("items").drop_duplicates("after", keep="last")
    for one, other in into.merge(out_of, on=["before", "after"])[["before", "after"]].to_numpy():
        story = before.story_of.get(one)
        if story is not None and story == after.story_of.get(other):
            yield one == other


def _moved(days: Sequence[Day]) -> Iterator[int]:
    """Yield for each day the ids that are of another story, and that story has most of theirs.

    A cluster may come to be of another story by what joins it; then most of what it was is still
    in it, and no other cluster has more of that.
    """
    last: dict[str, tuple[str, frozenset[str]]] = {}
    for day in days:
        moved = 0
        for name, items in day.members.items():
            story = day.story_of.get(name)
            if name in last and story is not None and story != last[name][0]:
                had = last[name][1]
                others = max(
                    (len(had & each) for key, each in day.members.items() if key != name), default=0
                )
                moved += others > len(had & items)
            if story is not None:
                last[name] = (story, items)
        yield moved


def _told(before: Day, after: Day) -> Iterator[bool]:
    """Yield whether the lineage has a split or a merge between clusters of one story."""
    shares = _shared(before, after)
    shares = shares[shares["items"] > 1]
    for one, other, items in shares.to_numpy():
        if one == other or before.story_of.get(one) != after.story_of.get(other) is not None:
            continue
        if before.story_of.get(one) is None:
            continue
        most = 2 * items > min(len(before.members[one]), len(after.members[other]))
        if most:
            yield one in after.previous.get(other, ())


def _steady_labels(before: Day, after: Day) -> Iterator[bool]:
    for name, items in after.members.items():
        then = before.members.get(name)
        if then is not None and len(then ^ items) < _SAME * len(then):
            yield before.labels.get(name) == after.labels.get(name)


def _shared(before: Day, after: Day) -> pd.DataFrame:
    """Items of each pair of clusters: `before`, `after`, `items`."""
    of = [
        pd.Series(
            {item: name for name, items in day.members.items() for item in items}, dtype=object
        )
        for day in (before, after)
    ]
    frame = pd.DataFrame({"before": of[0], "after": of[1]}).dropna()
    return (
        frame.groupby(["before", "after"], as_index=False).size().rename(columns={"size": "items"})
    )
