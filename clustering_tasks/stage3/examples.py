"""How many, and which: the part of an error message that names the items."""

from collections.abc import Iterable, Sized

from clustering_tasks.stage3.text import one_line

_LONGEST = 80  # characters of a name; some are as long as a page


def examples(items: Iterable[object], count: int = 5) -> str:
    """Name up to `count` of the items, and how many there are in all where that is known."""
    shown = [_cut(one_line(str(item))) for _, item in zip(range(count), items, strict=False)]
    total = len(items) if isinstance(items, Sized) else None
    more = f", ... ({total} in all)" if total is not None and total > len(shown) else ""
    return ", ".join(shown) + more


def quoted(value: object) -> str:
    """Return a value in quotation marks, short, what nobody sees in it written out."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
