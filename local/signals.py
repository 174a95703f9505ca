"""Ctrl-C, `kill` and a closed terminal all end a command in the same tidy way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def raise_keyboard_interrupt() -> None:
    """Turn all ending signals into KeyboardInterrupt, except a SIGHUP that `nohup` ignores.

    SIGINT too: a shell script's background jobs inherit that it is ignored, and Python then leaves
    it so.
    """
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def interrupt(*_: Any) -> None:
    """The signal handler."""
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore ending signals until the block ends: an impatient second Ctrl-C leaves nothing."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
