"""Integers that no task of Airflow can be given, refused in requests.

A policy refuses the conf of a run however it is made (`stage4.policies.large_integers`). A request
is refused before anything is made, and an asset event, whose `extra` tasks are given too, comes by
requests alone.
"""

import json
import re

from starlette.types import Message, Receive

from stage4.policies.large_integers import GUARDED, complaint, too_large

_GUARDED = re.compile(
    rf"/api/v2/(?:dags/(?:{'|'.join(sorted(GUARDED))})/dagRuns"
    r"|assets/events|backfills)/?"
)
_LONG = re.compile(rb"\d{19}")


def is_guarded(method: str, path: str) -> bool:
    """Whether a request may bring what tasks are given."""
    return method == "POST" and _GUARDED.fullmatch(path) is not None


async def read_body(receive: Receive) -> tuple[bytes, list[Message]]:
    """Read a request's body; return it with the messages that it came in."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return b"".join(each.get("body", b"") for each in messages), messages


def again(messages: list[Message], receive: Receive) -> Receive:
    """Give messages that were read to the one who reads next, and then those that follow."""
    left = iter(messages)

    async def replayed() -> Message:
        for message in left:
            return message
        return await receive()

    return replayed


def refusal(body: bytes) -> str | None:
    """Name the integers of a body that are too large; None: there are none."""
    if not _LONG.search(body.replace(b"\0", b"")):  # without those of UTF-16
        return None
    try:
        return complaint(list(too_large(json.loads(body))))
    except (ValueError, RecursionError):
        return None  # Airflow refuses what is no JSON
