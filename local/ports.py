"""A port of the loopback interface that one stack owns for as long as it runs."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from local.configuration import HOST
from local.errors import LocalError
from local.state import private_folder

# In /tmp: all stacks of a user look there, whatever their states and temporary folders.
CLAIMS = Path(f"/tmp/stage4-ports-{os.geteuid()}")  # noqa: S108 - the owner is checked before use
ATTEMPTS = 20


@contextmanager
def claimed_port(preferred: int) -> Iterator[tuple[int, IO[str]]]:
    """`preferred` if it is free, else any free port, and the open file that claims it.

    The claim is a lock. It ends with the last process that has the file open, so whoever inherits
    the file owns the port, also while nothing listens there.
    """
    for number in (preferred, *[0] * ATTEMPTS):
        port = free_port(number)
        claim = lock(port) if port else None
        if port and claim:
            with claim:
                if free_port(port) == port:  # nobody has come and gone since the first look
                    yield port, claim
                    return
    raise LocalError(f"No free port on {HOST}")


def free_port(number: int) -> int | None:
    """`number` if nothing listens there, None otherwise; for 0 some free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def lock(port: int) -> IO[str] | None:
    """The locked file of `port`; None if another stack has it."""
    claim = (private_folder(CLAIMS) / str(port)).open("a")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claim.close()
        return None
    return claim


def listens(process: psutil.Process, port: int) -> bool:
    """Whether it is this very process that answers at `port`."""
    with suppress(psutil.NoSuchProcess):
        return any(
            each.status == psutil.CONN_LISTEN and each.laddr.port == port
            for each in process.net_connections("inet")
        )
    return False
