"""How many, and which: the part of an error message that names the items."""

from collections.abc import Iterable, Sized


def examples(items: Iterable[object], count: int = 5) -> str:
    """Name up to `count` of the items, and how many there are in all where that is known."""
    shown = [str(item) for _, item in zip(range(count), items, strict=False)]
    total = len(items) if isinstance(items, Sized) else None
    more = f", ... ({total} in all)" if total is not None and total > len(shown) else ""
    return ", ".join(shown) + more
