"""Which id goes on as which cluster: decided by members alone, as a pure function of arrays.

An id and a cluster are compared on the items that both runs hold, the one in which the id was last
seen and the new one: what a filter, a window or a deletion takes away is neither lost nor gained.
Near-duplicates count once. An id *goes into* a cluster that has more than half of its items, and a
cluster *comes from* an id that has more than half of its own: either is a link. Of linked pairs,
those that share most are kept first, each id and each cluster once. docs/IDENTITY.md has the rule
with its failure modes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F64, I32, I64, Mask

Bits = npt.NDArray[np.uint32]

NOBODY = -1
_NOISE = -1  # below: not held by the run


@dataclass(frozen=True)
class Rule:
    """The figures of the rule; docs/BENCHMARKS.md has what others would do.

    Attributes:
        least_share: a linked pair passes an id on only if it shares at least so much of both.
        nearly: an older id that has up to this share less of a cluster than the id with most of it
            comes before that one: what is half and half would change its id every day.
        count_noise: whether the items of a cluster that were noise before count as its items.
    """

    least_share: float = 0.0
    nearly: float = 0.1
    count_noise: bool = True


RULE = Rule()


@dataclass(frozen=True)
class Before:
    """What the registry knows of the items of the new run, n rows, and of c ids.

    Attributes:
        row: (m,) of a membership the item, a row of the new run.
        identity: (m,) of a membership the id's number. Ids are in the order of their age.
        held: (n,) which of the earlier runs held the item; bit 0 is the last one.
        clustered: (n,) in which of them it was in a cluster.
        seen: (c,) the run in which the id was last seen, as the number of that bit.
        open: (c,) whether the id may be given to a cluster.
    """

    row: I64
    identity: I64
    held: Bits
    clustered: Bits
    seen: I64
    open: Mask


@dataclass(frozen=True)
class Now:
    """The new run.

    Attributes:
        cluster: (n,) of each item the cluster, -1 for noise, less for what the run does not hold.
            Clusters are in the order of their first items.
        group: (n,) near-duplicates have one number, from 0.
        clusters: how many.
    """

    cluster: I32
    group: I32
    clusters: int


@dataclass(frozen=True)
class Links:
    """Pairs of an id and a cluster that share items, by id, then by cluster.

    Attributes:
        identity: (p,) number of the id.
        cluster: (p,) number of the cluster.
        items: (p,) items that they share.
        shared: (p,) the same, near-duplicates counted once.
        of_it: (p,) share of the id's items that both runs hold.
        of_this: (p,) share of the cluster's items that both runs hold.
        goes: (p,) whether the id goes into the cluster.
        comes: (p,) whether the cluster comes from the id.
        scattered: (c,) of each id the share of its items that are in any cluster; NaN without any.
    """

    identity: I64
    cluster: I64
    items: I64
    shared: I64
    of_it: F64
    of_this: F64
    goes: Mask
    comes: Mask
    scattered: F64


def find_links(before: Before, now: Now, rule: Rule = RULE) -> Links:
    """Count what each id and each cluster share."""
    held = now.cluster[before.row] >= _NOISE
    row, identity = before.row[held], before.identity[held]
    code = identity * (now.clusters + 1) + now.cluster[row] + 1
    pairs, pair = np.unique(code, return_inverse=True)
    shared = _distinct(pair, now.group[row], len(pairs))
    of, into = np.divmod(pairs, now.clusters + 1)
    whole = np.bincount(of, shared, minlength=len(before.seen))
    lost = np.bincount(of[into == 0], shared[into == 0], minlength=len(before.seen))
    found = into > 0
    of, into, shared = of[found], into[found] - 1, shared[found]
    masks = before.held if rule.count_noise else before.clustered
    known = _known(masks, now, before.seen[of], into)
    with np.errstate(invalid="ignore"):
        scattered = 1 - lost / whole
    return Links(
        identity=of,
        cluster=into,
        items=np.bincount(pair, minlength=len(pairs))[found],
        shared=shared,
        of_it=shared / whole[of],
        of_this=shared / known,
        goes=2 * shared > whole[of],
        comes=2 * shared > known,
        scattered=scattered,
    )


def assign(before: Before, now: Now, links: Links, rule: Rule = RULE) -> I64:
    """Give ids to clusters.

    Returns:
        (k,) the number of each cluster's id, `NOBODY` where it gets a new one.
    """
    least = np.minimum(links.of_it, links.of_this)
    allowed = (links.goes | links.comes) & before.open[links.identity] & (least >= rule.least_share)
    # An id goes where most of its items go, or nowhere: a rest that stays behind is another story.
    allowed &= links.shared == _most(links.identity, links.shared, len(before.seen))[links.identity]
    pairs = np.flatnonzero(allowed)
    identity, cluster = links.identity[pairs], links.cluster[pairs]
    shared = links.shared[pairs]
    most = _most(cluster, shared, now.clusters)
    weight = np.where(shared >= (1 - rule.nearly) * most[cluster], most[cluster], shared)
    # Of equals the oldest id, then the cluster with most of it, then the one with the first item.
    order = np.lexsort((cluster, -shared, identity, -weight))
    identity, cluster = identity[order], cluster[order]
    given = np.full(now.clusters, NOBODY, dtype=np.int64)
    for one, other in _best_pairs(identity, cluster, len(before.seen), now.clusters):
        given[other] = one
    return given


def _most(of: I64, values: I64, count: int) -> I64:
    """Return for each number up to `count` its largest value, 0 without one."""
    most = np.zeros(count, dtype=np.int64)
    np.maximum.at(most, of, values)
    return most


def _best_pairs(identity: I64, cluster: I64, ids: int, clusters: int) -> Iterator[tuple[I64, I64]]:
    """Yield pairs, each side once, as if they were taken one after the other in their order.

    A pair that is the first of both its sides is taken whatever comes behind it, so all such pairs
    are taken at once; what is left begins again.
    """
    while len(identity):
        first_of_id, first_of_cluster = firsts(identity, ids), firsts(cluster, clusters)
        place = np.arange(len(identity))
        best = (first_of_id[identity] == place) & (first_of_cluster[cluster] == place)
        yield identity[best], cluster[best]
        taken_id, taken_cluster = np.zeros(ids, bool), np.zeros(clusters, bool)
        taken_id[identity[best]] = taken_cluster[cluster[best]] = True
        left = ~(taken_id[identity] | taken_cluster[cluster])
        identity, cluster = identity[left], cluster[left]


def firsts(numbers: npt.NDArray[np.integer], count: int) -> I64:
    """Return for each number up to `count` the first place that has it; negative ones are none."""
    places = np.flatnonzero(numbers >= 0)[::-1]
    first = np.full(count, len(numbers))
    first[numbers[places]] = places  # of several the last that is written, which is the first
    return first


def _known(masks: Bits, now: Now, seen: I64, cluster: I64) -> I64:
    """Count the items of clusters that an earlier run had, near-duplicates once.

    Args:
        masks: (n,) which runs had the item.
        now: the new run.
        seen: (p,) the earlier run, by its bit.
        cluster: (p,) the cluster.

    Returns:
        (p,) counts.
    """
    counts = np.zeros(len(cluster), dtype=np.int64)
    for bit in np.unique(seen).tolist():
        mine = seen == bit
        wanted = np.zeros(now.clusters, dtype=bool)
        wanted[cluster[mine]] = True
        had = (masks >> np.uint32(bit)) & np.uint32(1) > 0
        rows = np.flatnonzero((now.cluster >= 0) & had)
        rows = rows[wanted[now.cluster[rows]]]
        known = _distinct(now.cluster[rows], now.group[rows], now.clusters)
        counts[mine] = known[cluster[mine]]
    return counts


def _distinct(of: npt.NDArray[np.integer], group: I32, count: int) -> I64:
    """Count the different groups of each number up to `count`."""
    size = int(group.max(initial=0)) + 1
    different = np.unique(of.astype(np.int64) * size + group)
    return np.bincount(different // size, minlength=count)
