"""Clusters of mentions that contradict each other: two persons, two sums, two days.

Surnames and common nouns are the weak bridges between two dense groups: "Jenkin" is like "John
Jenkin" and like "Kathryn Jenkin", and "$184 million" is a text much like "$200 million". Each
group becomes a cluster, and what contradicts none goes to the nearest.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import numpy as np

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.exact import cosines
from clustering_tasks.graph.nodes import Nodes
from clustering_tasks.language.name_keys import (
    full_name,
    is_quantity,
    may_be_one,
    name_key,
    numbers_in,
    script,
)
from clustering_tasks.steps.merge.mentioned import (
    MEASURES,
    PERSON,
    Mentioned,
    centroids,
    members_of,
)
from clustering_tasks.workspace.vector_files import VectorFile

# A name that is said once may be a slip, or a reporter's spelling.
_FEWEST_OF_NAMES = 2

_Sign = TypeVar("_Sign", bound=Hashable)


def cut_contradictions(
    labels: I32, known: Mentioned, nodes: Nodes, vectors: VectorFile
) -> tuple[I32, dict[str, I64]]:
    """Cut clusters whose mentions name different persons, or have different numbers or weekdays.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        known: of the nodes.
        nodes: of the level.
        vectors: of the snapshot.

    Returns:
        labels with new clusters behind the others, the largest piece of each keeping its number;
        and the nodes that have left, by reason.
    """
    labels, count = labels.copy(), int(labels.max(initial=-1)) + 1
    left: dict[str, list[I64]] = {"different_names": [], "different_numbers": []}
    for _, members in members_of(labels):
        reason, piece = _pieces(members, known)
        if not piece.max(initial=0):
            continue
        _place_others(piece, members, nodes, vectors)
        gone = members[piece > 0]
        labels[gone] = count + piece[piece > 0] - 1
        count += int(piece.max())
        left[reason].append(gone)
    return labels, {name: np.concatenate([*each, np.empty(0, int)]) for name, each in left.items()}


def _pieces(members: I64, known: Mentioned) -> tuple[str, I32]:
    """Return why a cluster is cut, and the piece of each member, -1 for any."""
    kind = known.types[int(known.type_of[members[0]])]
    if kind == PERSON:
        names = _full_names(members, known)
        weight = known.weight[members].tolist()
        return "different_names", _grouped(names, weight, may_be_one, _FEWEST_OF_NAMES)
    texts = [_text(known, node) for node in members.tolist()]
    # a number within a name tells no more than its other words: "Bank 3", "Windows 7 SP1"
    of_measure = kind in MEASURES
    numbers = [
        numbers_in(text) if of_measure or is_quantity(text) else frozenset[str]() for text in texts
    ]
    return "different_numbers", _grouped(numbers, known.weight[members].tolist(), _nested, 1)


def _full_names(members: I64, known: Mentioned) -> list[tuple[str, ...]]:
    """Return the full names of members, () of none and of what another script writes.

    Names of two scripts cannot be compared: the one that most are written in decides.
    """
    named = set(known.kind(members, "name").tolist())
    keys = [name_key(_text(known, n)) if n in named else "" for n in members.tolist()]
    names = [full_name(key) for key in keys]
    scripts = [script(key) if full else "" for key, full in zip(keys, names, strict=True)]
    said = Counter[str]()
    for each, items in zip(scripts, known.weight[members].tolist(), strict=True):
        said[each] += items if each else 0
    first = min(said, key=lambda each: (-said[each], each), default="")
    return [full if each == first else () for full, each in zip(names, scripts, strict=True)]


def _text(known: Mentioned, node: int) -> str:
    return known.texts[text] if (text := int(known.text[node])) >= 0 else ""


def _nested(one: frozenset[str], other: frozenset[str]) -> bool:
    return one <= other or other <= one


def _grouped(
    signs: list[_Sign], weight: Iterable[int], alike: Callable[[_Sign, _Sign], bool], fewest: int
) -> I32:
    """Group what has a sign by what goes together: (m,) from 0 for the most items, -1 for none.

    Args:
        signs: of each member, empty for none.
        weight: items of each.
        alike: whether two signs go together.
        fewest: items of a group.
    """
    counts = Counter[_Sign]()
    for sign, items in zip(signs, weight, strict=True):
        if sign:
            counts[sign] += items
    groups: list[list[_Sign]] = []
    for sign in sorted(counts, key=lambda sign: (-counts[sign], sorted(sign))):  # type: ignore[call-overload]
        home = next((group for group in groups if any(alike(sign, each) for each in group)), None)
        if home is None:
            groups.append([sign])
        else:
            home.append(sign)
    sizes = [sum(counts[sign] for sign in group) for group in groups]
    kept = sorted(
        (at for at, size in enumerate(sizes) if size >= fewest), key=lambda at: -sizes[at]
    )
    of = {sign: number for number, at in enumerate(kept) for sign in groups[at]}
    return np.array([of.get(sign, -1) for sign in signs], dtype=np.int32)


def _place_others(piece: I32, members: I64, nodes: Nodes, vectors: VectorFile) -> None:
    """Put members of no piece, -1, to the one whose centroid is nearest."""
    free = piece < 0
    if not free.any():
        return
    groups = [members[piece == number] for number in range(int(piece.max()) + 1)]
    means = centroids(nodes, vectors, groups)
    own = vectors.take(nodes.row[members[free]])
    piece[free] = cosines(own, means).argmax(axis=1)
