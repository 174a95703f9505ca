"""What pronouns stand for: a mention of their type before them, in their sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import I32, Mask
from clustering_tasks.language.pronouns import reference
from clustering_tasks.steps.merge.mentioned import Mentioned
from clustering_tasks.steps.merge.said import Said, said_with


@dataclass(frozen=True)
class Antecedents:
    """The pronouns of a level, p, each behind those that it may stand for.

    Attributes:
        pronoun: (p,) int32 nodes.
        of: (p,) int32 the node that each stands for, -1 for unknown.
        surest: (p,) where it is a name, or whatever is before a pronoun that is no person's.
        relative: (p,) "who", "which": of their own sentence alone.
        opening: (p,) persons' pronouns with nothing before them.
    """

    pronoun: I32
    of: I32
    surest: Mask
    relative: Mask
    opening: Mask


def antecedents(known: Mentioned) -> Antecedents:
    """Find what each pronoun of a level stands for.

    A relative pronoun stands for the last mention of its type before it, and so do "it" and
    "they". "He" and "she" stand for the last name; without one, for the only thing there is.
    """
    refers = [*(reference(text) is not None for text in known.texts), False]
    sentences = said_with(known, np.array(refers)[known.text])
    rows = [row for _, said in sentences for row in _read(said)]
    columns = np.array(rows, dtype=np.int32).reshape(-1, 5).T
    return Antecedents(columns[0], columns[1], *(column != 0 for column in columns[2:]))


def _read(sentence: Sequence[Said]) -> Iterator[tuple[int, int, bool, bool, bool]]:
    """Yield a row of `Antecedents` for each pronoun of a sentence."""
    nearest_last = sorted(sentence, key=lambda each: (each.end, each.start, -each.node))
    for each in sentence:
        if each.refers is None:
            continue
        before = [other for other in reversed(nearest_last) if _may_stand_for(each, other)]
        things = [each for each in before if each.refers is None and each.kind != "pronoun"]
        if each.refers == "person":
            names = [other for other in things if other.kind == "name"]
            found = names[:1] or (things if len(things) == 1 else [])
            sure = bool(names)
        else:
            found, sure = before[:1], True
        of = found[0].node if found else -1
        opening = each.refers == "person" and not things
        yield each.node, of, sure, each.refers == "relative", opening


def _may_stand_for(pronoun: Said, other: Said) -> bool:
    """Whether another mention is before a pronoun, and of its type."""
    return (
        other.end <= pronoun.start
        and other.type_of == pronoun.type_of
        and other.text != pronoun.text
    )
