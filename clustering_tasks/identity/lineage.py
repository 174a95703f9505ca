"""What became of each id in one run, and why: from the links of `matching`."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F64, I64, Mask
from clustering_tasks.identity.matching import NOBODY, Before, Links
from clustering_tasks.identity.words import Change, State
from clustering_tasks.workspace.storage import to_json

RELATED = 10  # clusters that a row names
_DIGITS = 4  # of shares

Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Fates:
    """What became of c earlier ids and of k clusters.

    Attributes:
        state: (c,) of each id after the run.
        change: (c,) what the run changed; None for an id that it leaves as it was, and for one that
            is a cluster of the run, whose change is below.
        successors: by an id the clusters that it went into, those with most first.
        cluster_change: (k,) of each cluster.
        previous: (k,) lists of other ids that a cluster is made of, those with most first.
        changed: (k,) members that came or went, as a share of those that the id had; NaN for a new
            id.
    """

    state: Texts
    change: Texts
    successors: dict[int, list[int]]
    cluster_change: Texts
    previous: list[list[int]]
    changed: F64


@dataclass(frozen=True)
class Sizes:
    """Members, near-duplicates counted each.

    Attributes:
        before: (c,) of ids when they were last seen.
        now: (k,) of clusters.
    """

    before: I64
    now: I64


def decide(
    states: Texts, before: Before, links: Links, given: I64, sizes: Sizes, look_back: int
) -> Fates:
    """Decide what became of every id.

    Args:
        states: (c,) of the ids before the run.
        before: with the run in which each id was last seen.
        links: of ids and clusters.
        given: (k,) the id of each cluster.
        sizes: of ids and clusters.
        look_back: runs after which what is asleep has ended.
    """
    clusters_of = _clusters_of(given, len(states))
    awake = (states == "active") | (states == "dormant")
    told = awake[links.identity] & (links.goes | links.comes)
    own = clusters_of[links.identity] == links.cluster
    left = awake & (clusters_of == NOBODY)
    fates = Fates(
        state=np.where(clusters_of != NOBODY, "active", states).astype(object),
        change=np.full(len(states), None, dtype=object),
        successors={},
        cluster_change=np.full(len(given), "born", dtype=object),
        previous=_grouped(links.cluster, links.identity, links.shared, told & ~own, len(given)),
        changed=_changed(links, own, given, sizes),
    )
    _end_sleep(fates, left, before.seen, states, look_back)
    _pass_on(fates, left, states, links)
    _describe_clusters(fates, states, links, given, told & ~own, sizes)
    return fates


def _clusters_of(given: I64, ids: int) -> I64:
    """Return the cluster of each id, `NOBODY` where it has none."""
    clusters = np.full(ids, NOBODY, dtype=np.int64)
    has = np.flatnonzero(given != NOBODY)
    clusters[given[has]] = has
    return clusters


def _changed(links: Links, own: Mask, given: I64, sizes: Sizes) -> F64:
    before, now = sizes.before[links.identity[own]], sizes.now[links.cluster[own]]
    changed = np.full(len(given), np.nan)
    changed[links.cluster[own]] = (before + now - 2 * links.items[own]) / before
    return changed


def _end_sleep(fates: Fates, left: Mask, seen: I64, states: Texts, look_back: int) -> None:
    """Put to sleep what no cluster is; what has slept too long has ended."""
    ended = left & (seen + 1 >= look_back)
    asleep = left & ~ended & (states == "active")
    for mask, word in ((ended, "ended"), (asleep, "dormant")):
        fates.state[mask] = fates.change[mask] = word


def _pass_on(fates: Fates, left: Mask, states: Texts, links: Links) -> None:
    """Name the successors of ids that went into other clusters."""
    absorbed = left[links.identity] & links.goes
    _enter(fates, links, absorbed, "merged", "absorbed")
    gone = np.zeros(len(left), dtype=bool)
    gone[links.identity[absorbed]] = True
    apart = left & ~gone & (states == "active") & (links.scattered > 0.5)
    _enter(fates, links, apart[links.identity], "split", "split")


def _enter(fates: Fates, links: Links, pairs: Mask, state: State, change: Change) -> None:
    ids = np.unique(links.identity[pairs])
    fates.state[ids], fates.change[ids] = state, change
    place = np.searchsorted(ids, links.identity)
    into = _grouped(place, links.cluster, links.shared, pairs, len(ids))
    for number, clusters in zip(ids.tolist(), into, strict=True):
        fates.successors[number] = clusters[:RELATED]


def _describe_clusters(
    fates: Fates, states: Texts, links: Links, given: I64, others: Mask, sizes: Sizes
) -> None:
    """Say of each cluster what it is; the last word counts."""
    change, kept = fates.cluster_change, given != NOBODY
    grew = np.zeros(len(given), dtype=bool)
    grew[kept] = sizes.now[kept] > sizes.before[given[kept]]
    change[kept] = "continued"
    change[grew] = "grew"
    change[links.cluster[others & ~kept[links.cluster] & links.goes]] = "merged"
    change[links.cluster[others & ~kept[links.cluster] & links.comes]] = "split"
    parts = np.unique(links.identity[others & links.comes])
    change[kept & np.isin(given, parts)] = "split"
    absorbed = np.isin(links.identity, np.flatnonzero(fates.change == "absorbed"))
    change[links.cluster[others & absorbed & links.goes & kept[links.cluster]]] = "merged"
    asleep = kept.copy()
    asleep[kept] = states[given[kept]] != "active"
    change[asleep] = "returned"


def _grouped(of: I64, values: I64, weight: I64, wanted: Mask, count: int) -> list[list[int]]:
    """Return for each number up to `count` its values, those of most weight first."""
    pairs = np.flatnonzero(wanted)
    pairs = pairs[np.lexsort((values[pairs], -weight[pairs], of[pairs]))]
    bounds = np.searchsorted(of[pairs], np.arange(count + 1))
    sorted_values: list[int] = values[pairs].tolist()
    return [sorted_values[start:stop] for start, stop in pairwise(bounds.tolist())]


def related(of: I64, other: I64, links: Links, names: Texts, wanted: Mask) -> dict[int, bytes]:
    """Explain a decision: which shares of whose members, as `related` of `LINEAGE`.

    Args:
        of: (p,) of each link the id or the cluster that is explained.
        other: (p,) the other side.
        links: with the shares.
        names: ids of the other sides.
        wanted: (p,) the links to tell.

    Returns:
        JSON by the numbers of `of` that have any.
    """
    pairs = np.flatnonzero(wanted)
    pairs = pairs[np.lexsort((other[pairs], -links.shared[pairs], of[pairs]))]
    bounds = np.append(np.flatnonzero(np.diff(of[pairs], prepend=-1)), len(pairs))
    columns = [
        other[pairs].tolist(),
        links.shared[pairs].tolist(),
        np.round(links.of_it[pairs], _DIGITS).tolist(),
        np.round(links.of_this[pairs], _DIGITS).tolist(),
    ]
    explained: dict[int, bytes] = {}
    for start, stop in pairwise(bounds.tolist()):
        end = min(stop, start + RELATED)
        rows: list[dict[str, Any]] = [
            {"cluster_id": names[one], "shared": shared, "of_it": it, "of_this": this}
            for one, shared, it, this in zip(
                *(column[start:end] for column in columns), strict=True
            )
        ]
        explained[int(of[pairs[start]])] = to_json(rows)
    return explained
