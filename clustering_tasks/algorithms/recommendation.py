"""Which algorithm suits a level of so many items on this machine, why, and what it would take."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from upath import UPath

from clustering_tasks.algorithms.costs import compared_with, held_bytes, most_memory, seconds
from clustering_tasks.algorithms.method import resolve_method
from clustering_tasks.arrays import F32
from clustering_tasks.engine.candidates import pair_seconds
from clustering_tasks.engine.threads import thread_count
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.algorithms import ALGORITHMS
from clustering_tasks.settings.levels import Level
from clustering_tasks.settings.run import RunSettings
from clustering_tasks.stage3.copy import find_pair
from clustering_tasks.stage3.index import open_index
from clustering_tasks.workspace.resources import available_memory
from clustering_tasks.workspace.storage import is_local

_ROWS = 1024


@dataclass(frozen=True)
class Machine:
    """What decides how much a run may hold, and how long it takes.

    Attributes:
        memory_bytes: that may still be used.
        cores: threads that may run.
        product_seconds: time of one product of two vectors on all cores.
        pair_seconds: time in which the neighbour search compares two vectors on all cores.
    """

    memory_bytes: int
    cores: int
    product_seconds: float
    pair_seconds: float


@dataclass(frozen=True)
class Forecast:
    """What an algorithm would take, the neighbour search included; a rough idea.

    Attributes:
        algorithm: its name.
        memory_bytes: of the largest task.
        seconds: of the search and the algorithm, all parts one after the other.
        fits: whether the memory is there.
    """

    algorithm: str
    memory_bytes: int
    seconds: float
    fits: bool


@dataclass(frozen=True)
class Recommendation:
    """The algorithm that suits.

    Attributes:
        level: name of the level.
        items: their number.
        algorithm: see above.
        reason: why.
        forecast: what it would take; of all the others, too, for comparison.
        machine: that was looked at.
    """

    level: str
    items: int
    algorithm: str
    reason: str
    forecast: list[Forecast]
    machine: Machine

    def record(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return asdict(self)


def recommend(settings: RunSettings, level: Level, items: int, machine: Machine) -> Recommendation:
    """Recommend what a run with `algorithm=auto` chooses, unless the machine is too small for it.

    A run itself never looks at the machine: its clusters would depend on where it runs.

    Args:
        settings: of the run; an algorithm that they name is only forecast.
        level: of the run.
        items: their number, an upper bound for the different vectors.
        machine: that it would run on.
    """
    method = resolve_method(settings, level, items)
    order = [method.algorithm, *(name for name in ALGORITHMS if name != method.algorithm)]
    forecast = {name: _forecast(name, settings, items, machine) for name in order}
    algorithm, reason = method.algorithm, method.reason
    if settings.algorithm == "auto" and not forecast[algorithm].fits:
        smaller = [name for name in _fallbacks() if forecast[name].fits]
        reason = _too_large(forecast[algorithm], machine, smaller)
        algorithm = next(iter(smaller), algorithm)
    return Recommendation(level.name, items, algorithm, reason, list(forecast.values()), machine)


def _fallbacks() -> list[str]:
    places = {name: each.fallback for name, each in ALGORITHMS.items() if each.fallback is not None}
    return sorted(places, key=lambda name: places[name])


def _too_large(forecast: Forecast, machine: Machine, smaller: list[str]) -> str:
    need, have = forecast.memory_bytes / 1e9, machine.memory_bytes / 1e9
    way_out = (
        f"{smaller[0]} holds less"
        if smaller
        else "none fits: use a larger machine, or scope=domain, which holds one domain at a time"
    )
    return f"{forecast.algorithm} needs about {need:.1f} GB, {have:.1f} GB are there; {way_out}"


def _forecast(algorithm: str, settings: RunSettings, items: int, machine: Machine) -> Forecast:
    dimension = settings.input.dimension
    held = held_bytes(algorithm, settings, items, dimension)
    memory = most_memory(items, dimension, settings.neighbours.k, held)
    pairs = items * compared_with(items, settings.neighbours)
    own = seconds(algorithm, settings, items, dimension, machine.product_seconds)
    return Forecast(
        algorithm=algorithm,
        memory_bytes=memory,
        seconds=round(pairs * machine.pair_seconds + own, 1),
        fits=memory <= machine.memory_bytes,
    )


def this_machine(dimension: int) -> Machine:
    """Look at this machine, or this container; the products take about 50 ms."""
    one, other = np.ones((2, _ROWS, dimension), dtype=np.float32)
    with threadpool_limits(1, user_api="blas"):
        best = min(_timed(one, other))
    cores = thread_count()
    return Machine(
        available_memory(), cores, best / _ROWS**2 / cores, pair_seconds(dimension) / cores
    )


def _timed(one: F32, other: F32) -> Iterator[float]:
    for _ in range(3):
        started = time.perf_counter()
        one @ other.T
        yield time.perf_counter() - started


def count_items(indices: str, level: Level, dimension: int) -> int:
    """Read the number of a level's vectors from its index.

    Raises:
        SettingsError: when the folder is not a local one.
        BadInputError: when there is no such index, or it is none.
    """
    folder = UPath(indices)
    if not is_local(folder):
        raise SettingsError(f"--indices {indices} is no local folder: give --items instead")
    index, _ = find_pair(folder, level)
    return len(open_index(Path(index.path), dimension).ids)
