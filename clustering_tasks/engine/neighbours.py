"""Nearest neighbours of unit vectors, exact or among the nearest cells.

Products of 7-bit codes find candidates, distances of the vectors themselves decide. What rows are
compared with lies in cells of consecutive rows. All cells make the search exact: where what the
codes leave uncertain could hide a neighbour, a row is searched again with more candidates. A row's
nearest few cells make the search approximate, and fast. Both stream: the codes of a batch of
queries and a chunk of rows are in memory, never all vectors. The integers of the products and the
order of sums in a distance are written down, so tasks, threads and processors find the same.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I32, I64, Mask
from clustering_tasks.engine.candidates import ROOM, Candidates, candidates, finish, offer
from clustering_tasks.engine.codes import (
    Codes,
    Panels,
    Uncertainty,
    bound,
    codes_for,
    panels_of,
    write_codes,
)
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import prefetch, squared_distance
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.engine.threads import ahead, thread_count, tile_threads
from clustering_tasks.engine.window import Window

# Rows of a cell of an exact search: enough cells for every thread to code some.
CELL_ROWS = 1024
# Candidates kept beyond k = 32. With 8 of them no true neighbour was missing on six levels of real
# collections. They are 24 so that this is certain for most rows: of 20,000 generated ones 22 % had
# to be searched again with 16, 6 % with 24, and none of ecbplus.
SPARE = 24
# In cells nothing is searched again, and these hold what the cells do.
_SPARE_IN_CELLS = 8
# Queries in memory, 300 MB of 768 dimensions while they are measured. All rows are read twice for
# each batch.
BATCH_ROWS = 98_304
CHUNK_ROWS = 8192
_CODED_ROWS = 1024  # that one thread codes at a time
# Queries and rows that are measured together: both stay in the processor's cache, where a distance
# takes 220 ns; among 16,384 rows it took 360, and 680 without fetching ahead.
_MEASURED_ROWS = 4096
_AHEAD = 2  # distances computed while a row is fetched
_SHARD_ROWS = 32  # consecutive queries of one thread: those near a cell are spread over all


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbours of some rows, nearest first; equal distances by row number.

    Attributes:
        ids: (m, k) int32, -1 where there are fewer than k.
        distances: (m, k) float32 Euclidean distances, infinite where there are fewer than k.
    """

    ids: I32
    distances: F32


@dataclass(frozen=True)
class Cells:
    """Ranges of consecutive rows, and where a row's neighbours are looked for.

    Attributes:
        bounds: (c + 1,) int64 first row of each cell, and the number of rows.
        probes: (n, p) int16 cells that each row is compared with; None: all.
    """

    bounds: I64
    probes: npt.NDArray[np.int16] | None = None


class CodedCells(Protocol):
    """Codes of cells that another process has computed."""

    def panels(self, number: int) -> Panels:
        """Return a cell's rows as columns of tiles."""


def all_cells(n: int) -> Cells:
    """Cells of an exact search among n rows."""
    return Cells(np.append(np.arange(0, n, CELL_ROWS), n).astype(np.int64))


def exact_neighbours(vectors: Vectors, start: int, stop: int, k: int) -> Neighbours:
    """Find the k nearest others of the rows from `start` up to `stop`; see `search`."""
    return search(vectors, all_cells(len(vectors)), start, stop, k)


def neighbours_of(vectors: Vectors, rows: I64, k: int, window: Window | None = None) -> Neighbours:
    """Find the k nearest others of some rows, (m,), among all; see `search`."""
    whole = _Search(vectors, all_cells(len(vectors)), k, window)
    with tile_threads() as pool:
        return _search_rows(pool, whole, rows, k + SPARE)


def measured(vectors: Vectors, rows: I64, candidates: I32, k: int) -> Neighbours:
    """Order candidates by their exact distances and keep the nearest.

    Args:
        vectors: (n, d) unit vectors.
        rows: (m,) the queries.
        candidates: (m, c) rows that may be among the nearest, -1 for none.
        k: neighbours kept, at most c.
    """
    parts = [_none(k)]
    with tile_threads() as pool:
        for first in range(0, len(candidates), BATCH_ROWS):
            some = slice(first, first + BATCH_ROWS)
            parts.append(_measured(pool, vectors, rows[some], candidates[some], k))
    return _joined(parts)


