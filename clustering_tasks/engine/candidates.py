"""The most similar columns of queries, kept while tiles of products go by.

Each query has a list that is longer than what it keeps. What reaches the least similarity that
counts is appended; a full list is cut down to the most similar, and the least of them counts from
then on. What is kept at the end does not depend on the order in which columns come.
"""

import math
import time
from typing import NamedTuple

import numpy as np

from clustering_tasks.arrays import F32, F64, I32, I64
from clustering_tasks.engine.codes import Codes, Panels, codes_for, panels_of, write_codes
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.integer_tiles import (
    COLUMNS,
    GROUP,
    QUERIES,
    lowest_bit,
    tile,
    tile_path,
)
from clustering_tasks.engine.window import Window

ROOM = 80  # places of a list beyond what is kept
SLACK = 4  # of which so many may stay when it is cut down
# Columns that queries go through one after the other: in the cache of a core, beside the queries.
_PANELS = 32
_MAGNITUDE = np.int32(0x7FFFFFFF)
_LOWEST = np.int32(-(2**31))
_BITS = 0xFFFFFFFF
_TIMED_ROWS = 512
NO_DATES = np.empty((0, 2))


class Candidates(NamedTuple):
    """Lists of the columns that queries may keep.

    Attributes:
        kept: columns that each query keeps.
        ids: (m, width) int32 columns, in no order.
        keys: (m, width) int32 their similarities; see `key_of`.
        counts: (m,) int32 how much of each list is filled.
        limits: (m,) int32 least key that counts, the lowest number before any was dropped.
        lasts: (m,) int32 of the columns with this key, those before this one count.
    """

    kept: int
    ids: I32
    keys: I32
    counts: I32
    limits: I32
    lasts: I32


def candidates(queries: int, kept: int) -> Candidates:
    """Make the empty lists of some queries."""
    return Candidates(
        kept,
        np.empty((queries, kept + ROOM), dtype=np.int32),
        np.empty((queries, kept + ROOM), dtype=np.int32),
        np.zeros(queries, dtype=np.int32),
        np.full(queries, _LOWEST, dtype=np.int32),
        np.zeros(queries, dtype=np.int32),
    )


def offer(
    lists: Candidates,
    codes: Codes,
    rows: I32,
    own: I32,
    panels: Panels,
    first: int,
    window: Window | None = None,
) -> None:
    """Offer columns to some queries. No two threads may do so for the same query at a time.

    Args:
        lists: of all queries.
        codes: of all queries.
        rows: (j,) the queries.
        own: (m,) column that each of all queries is itself, which it does not keep; -1 for none.
        panels: the columns.
        first: number of the first one.
        window: outside of which a column is no neighbour; None: there is none.
    """
    spans, days = (window.spans, window.days) if window else (NO_DATES, 0.0)
    compare(tile_path(), lists, codes, rows, own, panels, first, spans, days)


def finish(lists: Candidates) -> tuple[I32, F32]:
    """Return what the queries keep, and what they may have dropped.

    Returns:
        (m, kept) int32 columns in no order, -1 where there are fewer; (m,) float32 products of a
        column's direction with the query's numbers: what was dropped has no larger one; -inf where
        nothing was.
    """
    ids = np.full((len(lists.counts), lists.kept), -1, dtype=np.int32)
    limits = np.empty(len(lists.counts), dtype=np.float32)
    write_kept(lists, ids, limits)
    return ids, limits


def most_similar(lists: Candidates) -> I32:
    """Return the columns that the queries keep, (m, kept): the most similar first, -1 for none."""
    ids = np.full((len(lists.counts), lists.kept), -1, dtype=np.int32)
    sort_lists(lists)
    write_kept(lists, ids, np.empty(len(ids), dtype=np.float32))
    return ids


def pair_seconds(dimension: int) -> float:
    """Time the comparison of two rows on one core of this machine, in about 5 ms."""
    vectors = np.ones((_TIMED_ROWS, max(dimension, 1)), dtype=np.float32)
    codes, rows = codes_for(*vectors.shape), np.arange(_TIMED_ROWS, dtype=np.int32)
    write_codes(vectors, 0, codes)
    lists, panels = candidates(_TIMED_ROWS, 1), panels_of(vectors)
    lists.limits[:] = _MAGNITUDE  # nothing is kept
    best = math.inf
    for _ in range(3):
        started = time.perf_counter()
        offer(lists, codes, rows, rows, panels, 0)
        best = min(best, time.perf_counter() - started)
    return best / _TIMED_ROWS**2


