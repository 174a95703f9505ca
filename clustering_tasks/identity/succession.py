"""From the registry before a run and its clusters to the registry behind it."""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clustering_tasks.arrays import I32, I64, Mask
from clustering_tasks.identity.columns import IDENTITIES, IDS, ITEMS, LINEAGE
from clustering_tasks.identity.lineage import Fates, Sizes, Texts, decide, related
from clustering_tasks.identity.matching import (
    NOBODY,
    RULE,
    Before,
    Links,
    Now,
    Rule,
    assign,
    find_links,
    firsts,
)
from clustering_tasks.identity.registry import Registry, born

_OPEN = ("active", "dormant", "merged", "split")  # states that an id may come back from
_NOISE, _NOT_HELD = -1, -2
_DIGITS = 12
_LONG_AGO = 1 << 30  # runs


@dataclass(frozen=True)
class Found:
    """A run's clusters, before they have ids.

    Attributes:
        level: plural name.
        cluster_type: singular; prefix of ids.
        job_id: of the run.
        as_of: of the run.
        base: name of the registry before it.
        items: `vector_id` and `document_id` of the n items, in the order of the vector ids.
        assignments: `cluster`, `status` and `near_duplicate` of the items.
        clusters: their number.
    """

    level: str
    cluster_type: str
    job_id: str
    as_of: datetime
    base: str | None
    items: pa.Table
    assignments: pa.Table
    clusters: int


@dataclass(frozen=True)
class Succession:
    """What a run leaves behind.

    Attributes:
        ids: of `IDS`, a row for each cluster.
        lineage: of `LINEAGE`.
        registry: for the next run.
    """

    ids: pa.Table
    lineage: pa.Table
    registry: Registry


@dataclass(frozen=True)
class _Known:
    """The registry's ids by number, the oldest first, and its items by row.

    Attributes:
        identities: of `IDENTITIES`.
        before: for `matching`.
        sizes: (c,) members of each id.
        item: (m,) of each membership the row in the registry's items.
        owner: (m,) of each membership the id's number.
        row: (o,) of the registry's items the row of the run's, -1 for none.
    """

    identities: pa.Table
    before: Before
    sizes: I64
    item: I64
    owner: I64
    row: I64


def succeed(before: Registry, found: Found, look_back: int, rule: Rule = RULE) -> Succession:
    """Give each cluster an id, and say what became of every earlier one.

    Args:
        before: the registry that the run goes on from.
        found: the run's clusters.
        look_back: runs after which what is asleep has ended.
        rule: of the matching.
    """
    place = _places(found)
    now = _now(found, place)
    known = _known(before, found, look_back)
    links = find_links(known.before, now, rule)
    given = assign(known.before, now, links, rule)
    sizes = Sizes(known.sizes, np.bincount(now.cluster[now.cluster >= 0], minlength=found.clusters))
    states = _texts(known.identities["state"])
    fates = decide(states, known.before, links, given, sizes, look_back)
    names = _texts(known.identities["cluster_id"])
    own = _own_names(found, now, given, names)
    explained = _Explained(links, states, given, names, own)
    identities = _identities(known.identities, found, given, fates, own)
    return Succession(
        ids=_ids(own, names, fates).take(pa.array(place)),
        lineage=_lineage(fates, own, names, sizes, explained),
        registry=Registry(
            job_id=found.job_id,
            as_of=found.as_of,
            base=found.base,
            runs=(found.job_id, *before.runs)[:look_back],
            identities=identities,
            items=_items(before, found, known, now, own, given, look_back),
        ),
    )


def _places(found: Found) -> I64:
    """Return the place of each cluster in the order of first items: no other number counts."""
    numbers = found.assignments["cluster"].fill_null(_NOISE).to_numpy()
    order = np.argsort(firsts(numbers, found.clusters))
    places = np.empty(found.clusters, dtype=np.int64)
    places[order] = np.arange(found.clusters)
    return places


def _now(found: Found, place: I64) -> Now:
    numbers = found.assignments["cluster"].fill_null(_NOISE).to_numpy()
    cluster = np.append(place, _NOISE)[numbers].astype(np.int32)
    held = pc.is_in(found.assignments["status"], pa.array(["clustered", "noise"]))
    cluster[~held.to_numpy(zero_copy_only=False)] = _NOT_HELD
    group = found.assignments["near_duplicate"].to_numpy().astype(np.int32)
    return Now(cluster, group, found.clusters)