def search(
    vectors: Vectors,
    cells: Cells,
    start: int,
    stop: int,
    k: int,
    window: Window | None = None,
) -> Neighbours:
    """Find the k nearest others of the rows from `start` up to `stop` in the cells they probe.

    Args:
        vectors: (n, d) unit vectors, all rows that may be neighbours.
        cells: of the n rows.
        start: first row.
        stop: end of the rows.
        k: neighbours per row, itself not counted.
        window: outside of which a row is no neighbour; None: there is none.
    """
    return search_rows(vectors, cells, np.arange(start, stop), k, window)


def search_rows(
    vectors: Vectors,
    cells: Cells,
    rows: I64,
    k: int,
    window: Window | None = None,
    coded: CodedCells | None = None,
    batch: int | None = None,
) -> Neighbours:
    """Do what `search` does for any rows; each finds the same, whichever others are searched.

    Args:
        vectors: (n, d) unit vectors, all rows that may be neighbours.
        cells: of the n rows.
        rows: (m,) the queries; ascending ones are read fastest.
        k: neighbours per row, itself not counted.
        window: outside of which a row is no neighbour; None: there is none.
        coded: the codes of the cells, where they are computed already.
        batch: most queries in memory; default: `BATCH_ROWS`.
    """
    batch = batch or BATCH_ROWS
    whole = _Search(vectors, cells, k, window, coded, batch)
    spare = SPARE if cells.probes is None else _SPARE_IN_CELLS
    with tile_threads() as pool:
        found = [
            _search_rows(pool, whole, rows[first : first + batch], k + spare)
            for first in range(0, len(rows), batch)
        ]
    return _joined([_none(k), *found])


def _none(k: int) -> Neighbours:
    return Neighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))