@kernel
def compare(
    path: int,
    lists: Candidates,
    codes: Codes,
    rows: I32,
    own: I32,
    panels: Panels,
    first: int,
    spans: F64,
    days: float,
) -> None:
    """Do what `offer` does, on one path of the tiles."""
    addresses, starts = np.empty(QUERIES, np.int64), np.empty(QUERIES, np.int32)
    limits, marks = np.empty(QUERIES, np.float32), np.empty(QUERIES, np.int32)
    values = np.empty((QUERIES, COLUMNS), np.float32)
    groups = np.int64(codes.numbers.shape[1] // GROUP)
    ids, keys, counts, lowest, lasts = (
        lists.ids,
        lists.keys,
        lists.counts,
        lists.limits,
        lists.lasts,
    )
    width, dated = ids.shape[1], len(spans) > 0
    for block in range(0, len(panels.numbers), _PANELS):
        for at in range(0, len(rows), QUERIES):
            there = min(QUERIES, len(rows) - at)
            load_queries(codes, rows[at : at + there], lowest, addresses, starts, limits)
            for panel in range(block, min(block + _PANELS, len(panels.numbers))):
                begin = panel * COLUMNS
                weights = panels.weights[begin : begin + COLUMNS]
                tile(
                    np.int64(path),
                    panels.numbers[panel],
                    addresses,
                    starts,
                    limits,
                    weights,
                    groups,
                    values,
                    marks,
                )
                for m in range(there):
                    marked = np.int64(marks[m]) & _BITS
                    if marked == 0:
                        continue
                    row = rows[at + m]
                    itself, place, limit, last = own[row], counts[row], lowest[row], lasts[row]
                    while marked:
                        j = lowest_bit(marked)
                        marked &= marked - 1
                        column = first + begin + j
                        key = key_of(values[m, j])
                        if key < limit or (key == limit and column > last):
                            continue
                        if (
                            begin + j >= panels.columns
                            or column == itself
                            or (dated and apart(spans[column], spans[itself]) > days)
                        ):
                            continue
                        ids[row, place], keys[row, place] = column, key
                        place += 1
                        if place == width:
                            counts[row] = place
                            cut_down(lists, row, lists.kept + SLACK)
                            place, limit, last = counts[row], lowest[row], lasts[row]
                    counts[row] = place
                    limits[m] = value_of(limit)


@kernel
def load_queries(
    codes: Codes, rows: I32, lowest: I32, addresses: I64, starts: I32, limits: F32
) -> None:
    """Write what a tile wants of its queries; where they are too few, the last one fills it."""
    for m in range(QUERIES):
        row = rows[min(m, len(rows) - 1)]
        addresses[m] = codes.numbers.ctypes.data + row * codes.numbers.shape[1]
        starts[m] = codes.starts[row]
        limits[m] = value_of(lowest[row]) if m < len(rows) else np.inf


@kernel
def apart(one: F64, other: F64) -> float:
    """Days between two spans, NaN where one is undated: no two rows are too far apart then."""
    after, before = one[0] - other[1], other[0] - one[1]
    return float(after if after > before else before)


@kernel
def key_of(value: np.float32) -> np.int32:
    """Whole number in whose order floats are: comparing many of them takes no branch."""
    bits = np.float32(value).view(np.int32)
    return np.int32(bits if bits >= 0 else bits ^ _MAGNITUDE)


@kernel
def value_of(key: np.int32) -> np.float32:
    """Return the float of a key, -inf of the lowest."""
    if key == _LOWEST:
        return np.float32(-np.inf)
    return np.int32(key if key >= 0 else key ^ _MAGNITUDE).view(np.float32)


@kernel
def cut_down(lists: Candidates, row: int, most: int) -> None:
    """Drop the least similar columns of a query's list, until `kept` up to `most` are left."""
    ids, keys = lists.ids[row, : lists.counts[row]], lists.keys[row, : lists.counts[row]]
    limit, count = dividing_key(keys, lists.kept, most)
    last = _MAGNITUDE
    if count > most:  # more than one with the least key that is kept
        count = np.int32(lists.kept)
        last = last_of_equals(ids, keys, limit, lists.kept)
    place = 0
    for i in range(len(keys)):
        key, column = keys[i], ids[i]
        keys[place], ids[place] = key, column
        place += key > limit or (key == limit and column <= last)
    lists.counts[row], lists.limits[row], lists.lasts[row] = count, limit, last


@kernel
def dividing_key(keys: I32, least: int, most: int) -> tuple[np.int32, np.int32]:
    """Find a key that `least` up to `most` keys reach, and how many do; more, if all tie with it.

    The range of the keys is halved: counting takes no branch.
    """
    low, high = keys[0], keys[0]
    for key in keys:
        low, high = min(low, key), max(high, key)
    reaching = np.int32(len(keys))
    while reaching > most and low < high:
        middle = np.int32((np.int64(low) + np.int64(high) + 1) >> 1)
        count = how_many(keys, middle)
        if count >= least:
            low, reaching = middle, count
        else:
            high = np.int32(middle - 1)
    return low, reaching


@kernel
def how_many(keys: I32, least: np.int32) -> np.int32:
    """Count the keys that are no less than one."""
    count = np.int32(0)
    for key in keys:
        count += np.int32(key >= least)
    return count


@kernel
def last_of_equals(ids: I32, keys: I32, limit: np.int32, kept: int) -> np.int32:
    """Find the last column with the limit's key that is kept: the first ones are."""
    rest = kept - how_many(keys, limit + 1)
    last = np.int32(-1)
    for _ in range(rest):
        following = _MAGNITUDE
        for i in range(len(keys)):
            if keys[i] == limit and last < ids[i] < following:
                following = ids[i]
        last = following
    return last


@kernel
def write_kept(lists: Candidates, ids: I32, limits: F32) -> None:
    """Write what `finish` returns."""
    for row in range(len(lists.counts)):
        if lists.counts[row] > lists.kept:
            cut_down(lists, row, lists.kept)
        limits[row] = value_of(lists.limits[row])
        for place in range(lists.counts[row]):
            ids[row, place] = lists.ids[row, place]


@kernel
def sort_lists(lists: Candidates) -> None:
    """Bring what the queries keep into the order of similarity; of equals, the first comes first.

    By insertion: it is little.
    """
    for row in range(len(lists.counts)):
        if lists.counts[row] > lists.kept:
            cut_down(lists, row, lists.kept)
        ids, keys = lists.ids[row], lists.keys[row]
        for i in range(1, lists.counts[row]):
            column, key, place = ids[i], keys[i], i
            while place > 0 and (
                keys[place - 1] < key or (keys[place - 1] == key and ids[place - 1] > column)
            ):
                ids[place], keys[place] = ids[place - 1], keys[place - 1]
                place -= 1
            ids[place], keys[place] = column, key