def _known(before: Registry, found: Found, look_back: int) -> _Known:
    by_age = pc.sort_indices(
        before.identities, sort_keys=[("born_at", "ascending"), ("cluster_id", "ascending")]
    )
    identities = before.identities.take(by_age)
    bits = {job: bit for bit, job in enumerate(before.runs)}
    jobs = identities["last_seen_job"].combine_chunks().dictionary_encode()
    seen_of = np.array([bits.get(job, _LONG_AGO) for job in jobs.dictionary.to_pylist()], np.int64)
    seen = seen_of[jobs.indices.to_numpy()] if len(jobs) else np.empty(0, np.int64)
    may = pc.is_in(identities["state"], pa.array(_OPEN)).to_numpy(zero_copy_only=False)
    lists = before.items["cluster_ids"].combine_chunks()
    owner = pc.index_in(lists.flatten(), identities["cluster_id"].combine_chunks())
    item = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
    owner = owner.to_numpy(zero_copy_only=False).astype(np.int64)
    row = _rows_of(before.items["vector_id"], found.items["vector_id"])
    open_ = may & (seen < look_back)
    here = (row[item] >= 0) & open_[owner]
    return _Known(
        identities=identities,
        before=Before(
            row=row[item[here]],
            identity=owner[here],
            held=_by_row(before.items["held"], row, len(found.items)),
            clustered=_by_row(before.items["clustered"], row, len(found.items)),
            seen=seen,
            open=open_,
        ),
        sizes=np.bincount(owner, minlength=len(identities)),
        item=item,
        owner=owner,
        row=row,
    )


def _rows_of(wanted: pa.ChunkedArray, names: pa.ChunkedArray) -> I64:
    found = pc.index_in(wanted, names.combine_chunks()).fill_null(-1)
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _by_row(mask: pa.ChunkedArray, row: I64, n: int) -> "np.ndarray[Any, np.dtype[np.uint32]]":
    bits = np.zeros(n, dtype=np.uint32)
    bits[row[row >= 0]] = mask.to_numpy()[row >= 0]
    return bits


def _texts(column: pa.ChunkedArray) -> Texts:
    return np.asarray(column.to_numpy(), dtype=object)


def _own_names(found: Found, now: Now, given: I64, names: Texts) -> Texts:
    """Return the id of each cluster, new ones for those that have none."""
    own = np.full(found.clusters, None, dtype=object)
    own[given != NOBODY] = names[given[given != NOBODY]]
    taken = set(names.tolist())
    for cluster, members in _members(found, now.cluster, given == NOBODY):
        own[cluster] = mint(found, members, taken)
        taken.add(own[cluster])
    return own


def mint(found: Found, members: list[str], taken: Collection[str]) -> str:
    """Make an id of the level, the run, and the members that the cluster is born with.

    Args:
        found: names the level and the run.
        members: sorted vector ids.
        taken: ids that there are already.
    """
    digest = hashlib.sha256("\n".join([found.level, found.job_id, *members]).encode())
    for number in count():
        name = f"{found.cluster_type}_{digest.hexdigest()[:_DIGITS]}"
        if name not in taken:
            return name
        digest.update(f"\n{number}".encode())
    raise AssertionError  # `count` has no end


def _members(found: Found, cluster: I32, wanted: Mask) -> Iterator[tuple[int, list[str]]]:
    """Yield the sorted vector ids of the clusters that are wanted."""
    rows = np.flatnonzero(cluster >= 0)
    rows = rows[wanted[cluster[rows]]]
    rows = rows[np.argsort(cluster[rows], kind="stable")]
    vector_ids = found.items["vector_id"].take(pa.array(rows)).to_pylist()
    starts = np.flatnonzero(np.diff(cluster[rows], prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(rows)]):
        yield int(cluster[rows[start]]), vector_ids[start:stop]


class _Explained:
    """Why: the links of each cluster and of each id, as JSON."""

    def __init__(self, links: Links, states: Texts, given: I64, names: Texts, own: Texts) -> None:
        awake = (states == "active") | (states == "dormant")
        mine = given[links.cluster] == links.identity
        told = awake[links.identity] | mine
        self.of_clusters = related(links.cluster, links.identity, links, names, told)
        self.of_ids = related(links.identity, links.cluster, links, own, awake[links.identity])


