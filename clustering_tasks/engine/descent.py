"""Neighbours of neighbours: most of what a search in cells has missed.

A neighbour of a neighbour is likely a neighbour (NN-descent: Dong, Moses and Li 2011). In rounds
each row is compared with the rows around those around it, of which one at least is new. A round
reads what the one before it left, so the result does not depend on the order of rows or threads.
Codes compare, as in the search, and the distances of what they found are measured in the end.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, F64, I32
from clustering_tasks.engine.candidates import NO_DATES, apart
from clustering_tasks.engine.codes import Codes
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.nearest_lists import insert, insert_once
from clustering_tasks.engine.neighbours import Neighbours, coded, measured
from clustering_tasks.engine.products import dot_of_codes, prefetch
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.engine.threads import tile_threads
from clustering_tasks.engine.window import Window

# Of a row's nearest, and as many of the rows that have it among theirs.
_NEAREST = 8
_ROUNDS = 3
_ROWS = 4096  # of a thread at a time
_AHEAD = 3  # codes that are fetched while one is compared
# Places of a table of what a row has been compared with: a power of two. Its list, of at most 512,
# and 16 * 17 others are entered.
_PLACES = 2048
_FACTOR, _SHIFT = 0x9E3779B1, 20  # the middle bits of a product depend on all bits of a number
Ages = npt.NDArray[np.int8]


class Lists(NamedTuple):
    """The neighbours of rows while they get better.

    Attributes:
        ids: (n, k) int32 nearest first, -1 for none.
        distances: (n, k) float32, infinite for none.
        age: (n, k) int8 round that has found each, 0 for the search.
    """

    ids: I32
    distances: F32
    age: Ages


class Around(NamedTuple):
    """The rows around each row in one round.

    Attributes:
        ids: (n, 2 * nearest) int32, those it has and those that have it, each once; -1 for none.
        new: (n, 2 * nearest) whether the last round, or the search, has found them.
    """

    ids: I32
    new: npt.NDArray[np.bool_]


def descend(vectors: Vectors, found: Neighbours, window: Window | None = None) -> Neighbours:
    """Look for nearer neighbours around the neighbours of all rows.

    Args:
        vectors: (n, d) unit vectors, all that may be neighbours.
        found: of each of the n rows, nearest first.
        window: outside of which a row is no neighbour; None: there is none.

    Returns:
        the k nearest of each row, of these and of what was found, with exact distances.
    """
    rows = np.arange(len(found.ids))
    ages = np.zeros(found.ids.shape, dtype=np.int8)
    lists = Lists(found.ids.copy(), found.distances.copy(), ages)
    spans, days = (window.spans, window.days) if window else (NO_DATES, 0.0)
    with tile_threads() as pool:
        codes = coded(pool, vectors, rows)
        for number in range(1, _ROUNDS + 1):
            around = around_rows(lists, number - 1)
            _improve_all(pool, codes, around, spans, days, lists, number)
        del codes
    new = np.where(lists.age > 0, lists.ids, np.int32(-1))
    exact = measured(vectors, rows, new, new.shape[1])
    lists.ids[:], lists.distances[:] = found.ids, found.distances
    join(exact.ids, exact.distances, lists)
    return Neighbours(lists.ids, lists.distances)


def around_rows(lists: Lists, last: int) -> Around:
    """Collect the rows around each: its nearest, and those that have it among theirs.

    Args:
        lists: of all rows.
        last: round before this one.
    """
    n, nearest = len(lists.ids), min(_NEAREST, lists.ids.shape[1])
    around = Around(
        np.full((n, 2 * nearest), -1, dtype=np.int32), np.zeros((n, 2 * nearest), dtype=np.bool_)
    )
    around.ids[:, :nearest] = lists.ids[:, :nearest]
    around.new[:, :nearest] = lists.age[:, :nearest] == last
    turn_round(around.ids, around.new, nearest)
    return around


@kernel
def turn_round(ids: I32, new: npt.NDArray[np.bool_], nearest: int) -> None:
    """Add to each row those that have it among their nearest, the nearest of these first."""
    n = len(ids)
    filled = np.full(n, nearest, dtype=np.int32)
    for at in range(nearest):
        for i in range(n):
            j = ids[i, at]
            if j < 0 or filled[j] == 2 * nearest:
                continue
            known = False
            for other in range(nearest):
                known = known or ids[j, other] == i
            if not known:
                ids[j, filled[j]], new[j, filled[j]] = i, new[i, at]
                filled[j] += 1


def _improve_all(
    pool: ThreadPoolExecutor,
    codes: Codes,
    around: Around,
    spans: F64,
    days: float,
    lists: Lists,
    number: int,
) -> None:
    def improve_some(first: int) -> None:
        last = min(first + _ROWS, len(lists.ids))
        improve(codes, around, spans, days, first, last, lists, number)

    list(pool.map(improve_some, range(0, len(lists.ids), _ROWS)))


@kernel
def improve(
    codes: Codes,
    around: Around,
    spans: F64,
    days: float,
    first: int,
    last: int,
    lists: Lists,
    number: int,
) -> None:
    """Compare some rows with the rows around those around them, and keep the nearest."""
    table = np.empty(_PLACES, dtype=np.int32)
    wanted = np.empty(around.ids.shape[1] * (around.ids.shape[1] + 1), dtype=np.int32)
    for row in range(first, last):
        table[:] = -1
        enter(table, row)
        for other in lists.ids[row]:
            enter(table, other)
        count = collect(around, row, table, wanted)
        for at in range(count):
            if at + _AHEAD < count:
                prefetch(codes.numbers[wanted[at + _AHEAD]])
            other = wanted[at]
            if len(spans) > 0 and apart(spans[other], spans[row]) > days:
                continue
            distance = distance_of_codes(codes, row, other)
            place = insert(lists.ids, lists.distances, row, other, distance)
            if place >= 0:
                enter_round(lists.age, row, place, number)


@kernel
def collect(around: Around, row: int, table: I32, wanted: I32) -> int:
    """Write the rows that a row is compared with, each once; return their number."""
    ids, new, count = around.ids, around.new, 0
    for at in range(ids.shape[1]):
        between = ids[row, at]
        if between < 0:
            continue
        if new[row, at] and enter(table, between):
            wanted[count] = between
            count += 1
        for further in range(ids.shape[1]):
            other = ids[between, further]
            if other >= 0 and (new[row, at] or new[between, further]) and enter(table, other):
                wanted[count] = other
                count += 1
    return count


@kernel
def enter(table: I32, number: int) -> bool:
    """Enter a number into a table, unless it is there: whether it was not."""
    place = ((np.int64(number) * _FACTOR) >> _SHIFT) & (_PLACES - 1)
    while table[place] >= 0:
        if table[place] == number:
            return False
        place = (place + 1) & (_PLACES - 1)
    table[place] = number
    return True


@kernel
def distance_of_codes(codes: Codes, one: int, other: int) -> np.float32:
    """Euclidean distance of two rows by their codes, to about 1e-3 of their cosine."""
    product = np.float32(dot_of_codes(codes.numbers[one], codes.numbers[other]))
    cosine = product * codes.weights[one] * codes.weights[other]
    return np.float32(np.sqrt(max(np.float32(2) - np.float32(2) * cosine, np.float32(0))))


@kernel
def enter_round(age: Ages, row: int, place: int, number: int) -> None:
    """Enter the round that has found what was inserted at a place of a list."""
    for at in range(age.shape[1] - 1, place, -1):
        age[row, at] = age[row, at - 1]
    age[row, place] = number


@kernel
def join(exact: I32, distances: F32, lists: Lists) -> None:
    """Insert what was found into the lists of before, which lose nothing that is nearer."""
    for row in range(len(exact)):
        for at in range(exact.shape[1]):
            if exact[row, at] < 0:
                break
            # one of before may have been dropped, and found again
            insert_once(lists.ids, lists.distances, row, exact[row, at], distances[row, at])
