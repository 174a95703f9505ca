"""Pronouns to what they stand for, and clusters that the same pronouns stand for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from clustering_tasks.arrays import I32, I64
from clustering_tasks.engine.disjoint_set import find
from clustering_tasks.language.name_keys import gender
from clustering_tasks.steps.merge.antecedents import Antecedents
from clustering_tasks.steps.merge.assignments import NOISE
from clustering_tasks.steps.merge.entity_joins import Named
from clustering_tasks.steps.merge.mentioned import Mentioned, members_of

_PRONOUNS = 0.8  # of a cluster's items, that are pronouns of one gender
_COVERED = 0.5  # of the documents of pronouns, that have the name that they stand for
_ELSEWHERE = 0.5  # of these documents, that may have another name
_GENDER = 0.6  # of the items of a name's pronouns, that have one gender
_FEWEST_OF_TWO = 2  # pronouns of a cluster that stand for each of two others


def names_in_documents(named: Sequence[Named], known: Mentioned) -> dict[tuple[int, int], set[int]]:
    """Return the clusters with a name by their type and the documents that they are in."""
    found: dict[tuple[int, int], set[int]] = {}
    for each in named:
        for document in known.documents(each.members):
            found.setdefault((each.type_of, document), set()).add(each.cluster)
    return found


def pronouns_of(labels: I32, named: Sequence[Named], known: Mentioned) -> dict[int, int]:
    """Return the cluster of a name for clusters of pronouns that can stand for no other.

    It is in most of their documents, in which hardly another name of the type is, and most of its
    pronouns are of one gender.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        named: clusters with a name.
        known: of the nodes.
    """
    in_document = names_in_documents(named, known)
    found, votes = list[tuple[int, int, str]](), dict[int, Counter[str]]()
    for cluster, members in members_of(labels):
        said = _gender(known.counts(members))
        documents = known.documents(members)
        if said is None or not documents:
            continue
        kind = int(known.type_of[members[0]])
        names = Counter(name for d in documents for name in in_document.get((kind, d), ()))
        (name, often), (_, second) = [*names.most_common(2), (-1, 0), (-1, 0)][:2]
        if often >= _COVERED * len(documents) and second <= _ELSEWHERE * often:
            found.append((cluster, name, said))
            votes.setdefault(name, Counter())[said] += known.items(members)
    return {
        cluster: name
        for cluster, name, said in found
        if votes[name][said] > _GENDER * votes[name].total()
    }


def _gender(counts: Counter[str]) -> str | None:
    """Return the gender of mentions that are nearly all pronouns of it."""
    said = Counter[str]()
    for mention, items in counts.items():
        if (of := gender(mention)) is not None:
            said[of] += items
    most, items = next(iter(said.most_common(1)), ("", 0))
    return most if items and items >= _PRONOUNS * counts.total() else None


def of_one_pronoun(
    labels: I32, stands: Antecedents, named: Sequence[Named], known: Mentioned, story_floor: float
) -> I32:
    """Return what each cluster becomes where pronouns of one cluster stand for two others.

    The clustering has put pronouns together for what is said of them, so what they stand for is
    one thing: "the boss hanged himself", "Lo Presti hanged himself". Two different names are not.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        stands: the level's pronouns.
        named: clusters with a name.
        known: of the nodes.
        story_floor: least cosine of two stories that are one.

    Returns:
        (c,) the lowest cluster of each one's group.
    """
    parent = np.arange(int(labels.max(initial=-1)) + 1, dtype=np.int32)
    members = dict(members_of(labels))
    names = {each.cluster: {each.key} for each in named if each.pure}
    for most, other in _one_pronoun(labels, stands, known):
        low, high = sorted((find(parent, most), find(parent, other)))
        both = names.get(low, set()) | names.get(high, set())
        if low == high or len(both) > max(len(names.get(low, ())), len(names.get(high, ())), 1):
            continue
        if known.share_stories([members[most]], [members[other]], story_floor).any():
            parent[high] = low
            names[low] = both
    roots = [find(parent, cluster) for cluster in range(len(parent))]
    return np.array(roots, dtype=np.int32)


def _one_pronoun(labels: I32, stands: Antecedents, known: Mentioned) -> Iterator[tuple[int, int]]:
    """Yield pairs of clusters that several pronouns of one cluster stand for, the larger first."""
    counts: dict[int, Counter[int]] = {}
    told = (stands.of >= 0) & ~stands.relative
    for pronoun, of in zip(stands.pronoun[told].tolist(), stands.of[told].tolist(), strict=True):
        cluster, other = int(labels[pronoun]), int(labels[of])
        if cluster >= 0 and other >= 0:
            counts.setdefault(cluster, Counter())[other] += int(known.weight[pronoun])
    for cluster in sorted(counts):
        often = sorted((-count, other) for other, count in counts[cluster].items())
        enough = [other for count, other in often if -count >= _FEWEST_OF_TWO]
        yield from ((enough[0], other) for other in enough[1:])


def to_antecedents(
    labels: I32, stands: Antecedents, named: Sequence[Named], known: Mentioned
) -> tuple[I32, I64]:
    """Put each pronoun to what it stands for; what was alone becomes a cluster with it.

    A person's pronoun without anything before it goes to the only name of its document. Where it
    is not sure what a pronoun stands for, one in a cluster with a name stays there.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        stands: the level's pronouns.
        named: clusters with a name.
        known: of the nodes.

    Returns:
        labels with new clusters behind the others; and the nodes that have another one than before.
    """
    before, labels = labels, labels.copy()
    with_name = np.zeros(int(labels.max(initial=-1)) + 2, dtype=bool)
    with_name[[each.cluster for each in named]] = True
    in_document = names_in_documents(named, known)
    count = len(with_name) - 1
    columns = (stands.pronoun, stands.of, stands.surest, stands.opening)
    for node, of, sure, opening in zip(*(each.tolist() for each in columns), strict=True):
        free = not with_name[before[node]]
        if before[node] >= NOISE and of >= 0 and (sure or free):
            if labels[of] < 0:
                labels[of] = count
                count += 1
            labels[node] = labels[of]
        elif before[node] >= NOISE and opening and free:
            names = in_document.get((int(known.type_of[node]), int(known.document[node])), set())
            labels[node] = next(iter(names)) if len(names) == 1 else labels[node]
    return labels, np.flatnonzero(labels != before)


def renamed(named: Sequence[Named], labels: I32) -> list[Named]:
    """Return clusters with a name by the clusters that their nodes are in now."""
    return [replace(each, cluster=int(labels[each.members[0]])) for each in named]