def _identities(before: pa.Table, found: Found, given: I64, fates: Fates, own: Texts) -> pa.Table:
    """Return the rows of all ids after the run."""
    kept = given != NOBODY
    going = given[kept]
    seen = np.zeros(len(before), dtype=bool)
    seen[going] = True
    grown = np.zeros(len(before), dtype=np.int32)
    grown[going] = fates.changed[kept] != 0
    changed = seen | (fates.change != None)  # noqa: E711 - of each element
    rows = before.filter(pa.array(changed))
    at = np.flatnonzero(changed)
    columns: dict[str, Any] = {name: rows[name] for name in IDENTITIES.names}
    columns["state"] = pa.array(fates.state[at], pa.string())
    for name, value in (("last_seen_job", found.job_id), ("last_seen_at", found.as_of)):
        kind = IDENTITIES.field(name).type
        columns[name] = pc.if_else(pa.array(seen[at]), pa.scalar(value, kind), rows[name])
    columns["successors"] = pa.array(
        [own[fates.successors.get(number, [])].tolist() for number in at.tolist()],
        IDENTITIES.field("successors").type,
    )
    columns["version"] = pc.add(rows["version"], pa.array(grown[at]))
    new = born(sorted(own[~kept].tolist()), found.job_id, found.as_of)
    parts = [before.filter(pa.array(~changed)), pa.table(columns).cast(IDENTITIES), new]
    return pa.concat_tables(parts).sort_by("cluster_id").combine_chunks()


def _ids(own: Texts, names: Texts, fates: Fates) -> pa.Table:
    columns = {
        "cluster_id": own.tolist(),
        "previous_ids": [names[previous].tolist() for previous in fates.previous],
        "change": fates.cluster_change.tolist(),
        "changed": pa.array(fates.changed, from_pandas=True),
    }
    return pa.table(columns, schema=IDS)


def _lineage(
    fates: Fates, own: Texts, names: Texts, sizes: Sizes, explained: _Explained
) -> pa.Table:
    clusters = range(len(own))
    gone = np.flatnonzero(fates.change != None)  # noqa: E711 - of each element
    columns = {
        "cluster_id": [*own.tolist(), *names[gone].tolist()],
        "change": [*fates.cluster_change.tolist(), *fates.change[gone].tolist()],
        "size": np.append(sizes.now, np.zeros(len(gone), dtype=np.int64)),
        "related": [
            *(explained.of_clusters.get(number, b"[]").decode() for number in clusters),
            *(explained.of_ids.get(number, b"[]").decode() for number in gone.tolist()),
        ],
    }
    return pa.table(columns, schema=LINEAGE).sort_by("cluster_id").combine_chunks()


def _items(
    before: Registry,
    found: Found,
    known: _Known,
    now: Now,
    own: Texts,
    given: I64,
    look_back: int,
) -> pa.Table:
    """Return the items that the next run may need: those of this run first, then those before."""
    n = len(found.items)
    masks = _shifted(before, known, now, look_back)
    # Of ids that are a cluster now the present members count, of the others those of then.
    asleep = np.asarray(known.before.open & (known.before.seen + 1 < look_back))
    asleep[given[given != NOBODY]] = False
    old = asleep[known.owner]
    absent = known.row < 0
    place = np.where(absent, n + np.cumsum(absent) - 1, known.row)
    members = np.flatnonzero(now.cluster >= 0)
    at = np.concatenate([members, place[known.item[old]]])
    cluster_ids = pa.concat_arrays(
        [
            pa.array(own, pa.string()).take(pa.array(now.cluster[members])),
            known.identities["cluster_id"].combine_chunks().take(pa.array(known.owner[old])),
        ]
    )
    order = np.argsort(at, kind="stable")
    offsets = np.append(0, np.cumsum(np.bincount(at, minlength=n + int(absent.sum()))))
    earlier = before.items.filter(pa.array(absent))
    table = pa.table(
        {
            **{
                name: pa.chunked_array(
                    [*found.items[name].chunks, *earlier[name].chunks], pa.string()
                )
                for name in ("vector_id", "document_id")
            },
            **masks,
            "cluster_ids": pa.ListArray.from_arrays(
                offsets.astype(np.int32), cluster_ids.take(pa.array(order))
            ),
        }
    )
    needed = (masks["held"] > 0) | (np.diff(offsets) > 0)
    return table.cast(ITEMS).filter(pa.array(needed)).combine_chunks()


def _shifted(
    before: Registry, known: _Known, now: Now, look_back: int
) -> dict[str, "np.ndarray[Any, np.dtype[np.uint32]]"]:
    """Return the masks of the new items: those of before one run further back, and this run's."""
    within = np.uint32((1 << look_back) - 1)
    here = {"held": now.cluster >= _NOISE, "clustered": now.cluster >= 0}
    masks = {}
    for name, present in here.items():
        old = getattr(known.before, name)
        mine = (old << np.uint32(1)) | present.astype(np.uint32)
        absent = before.items[name].to_numpy()[known.row < 0] << np.uint32(1)
        masks[name] = np.concatenate([mine, absent]) & within
    return masks
