"""A text as one short line."""

from clustering_tasks.stage3.text import clean, cut
from clustering_tasks.steps.label.sentences import is_abbreviated

_LONGEST = 100


def shorten(text: str) -> str:
    """Put a text on one line of at most 100 characters, cut between words."""
    line = " ".join(text.split())
    if line.endswith(".") and not line.endswith("..."):
        bare = line.rstrip(". ")  # a label is no sentence
        line = f"{bare}." if is_abbreviated(bare) else bare
    if len(line) <= _LONGEST:
        return line
    shown = cut(line, _LONGEST)[:-1]
    return (shown.rpartition(" ")[0] or shown).rstrip(" ,;:-\u2013\u2014") + "…"


def name_of_id(source_id: str, otherwise: str) -> str:
    """Name an item without any text by its id, as far as a person can read it.

    Args:
        source_id: of the item; the item rule of ids lets through what nobody sees.
        otherwise: where nothing of the id is seen.
    """
    return shorten(clean(source_id)) or otherwise
