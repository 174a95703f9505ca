"""Ids of Stage 3: one rule for all of them.

`snapshot` refuses what breaks it, and names the item. What it takes, the tables can index, the REST
API can look up, and a deletion can name.
"""

import re

LONGEST_ID = 512
"""Characters. PostgreSQL indexes at most 2,704 bytes, and a character takes up to four."""
LONGEST_VECTOR_ID = LONGEST_ID + 64
"""Characters of a vector id, which holds a source id, a prefix and maybe a chunk's number."""
ID_PATTERN = r"^[^\x00-\x1f\x7f]+$"
"""Of one line: in a path a line feed leads nowhere, and in a log it forges a line."""

_ONE_LINE = re.compile(ID_PATTERN)
_HALF = re.compile("[\ud800-\udfff]")


def as_id(value: object) -> str | None:
    """Return an id as text, whole numbers too; None for what cannot be one."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def id_problem(text: str, longest: int = LONGEST_ID) -> str | None:
    """Say why a text is no id; None where it is one.

    Args:
        text: the id.
        longest: its most characters.
    """
    if 2 < len(text) <= longest and text.isprintable() and not text.isspace():
        return None  # as nearly always
    if len(text) > longest:
        return f"has {len(text):,} characters, and an id has {longest} at most"
    if text.isspace() or not text:
        return "is blank"
    if not _ONE_LINE.fullmatch(text) or text[-1] == "\n":
        return "holds a control character (a line feed, a tab, NUL or the like)"
    if text in (".", ".."):
        return "is a step within a path, which no request can name"
    return "holds half a surrogate pair" if _HALF.search(text) else None
