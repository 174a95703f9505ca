"""Rounds of Python's garbage collector, which look for cycles that the work here does not make."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects. By default each 700 make a round: a third of a snapshot's time where an entry has 30
# lists and objects, and 6 % of a label's, whose large rounds go through all that is known.
_COLLECTED_AT = 1_000_000


def collect_seldom() -> None:
    """Let the garbage collector look for cycles only when objects have become many."""
    gc.set_threshold(_COLLECTED_AT, *gc.get_threshold()[1:])


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect seldom until the context, or the function that this decorates, ends."""
    usual = gc.get_threshold()
    collect_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*usual)
