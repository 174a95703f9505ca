"""A text as one short line."""

from unicodedata import category

_LONGEST = 100


def shorten(text: str) -> str:
    """Put a text on one line of at most 100 characters, cut between words."""
    line = " ".join(text.split())
    if line.endswith(".") and not line.endswith("..."):
        line = line.rstrip(".")  # a label is no sentence
    if len(line) <= _LONGEST:
        return line
    end = _LONGEST - 1
    while category(line[end])[0] == "M":  # a mark stays with its letter
        end -= 1
    cut = line[:end]
    return (cut.rpartition(" ")[0] or cut).rstrip(" ,;:-\u2013\u2014") + "…"
