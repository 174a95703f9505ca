"""Random numbers that depend on names, not on the order of the calls."""

from __future__ import annotations

import random


def named_random(*names: object) -> random.Random:
    """Return a generator seeded by `names`: the same names, the same numbers, anywhere."""
    return random.Random("/".join(map(str, names)))  # noqa: S311 - fiction, not secrets
