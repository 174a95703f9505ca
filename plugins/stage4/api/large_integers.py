"""Integers that no task of Airflow can be given, refused where they come in.

Airflow hands a run's conf, and what asset events bring, to its tasks as MessagePack, which ends at
64 bits: a task with a larger integer dies at its start, without a log, at every try. Airflow checks
the params of a DAG alone, not what else a conf holds.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.types import Message, Receive

from clustering_tasks.settings.run import LARGEST

_GUARDED = re.compile(
    r"/api/v2/(?:dags/(?:cluster_\w+|roll_back|delete_document|housekeeping|send_events)/dagRuns"
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


def complaint(body: bytes) -> str | None:
    """Name the integers of a body that are too large; None: there are none."""
    if not _LONG.search(body.replace(b"\0", b"")):  # without those of UTF-16
        return None
    try:
        found = list(_too_large(json.loads(body), ""))
    except (ValueError, RecursionError):
        return None  # Airflow refuses what is no JSON
    return f"{', '.join(found)}: an integer of 64 bits is at most {LARGEST}" if found else None


def _too_large(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _too_large(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _too_large(each, f"{path}[{place}]")
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield path
