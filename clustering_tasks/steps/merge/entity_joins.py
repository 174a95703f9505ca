"""Clusters of mentions that are surely of one entity: of one name, its short form, its acronym."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.engine.exact import cosines
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.language.entity_names import BETWEEN, is_pure, name_entity
from clustering_tasks.language.name_keys import initials, is_date, name_key
from clustering_tasks.steps.merge.mentioned import (
    MEASURES,
    PERSON,
    Mentioned,
    centroids,
    members_of,
)
from clustering_tasks.workspace.vector_files import VectorFile

_AT_ONCE = 1024  # rows of a block of cosines
_NAMED = 0.5  # of a cluster's items but for pronouns, that are names


@dataclass(frozen=True)
class Named:
    """A cluster with a name.

    Attributes:
        cluster: its number.
        members: its nodes.
        type_of: number of its type.
        key: its name, as it is compared.
        pure: whether the name has no common noun beside it.
    """

    cluster: int
    members: I64
    type_of: int
    key: str
    pure: bool


@dataclass(frozen=True)
class Link:
    """Clusters that are one, as far as their names say.

    Attributes:
        numbers: (k,) in a list of `Named`.
        reason: why.
        which: (k, k) the pairs of them that are meant; None: all.
    """

    numbers: Sequence[int]
    reason: str
    which: Mask | None = None


def named_clusters(labels: I32, known: Mentioned) -> list[Named]:
    """Return the clusters whose mentions, but for pronouns, are mostly names, in their order."""
    found = []
    for cluster, members in members_of(labels):
        names, nouns = (known.items(known.kind(members, kind)) for kind in ("name", "noun"))
        if not names or names < _NAMED * (names + nouns):
            continue
        entity = name_entity(known.counts(members).elements(), known.common)
        key = name_key(entity.name) if entity is not None and entity.kind == "name" else ""
        if key:
            pure = entity is not None and is_pure(entity.name)
            found.append(Named(cluster, members, int(known.type_of[members[0]]), key, pure))
    return found


def links(named: Sequence[Named], known: Mentioned, story_floor: float) -> Iterator[Link]:
    """Yield the clusters whose names say that they are one.

    A name of several words, or of one that is no person's, is one entity in any story. A person's
    single name is one in a story, and is short for the only longer name there that ends with it.
    Acronyms stand for the only name of the level with these initials.

    Args:
        named: the clusters.
        known: of the nodes.
        story_floor: least cosine of two stories that are one.
    """
    of_key = _by_key(named, known)

    def one_story(ones: Sequence[int], others: Sequence[int]) -> Mask:
        first, second = ([named[number].members for number in each] for each in (ones, others))
        return known.share_stories(first, second, story_floor)

    for (kind, key), found in of_key.items():
        if " " in key or known.types[kind] != PERSON:
            yield Link(found, "same_name")
        elif len(found) > 1:
            yield Link(found, "same_name", one_story(found, found))
    longer = _longer_names(of_key, known)
    for place in [place for place in of_key if place in longer]:
        others = np.array(longer[place])
        for one, near in zip(of_key[place], one_story(of_key[place], longer[place]), strict=True):
            hits = others[near].tolist()
            if len({named[other].key for other in hits}) == 1:  # they are one by that already
                yield Link([*hits, one], "short_name")
    for (kind, short), names in _acronyms(of_key).items():
        if len(names) == 1:
            long, brief = of_key[kind, next(iter(names))], of_key[kind, short]
            is_long = np.arange(len(long) + len(brief)) < len(long)
            yield Link([*long, *brief], "acronym", is_long[:, None] != is_long)


_ByKey = dict[tuple[int, str], list[int]]


def _by_key(named: Sequence[Named], known: Mentioned) -> _ByKey:
    """Return the numbers of clusters by type and name, without those of measures and dates."""
    of_key: _ByKey = {}
    for number, each in enumerate(named):
        if known.types[each.type_of] not in MEASURES and not is_date(each.key):
            of_key.setdefault((each.type_of, each.key), []).append(number)
    return of_key


def _longer_names(of_key: _ByKey, known: Mentioned) -> _ByKey:
    """Return the clusters of persons by the last word of their names of several words."""
    longer: _ByKey = {}
    for (kind, key), found in of_key.items():
        if known.types[kind] == PERSON and " " in key:
            longer.setdefault((kind, key.rpartition(" ")[2]), []).extend(found)
    return longer


def _acronyms(of_key: _ByKey) -> dict[tuple[int, str], set[str]]:
    """Return the names by their initials, where these are a name, too."""
    of: dict[tuple[int, str], set[str]] = {}
    for kind, key in of_key:
        short = initials(key, BETWEEN)
        if (kind, short) in of_key:
            of.setdefault((kind, short), set()).add(key)
    return of


def joined(
    named: Sequence[Named],
    found: Sequence[Link],
    nodes: Nodes,
    vectors: VectorFile,
    least: float,
) -> tuple[I32, dict[int, str]]:
    """Join what is linked and alike.

    Args:
        named: c clusters.
        found: links between them.
        nodes: of the level.
        vectors: of the snapshot.
        least: cosine of two centroids that are joined.

    Returns:
        (c,) the first cluster of each one's group, and why each of the others has joined.
    """
    parent = np.arange(len(named), dtype=np.int32)
    ends = sorted({end for link in found for end in link.numbers})
    place = np.zeros(len(named), dtype=np.int64)
    place[ends] = np.arange(len(ends))
    means = centroids(nodes, vectors, [named[end].members for end in ends])
    reasons = dict[int, str]()
    for link in found:
        for first, others in _alike(link, means[place[[*link.numbers]]], least):
            for other in others:
                low, high = sorted((find(parent, first), find(parent, other)))
                if low != high:
                    parent[high] = low
                    reasons[high] = link.reason
    roots = [find(parent, number) for number in range(len(named))]
    return np.array(roots, dtype=np.int32), reasons


def _alike(link: Link, means: F32, least: float) -> Iterator[tuple[int, list[int]]]:
    """Yield of clusters those that are alike, directly or by others: the first, and the rest."""
    if len(link.numbers) < 2:
        return
    near = np.concatenate(
        [
            cosines(means[at : at + _AT_ONCE], means) >= least
            for at in range(0, len(means), _AT_ONCE)
        ]
    )
    if link.which is not None:
        near &= link.which
    group = connected_components(csr_array(near), directed=False)[1]
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order])) + 1
    for members in np.split(order, starts):
        if len(members) > 1:
            first, *others = (link.numbers[at] for at in members.tolist())
            yield first, others


def grouped(named: Sequence[Named], group: I32) -> list[Named]:
    """Return the clusters that `joined` has made of those with a name, in their order.

    Args:
        named: c clusters.
        group: (c,) the first cluster of each one's group.
    """
    members: dict[int, list[I64]] = {}
    for each, first in zip(named, group.tolist(), strict=True):
        members.setdefault(first, []).append(each.members)
    return [
        replace(named[first], members=np.sort(np.concatenate(each)))
        for first, each in members.items()
    ]
