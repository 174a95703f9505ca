"""The GPUs of this machine, or of this container, as the driver's own tool shows them.

`nvidia-smi` is asked, not CUDA: CUDA takes some hundred MB of a card before it answers, and FAISS
ends the whole process on a card that has no room for them.
"""

import csv
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

# One of them exists where a driver is loaded: of Linux, of Windows' Linux.
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_FIELDS = "uuid,name,memory.total,memory.used,utilization.gpu"
_MEBIBYTE = 1 << 20
_ASK_SECONDS = 30  # without a persistent driver the first answer waits until the driver is loaded


class OfCard(Protocol):
    """What is known of one card."""

    @property
    def uuid(self) -> str:
        """The driver's name for the card."""


_Reading = TypeVar("_Reading", bound=OfCard)


@dataclass(frozen=True)
class Card:
    """One GPU.

    Attributes:
        uuid: the driver's name for it, the same on every start.
        name: of the model.
        total_bytes: memory of the card.
        used_bytes: memory in use now, by all processes.
        utilisation_percent: share of the last second in which it computed, None: unknown.
    """

    uuid: str
    name: str
    total_bytes: int
    used_bytes: int
    utilisation_percent: float | None


def one_of_each(readings: Iterable[_Reading], key: Callable[[_Reading], Any]) -> list[_Reading]:
    """Choose of each card's readings the one whose key is greatest, the first of equals."""
    chosen: dict[str, _Reading] = {}
    for reading in readings:
        chosen[reading.uuid] = max(chosen.get(reading.uuid, reading), reading, key=key)
    return list(chosen.values())


def has_driver() -> bool:
    """Tell whether a driver for NVIDIA's GPUs is loaded here."""
    return any(path.exists() for path in _DRIVERS)


def read_cards() -> list[Card]:
    """Read the cards that CUDA shows to this process, in CUDA's order; none where it is unknown."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_ASK_SECONDS,
        )
    except (subprocess.SubprocessError, OSError):
        return []
    return visible_cards(list(parse_cards(done.stdout)), os.environ)


def parse_cards(text: str) -> Iterator[Card]:
    """Read nvidia-smi's lines: uuid, name, MiB in all, MiB used, per cent of use.

    A card whose memory is not shown, one that is divided into slices, is left out.
    """
    for uuid, name, total, used, busy in csv.reader(text.splitlines(), skipinitialspace=True):
        if total.isdigit() and used.isdigit():
            yield Card(
                uuid=uuid,
                name=name,
                total_bytes=int(total) * _MEBIBYTE,
                used_bytes=int(used) * _MEBIBYTE,
                utilisation_percent=float(busy) if busy.isdigit() else None,
            )


def visible_cards(cards: list[Card], environment: Mapping[str, str]) -> list[Card]:
    """Choose the cards that CUDA_VISIBLE_DEVICES names, by number or uuid; unset: all.

    As CUDA does, it stops at the first name that no card has.
    """
    names = environment.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return cards
    chosen = []
    for name in names.split(","):
        found = [c for i, c in enumerate(cards) if name.strip() in (str(i), c.uuid)]
        if not found:
            break
        chosen += found
    return chosen
