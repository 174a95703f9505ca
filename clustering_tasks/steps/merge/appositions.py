"""Common nouns that stand beside a person's name: "actress Lindsay Lohan", "Felt, the source"."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from clustering_tasks.arrays import I32
from clustering_tasks.language.english import words
from clustering_tasks.steps.merge.entity_joins import Named
from clustering_tasks.steps.merge.mentioned import PERSON, Mentioned, members_of
from clustering_tasks.steps.merge.said import Said, said_with

_COVERED = 0.5  # of the documents of a noun's cluster, that have the name
_ARTICLES = words(
    "the a an el la los las un una le les l' l\u2019 une il lo uno der die das ein eine het een"
)


def nouns_of(labels: I32, named: Sequence[Named], known: Mentioned) -> I32:
    """Return what each cluster becomes where its nouns stand beside one name alone.

    Of persons only: a place beside a place is a part of it, and so are organisations.

    Args:
        labels: (n,) clusters of the nodes, negative for none.
        named: clusters with a name.
        known: of the nodes.

    Returns:
        (c,) the cluster of the name, or its own.
    """
    target = np.arange(int(labels.max(initial=-1)) + 1, dtype=np.int32)
    members = dict(members_of(labels))
    with_name = {each.cluster for each in named}
    beside = dict[int, Counter[int]]()
    for noun, name in _appositions(known):
        cluster, other = int(labels[noun]), int(labels[name])
        if cluster >= 0 and cluster not in with_name and other in with_name:
            beside.setdefault(cluster, Counter())[other] += 1
    for cluster, names in beside.items():
        documents, name = known.documents(members[cluster]), min(names)
        shared = documents & known.documents(members[name])
        if len(names) == 1 and len(shared) >= _COVERED * len(documents):
            target[cluster] = name
    return target


def _appositions(known: Mentioned) -> Iterator[tuple[int, int]]:
    """Yield the nodes of nouns and of the names beside which they stand."""
    if PERSON not in known.types:
        return
    nouns = np.array([*(kind == "noun" for kind in known.kinds), False])[known.text]
    person = known.type_of == known.types.index(PERSON)
    for sentence, said in said_with(known, nouns & person):
        for one, other in pairwise(said):
            if one.type_of != other.type_of or known.types[one.type_of] != PERSON:
                continue
            between = sentence[one.end : other.start].strip() if one.end <= other.start else "-"
            if _noun_first(one, other) and between in ("", ","):
                yield one.node, other.node
            elif _noun_first(other, one) and _is_article(between):
                yield other.node, one.node


def _noun_first(one: Said, other: Said) -> bool:
    return one.kind == "noun" and other.kind == "name"


def _is_article(between: str) -> bool:
    """Whether a comma, and perhaps an article, is all that is between two mentions."""
    return between[:1] == "," and (between == "," or between[1:].strip() in _ARTICLES)