def _joined(parts: list[Neighbours]) -> Neighbours:
    return Neighbours(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


@dataclass(frozen=True)
class _Search:
    """What is searched, and for what; see `search_rows`."""

    vectors: Vectors
    cells: Cells
    k: int
    window: Window | None
    coded: CodedCells | None = None
    batch: int = BATCH_ROWS


def _search_rows(pool: ThreadPoolExecutor, search: _Search, rows: I64, kept: int) -> Neighbours:
    """Find the neighbours of some rows among `kept` candidates, or more where these are too few."""
    kept = max(min(kept, len(search.vectors)), search.k)
    codes = coded(pool, search.vectors, rows)
    lists = candidates(len(rows), kept)
    others = _offer_all(pool, search, rows, codes, lists)
    ids, limits = finish(lists)
    weights, errors = codes.weights, codes.errors
    del lists, codes  # the vectors take their place
    found = _measured(pool, search.vectors, rows, ids, search.k)
    if search.cells.probes is None:
        cut = np.flatnonzero(np.isfinite(limits))
        queries = Uncertainty(weights[cut], errors[cut])
        highest = bound(limits[cut] * weights[cut], queries, others)
        last = 1 - found.distances[cut, -1].astype(np.float64) ** 2 / 2
        _search_again(pool, search, rows, cut[last <= highest], 4 * kept, found)
    return found


def _search_again(
    pool: ThreadPoolExecutor,
    search: _Search,
    rows: I64,
    again: I64,
    kept: int,
    found: Neighbours,
) -> None:
    """Search some of the rows with more candidates, as many rows at a time as memory holds."""
    size = max(search.batch * (SPARE + ROOM) // (kept + ROOM), 1)
    for first in range(0, len(again), size):
        some = again[first : first + size]
        better = _search_rows(pool, search, rows[some], kept)
        found.ids[some], found.distances[some] = better.ids, better.distances


def coded(pool: ThreadPoolExecutor, vectors: Vectors, rows: I64) -> Codes:
    """Code some rows as queries."""
    codes = codes_for(len(rows), vectors[:1].shape[1])

    def read(first: int) -> tuple[int, F32]:
        return first, _read(vectors, rows[first : first + CHUNK_ROWS])

    for start, chunk in ahead(pool, read, range(0, len(rows), CHUNK_ROWS)):
        blocks = range(0, len(chunk), _CODED_ROWS)

        def write(first: int, start: int = start, chunk: F32 = chunk) -> None:
            write_codes(chunk[first : first + _CODED_ROWS], start + first, codes)

        list(pool.map(write, blocks))
    return codes


def _read(vectors: Vectors, rows: I64) -> F32:
    """Read rows, in one go where they are consecutive."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows):
        return np.ascontiguousarray(vectors[int(rows[0]) : int(rows[-1]) + 1])
    return np.ascontiguousarray(vectors[rows])


def _offer_all(
    pool: ThreadPoolExecutor, search: _Search, rows: I64, codes: Codes, lists: Candidates
) -> Uncertainty:
    """Offer all cells to the queries that probe them; return the largest of their columns."""
    own = rows.astype(np.int32)
    shards = _shards(search.cells, rows)
    unit = error = 0.0
    wanted = _probed(search.cells, rows)
    for cells in _coded_cells(pool, search, wanted):

        def compare(shard: "_Shard", cells: list["_Cell"] = cells) -> None:
            for probing in shard.rounds:
                for cell in cells:
                    queries = probing.of(cell.number)
                    offer(lists, codes, queries, own, cell.panels, cell.first, search.window)

        list(pool.map(compare, shards))
        unit = max([unit, *(cell.panels.unit for cell in cells)])
        error = max([error, *(cell.panels.error for cell in cells)])
    return Uncertainty(unit, error)


@dataclass(frozen=True)
class _Cell:
    """A cell's number, its first row, and its rows as columns of tiles."""

    number: int
    first: int
    panels: Panels


def _probed(cells: Cells, rows: I64) -> Mask:
    """Mark the cells that some of the rows are compared with: (c,)."""
    probed = np.ones(len(cells.bounds) - 1, dtype=bool)
    if cells.probes is not None:
        probed[:] = False
        probed[cells.probes[rows].ravel()] = True
    return probed


def code_cells(vectors: Vectors, cells: Cells) -> Iterator[Panels]:
    """Code all cells, for searches of several processes."""
    with tile_threads() as pool:
        search = _Search(vectors, cells, 0, None)
        for some in _coded_cells(pool, search, np.ones(len(cells.bounds) - 1, dtype=bool)):
            yield from (cell.panels for cell in some)


def _coded_cells(pool: ThreadPoolExecutor, search: _Search, wanted: Mask) -> Iterator[list[_Cell]]:
    """Yield the wanted cells of one chunk of rows after the other."""
    vectors, bounds, coded = search.vectors, search.cells.bounds, search.coded

    def stored(numbers: range) -> list[_Cell]:
        assert coded is not None  # noqa: S101 - for the type
        there = (number for number in numbers if wanted[number])
        return [_Cell(number, int(bounds[number]), coded.panels(number)) for number in there]

    def read(numbers: range) -> tuple[range, F32]:
        return numbers, vectors[int(bounds[numbers.start]) : int(bounds[numbers.stop])]

    chunks = (
        numbers
        for numbers in _cells_of_chunks(bounds)
        if wanted[numbers.start : numbers.stop].any()
    )
    if coded is not None:
        yield from ahead(pool, stored, chunks)
        return
    for numbers, chunk in ahead(pool, read, chunks):
        start = int(bounds[numbers.start])

        def code(number: int, start: int = start, chunk: F32 = chunk) -> _Cell:
            a, b = bounds[number : number + 2].tolist()
            return _Cell(number, a, panels_of(chunk[a - start : b - start]))

        yield list(pool.map(code, (number for number in numbers if wanted[number])))


def _cells_of_chunks(bounds: I64) -> Iterable[range]:
    """Group consecutive cells into chunks of about `CHUNK_ROWS` rows."""
    first = 0
    while first < len(bounds) - 1:
        limit = np.searchsorted(bounds, bounds[first] + CHUNK_ROWS, side="right") - 1
        last = min(max(int(limit), first + 1), len(bounds) - 1)
        yield range(first, last)
        first = last


class _Probing:
    """Queries by the cells that they are compared with."""

    def __init__(self, queries: I32, probes: npt.NDArray[np.int16] | None) -> None:
        self._queries = queries
        self._cells: npt.NDArray[np.int16] | None = None
        if probes is not None:
            order = np.argsort(probes, axis=None, kind="stable")
            self._queries = queries[order // probes.shape[1]]
            self._cells = probes.ravel()[order]

    def of(self, cell: int) -> I32:
        """Return the queries that probe a cell."""
        if self._cells is None:
            return self._queries
        return self._queries[slice(*np.searchsorted(self._cells, [cell, cell + 1]))]


@dataclass(frozen=True)
class _Shard:
    """The queries of one thread: in a chunk, first each with its own cell.

    After it few columns are similar enough to be kept for a while.
    """

    rounds: list[_Probing]


def _shards(cells: Cells, rows: I64) -> list[_Shard]:
    """Spread the queries over the threads, those beside each other over all."""
    count = 2 * thread_count()
    places = np.arange(len(rows), dtype=np.int32)
    shard = places // _SHARD_ROWS % count
    some = [places[shard == one] for one in range(count)]
    return [_shard(cells, rows, own) for own in some if len(own)]


def _shard(cells: Cells, rows: I64, own: I32) -> _Shard:
    if cells.probes is None:
        return _Shard([_Probing(own, None)])
    probes = cells.probes[rows[own]]
    return _Shard([_Probing(own, probes[:, :1]), _Probing(own, probes[:, 1:])])


def _measured(
    pool: ThreadPoolExecutor, vectors: Vectors, rows: I64, ids: I32, k: int
) -> Neighbours:
    """Keep the k nearest of the candidates of some rows, (m, c)."""
    queries = _read(vectors, rows)
    distances = np.full(ids.shape, np.inf, dtype=np.float32)
    blocks = _blocks(len(rows))
    places = list(pool.map(lambda block: _places(ids, block, len(vectors)), blocks))

    def read(first: int) -> tuple[int, F32]:
        return first, vectors[first : min(first + _MEASURED_ROWS, len(vectors))]

    for first, chunk in ahead(pool, read, _chunks_in(places)):

        def measure(block: tuple[I64, I64], first: int = first, chunk: F32 = chunk) -> None:
            order, bounds = block
            number = first // _MEASURED_ROWS
            here = order[bounds[number] : bounds[number + 1]]
            exact_distances(queries, chunk, here, first, ids, distances)

        list(pool.map(measure, places))
    near = np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32)
    list(pool.map(lambda block: _keep_nearest(ids, distances, block, *near), blocks))
    return Neighbours(*near)


def _blocks(rows: int) -> list[slice]:
    """Cut queries into blocks of one size, some for every thread."""
    threads = thread_count()
    count = math.ceil(rows / _MEASURED_ROWS / threads) * threads
    size = math.ceil(rows / max(count, 1))
    return [slice(first, first + size) for first in range(0, rows, max(size, 1))]


def _places(ids: I32, block: slice, rows: int) -> tuple[I64, I64]:
    """Order the places of candidates of a block of queries by the chunk that they lie in.

    Returns:
        places in the flattened `ids`; (chunks + 1,) the first one of each chunk.
    """
    own = ids[block]
    bounds = np.zeros(math.ceil(rows / _MEASURED_ROWS) + 1, np.int64)
    order = np.empty(own.size, np.int64)
    order_by_chunk(own, _MEASURED_ROWS, block.start * ids.shape[1], order, bounds)
    return order, bounds


def _chunks_in(places: list[tuple[I64, I64]]) -> Iterable[int]:
    """First rows of the chunks that any candidate lies in."""
    counts = np.sum([np.diff(bounds) for _, bounds in places], axis=0)
    return (np.flatnonzero(counts) * _MEASURED_ROWS).tolist()


def _keep_nearest(ids: I32, distances: F32, block: slice, near: I32, far: F32) -> None:
    """Write the nearest candidates of a block of queries, equal distances by row."""
    # floats that are not negative are in the order of their bits; -1 comes last
    keys = distances[block].view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= ids[block].view(np.uint32)
    keys.sort(axis=1)
    k = near.shape[1]
    near[block] = (keys[:, :k] & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
    far[block] = (keys[:, :k] >> np.uint64(32)).astype(np.uint32).view(np.float32)


@kernel
def order_by_chunk(ids: I32, size: int, offset: int, order: I64, bounds: I64) -> None:
    """Write what `_places` returns."""
    width = ids.shape[1]
    for i in range(len(ids)):
        for at in range(width):
            if ids[i, at] >= 0:
                bounds[ids[i, at] // size + 1] += 1
    for chunk in range(1, len(bounds)):
        bounds[chunk] += bounds[chunk - 1]
    place = bounds[:-1].copy()
    for i in range(len(ids)):
        for at in range(width):
            if ids[i, at] >= 0:
                chunk = ids[i, at] // size
                order[place[chunk]] = offset + i * width + at
                place[chunk] += 1


@kernel
def exact_distances(
    queries: F32, members: F32, places: I64, first: int, ids: I32, distances: F32
) -> None:
    """Compute distances by differences, at some places of the flattened `ids`.

    From products (2 - 2 s) they would be off by 1e-3 for near-duplicates, enough to make the
    spanning tree heavier than it is.
    """
    width, ahead_of = ids.shape[1], places[_AHEAD:]
    for number, place in enumerate(places):
        if number < len(ahead_of):
            place_later = ahead_of[number]
            prefetch(members[ids[place_later // width, place_later % width] - first])
        row, at = place // width, place % width
        distances[row, at] = np.sqrt(squared_distance(queries[row], members[ids[row, at] - first]))
