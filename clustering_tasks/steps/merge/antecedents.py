"""What pronouns stand for: a mention of their type before them, in their sentence."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clustering_tasks.arrays import I32, Mask
from clustering_tasks.language.pronouns import Reference, reference
from clustering_tasks.steps.merge.mentioned import Mentioned, members_of


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


@dataclass(frozen=True)
class _Said:
    """A mention in a sentence: its node, where it begins and ends, and what kind it is."""

    node: int
    start: int
    end: int
    text: int
    type_of: int
    is_name: bool
    refers: Reference | None


def antecedents(known: Mentioned) -> Antecedents:
    """Find what each pronoun of a level stands for.

    A relative pronoun stands for the last mention of its type before it, and so do "it" and
    "they". "He" and "she" stand for the last name; without one, for the only thing there is.
    """
    rows = [row for sentence in _sentences(known) for row in _read(sentence)]
    columns = np.array(rows, dtype=np.int32).reshape(-1, 5).T
    return Antecedents(columns[0], columns[1], *(column != 0 for column in columns[2:]))


def _sentences(known: Mentioned) -> Iterator[list[_Said]]:
    """Yield what is said in each sentence that has a pronoun, in the order of the text."""
    refers = [reference(text) for text in known.texts]
    is_pronoun = np.array([*(each is not None for each in refers), False])[known.text]
    asked = np.unique(known.sentence[is_pronoun & (known.sentence >= 0)])
    for _, members in members_of(np.where(np.isin(known.sentence, asked), known.sentence, -1)):
        said = []
        sentence = known.sentences[int(known.sentence[members[0]])]
        for node in members.tolist():
            text = int(known.text[node])
            place = _word(known.texts[text]).search(sentence) if text >= 0 else None
            if place is not None:
                is_name = known.kinds[text] == "name"
                kind = int(known.type_of[node])
                said.append(_Said(node, *place.span(), text, kind, is_name, refers[text]))
        yield sorted(said, key=lambda each: (each.start, each.end, each.node))


@lru_cache(1 << 13)
def _word(mention: str) -> "re.Pattern[str]":
    return re.compile(rf"(?<!\w){re.escape(mention)}(?!\w)")


def _read(sentence: Sequence[_Said]) -> Iterator[tuple[int, int, bool, bool, bool]]:
    """Yield a row of `Antecedents` for each pronoun of a sentence."""
    for each in sentence:
        if each.refers is None:
            continue
        before = [
            other
            for other in sorted(sentence, key=lambda other: (-other.end, -other.start, other.node))
            if other.end <= each.start and other.type_of == each.type_of and other.text != each.text
        ]
        things = [other for other in before if other.refers is None]
        if each.refers == "person":
            names = [other for other in things if other.is_name]
            found = names[:1] or (things if len(things) == 1 else [])
            sure = bool(names)
        else:
            found, sure = before[:1], True
        of = found[0].node if found else -1
        opening = each.refers == "person" and not things
        yield each.node, of, sure, each.refers == "relative", opening
