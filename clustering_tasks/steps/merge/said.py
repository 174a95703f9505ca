"""What is said in a sentence, in the order of the text."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clustering_tasks.arrays import Mask
from clustering_tasks.language.entity_names import Kind
from clustering_tasks.language.pronouns import Reference, reference
from clustering_tasks.steps.merge.mentioned import Mentioned, members_of


@dataclass(frozen=True)
class Said:
    """A mention in a sentence.

    Attributes:
        node: that it is of.
        start: in the sentence, of its first occurrence.
        end: behind its last letter.
        text: number of its text.
        type_of: number of its type.
        kind: of its text.
        refers: to something before it, and how; None: it does not.
    """

    node: int
    start: int
    end: int
    text: int
    type_of: int
    kind: Kind
    refers: Reference | None


def said_with(known: Mentioned, wanted: Mask) -> Iterator[tuple[str, list[Said]]]:
    """Yield each sentence with a node that is wanted, (n,), and the mentions that it has."""
    asked = np.unique(known.sentence[wanted & (known.sentence >= 0)])
    inside = np.isin(known.sentence, asked) & (known.sentence >= 0)
    for number, members in members_of(np.where(inside, known.sentence, -1)):
        sentence, found = known.sentences[number], list[Said]()
        for node in members.tolist():
            text = int(known.text[node])
            mention = known.texts[text] if text >= 0 else ""
            start = _find(mention, sentence) if mention else -1
            if start >= 0:
                said = (text, int(known.type_of[node]), known.kinds[text], reference(mention))
                found.append(Said(node, start, start + len(mention), *said))
        yield sentence, sorted(found, key=lambda each: (each.start, each.end, each.node))


def _find(mention: str, sentence: str) -> int:
    """Return where a mention begins that is no part of a word; -1 for nowhere."""
    at = sentence.find(mention)
    while at >= 0:
        around = sentence[max(at - 1, 0) : at], sentence[at + len(mention) :][:1]
        if not any(each.isalnum() for each in around):
            return at
        at = sentence.find(mention, at + 1)
    return -1
