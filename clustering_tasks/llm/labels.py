"""Whether what a language model writes may be a label: one short line, of what the texts say."""

import re
from collections.abc import Iterable

from clustering_tasks.llm.questions import LONGEST
from clustering_tasks.stage3.text import clean, matching

_MARKUP = re.compile(r"[<>{}\[\]`|\\]|://|\bwww\.", re.I)
_AT_ENDS = " \t\n\"'\u201c\u201d\u00ab\u00bb"
_WORD = re.compile(r"\w+")
_BEGINNING = 4  # letters by which the first word, whose capital may mean nothing, is found


def as_label(text: str) -> str | None:
    """Return a text as a label; None where it is none: empty, too long, with markup or a link."""
    if _MARKUP.search(text):
        return None
    label = clean(text).strip(_AT_ENDS)
    if label.endswith(".") and not label.endswith(".."):
        label = label[:-1].rstrip()
    if not label or len(label) > LONGEST or _MARKUP.search(label):  # of entities of HTML, too
        return None
    return label if _WORD.search(label) else None


def names_are_said(label: str, texts: Iterable[str | None]) -> bool:
    """Tell whether texts have each name and number of a label.

    A word counts as one unless it begins with a small letter; so does every word of a script
    without capitals. Of the label's first word the beginning is enough.
    """
    said = {word for text in texts if text for word in _words(text)}
    first, *others = _WORD.findall(label) or [""]
    beginning = matching(first)[:_BEGINNING]
    if not first[:1].islower() and not any(word.startswith(beginning) for word in said):
        return False
    return all(word[0].islower() or said.issuperset(_words(word)) for word in others)


def _words(text: str) -> list[str]:
    return _WORD.findall(matching(text))
