"""Nearest neighbours of unit vectors, exact or among the nearest cells, in tiles that are fixed.

Queries are cut into tiles, what they are compared with into cells of consecutive rows. All cells
make the search exact; a query's nearest few make it approximate, and fast. Both stream: a batch of
queries and a chunk of rows are in memory, never all of them. A matrix product's bits depend on its
shape, and shapes depend on tiles and cells alone: one task or fifty find the same.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise, product
from threading import Lock

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.compile import kernel
from clustering_tasks.engine.products import squared_distance
from clustering_tasks.engine.rows import Vectors
from clustering_tasks.engine.threads import ahead, tile_threads
from clustering_tasks.engine.window import Window

# Of 256, 512 and 1,024 the fastest for parts of 2,500 rows on two threads, by a sixth: enough tiles
# for every thread, and still large products.
TILE_ROWS = 512
TILE_COLUMNS = 8192
# Queries of a tile that probe few cells: enough of them meet in one cell for a good product.
PROBING_TILE_ROWS = 8192
# Candidates kept beyond k: products in float32 order neighbours up to 1e-7; exact distances decide.
SPARE = 8
# Queries in memory, 300 MB of 768 dimensions. All rows are read twice for each batch.
BATCH_ROWS = 98_304
CHUNK_ROWS = 16_384


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

    @property
    def tile_rows(self) -> int:
        """Rows of a tile of queries."""
        return TILE_ROWS if self.probes is None else PROBING_TILE_ROWS


def all_cells(n: int) -> Cells:
    """Cells of an exact search among n rows."""
    return Cells(np.append(np.arange(0, n, TILE_COLUMNS), n).astype(np.int64))


def exact_neighbours(vectors: Vectors, start: int, stop: int, k: int) -> Neighbours:
    """Find the k nearest others of the rows from `start` up to `stop`; see `search`."""
    return search(vectors, all_cells(len(vectors)), start, stop, k)


def measured(vectors: Vectors, start: int, candidates: I32, k: int) -> Neighbours:
    """Order candidates by their exact distances and keep the nearest.

    Args:
        vectors: (n, d) unit vectors.
        start: row of the first query.
        candidates: (m, c) rows that may be among the nearest, -1 for none.
        k: neighbours kept, at most c.
    """
    cells = all_cells(len(vectors))
    parts = [Neighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))]
    with tile_threads() as pool:
        for first in range(0, len(candidates), BATCH_ROWS):
            rows = candidates[first : first + BATCH_ROWS]
            queries = vectors[start + first : start + first + len(rows)]
            tiles = []
            for a in range(0, len(rows), TILE_ROWS):
                here = slice(a, a + TILE_ROWS)
                tile = Tile(queries[here], cells, start + first + a, candidates.shape[1])
                tile.ids[:] = rows[here]
                tiles.append(tile)
            parts += _measure(pool, vectors, cells, tiles, k)
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
        start: first row of a tile.
        stop: end of a tile.
        k: neighbours per row, itself not counted.
        window: outside of which a row is no neighbour; None: there is none.
    """
    return search_ranges(vectors, cells, [(start, stop)], k, window)


def search_ranges(
    vectors: Vectors,
    cells: Cells,
    ranges: Iterable[tuple[int, int]],
    k: int,
    window: Window | None = None,
) -> Neighbours:
    """Do what `search` does for several ranges of rows, and read what they are compared with once.

    Args:
        vectors: (n, d) unit vectors, all rows that may be neighbours.
        cells: of the n rows.
        ranges: start and stop of each.
        k: neighbours per row, itself not counted.
        window: outside of which a row is no neighbour; None: there is none.

    Returns:
        the neighbours of all rows, range after range.
    """
    parts = [Neighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))]
    with tile_threads() as pool:
        for bounds in _batches(ranges, cells.tile_rows):
            parts += _search_batch(pool, vectors, cells, bounds, k, window)
    return _joined(parts)


def _batches(ranges: Iterable[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    """Cut ranges into tiles of at most `size` rows, and yield some with up to `BATCH_ROWS`."""
    tiles = [(a, min(a + size, stop)) for start, stop in ranges for a in range(start, stop, size)]
    batch: list[tuple[int, int]] = []
    rows = 0
    for first, last in tiles:
        if batch and rows + last - first > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append((first, last))
        rows += last - first
    if batch:
        yield batch


def _joined(parts: list[Neighbours]) -> Neighbours:
    return Neighbours(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def _search_batch(
    pool: ThreadPoolExecutor,
    vectors: Vectors,
    cells: Cells,
    bounds: list[tuple[int, int]],
    k: int,
    window: Window | None,
) -> Iterator[Neighbours]:
    tiles = [Tile(vectors[a:b], cells, a, k + SPARE, window) for a, b in bounds]
    for chunk in _chunks(pool, vectors, cells):
        # By tile and cell, not by tile: near a chunk's cells lie the queries of few tiles, and all
        # other threads would wait for theirs.
        list(pool.map(lambda pair: pair[1].compare(*pair[0]), product(chunk.cells(), tiles)))
    return _measure(pool, vectors, cells, tiles, k)


def _measure(
    pool: ThreadPoolExecutor, vectors: Vectors, cells: Cells, tiles: list["Tile"], k: int
) -> Iterator[Neighbours]:
    list(pool.map(Tile.sort_candidates, tiles))
    for chunk in _chunks(pool, vectors, cells):
        list(pool.map(chunk.measure_in, tiles))
    return pool.map(lambda tile: tile.nearest(k), tiles)


@dataclass(frozen=True)
class Chunk:
    """Some consecutive cells and their rows.

    Attributes:
        numbers: of the cells.
        bounds: (len(numbers) + 1,) first row of each of them, and the end.
        vectors: their rows.
    """

    numbers: range
    bounds: I64
    vectors: F32

    def cells(self) -> Iterator[tuple[int, int, F32]]:
        """Yield each cell's number, its first row and its rows."""
        for number, (a, b) in zip(self.numbers, pairwise(self.bounds.tolist()), strict=True):
            yield number, a, self.vectors[a - self.bounds[0] : b - self.bounds[0]]

    def measure_in(self, tile: "Tile") -> None:
        """Give a tile the exact distances of those of its candidates that are here."""
        tile.measure(int(self.bounds[0]), self.vectors)


def _chunks(pool: ThreadPoolExecutor, vectors: Vectors, cells: Cells) -> Iterator[Chunk]:
    def read(numbers: range) -> Chunk:
        bounds = cells.bounds[numbers.start : numbers.stop + 1]
        return Chunk(numbers, bounds, vectors[int(bounds[0]) : int(bounds[-1])])

    return ahead(pool, read, _cells_of_chunks(cells.bounds))


def _cells_of_chunks(bounds: I64) -> Iterable[range]:
    """Group consecutive cells into chunks of about `CHUNK_ROWS` rows."""
    first = 0
    while first < len(bounds) - 1:
        limit = np.searchsorted(bounds, bounds[first] + CHUNK_ROWS, side="right") - 1
        last = min(max(int(limit), first + 1), len(bounds) - 1)
        yield range(first, last)
        first = last


class Tile:
    """A tile of queries, and the candidates that it has kept so far."""

    def __init__(
        self,
        queries: F32,
        cells: Cells,
        start: int,
        candidates: int,
        window: Window | None = None,
    ) -> None:
        self._queries = queries
        self._window = window
        self._start = start
        self._keeping = Lock()  # other threads may compare other cells
        self.ids = np.full((len(queries), candidates), -1, dtype=np.int32)
        self._values = np.full((len(queries), candidates), -np.inf, dtype=np.float32)
        self._probing = None
        if cells.probes is not None:
            probes = cells.probes[start : start + len(queries)]
            order = np.argsort(probes, axis=None, kind="stable")
            self._probing = (order // probes.shape[1]).astype(np.int32)
            numbers = np.arange(len(cells.bounds))
            self._probing_bounds = np.searchsorted(probes.ravel()[order], numbers)

    def compare(self, cell: int, first: int, members: F32) -> None:
        """Keep the most similar of a cell's rows, which begin at row `first`."""
        if self._probing is None:
            rows, queries = np.arange(len(self._queries), dtype=np.int32), self._queries
        else:
            bounds = self._probing_bounds[cell : cell + 2]
            rows = self._probing[bounds[0] : bounds[1]]
            queries = np.empty((len(rows), self._queries.shape[1]), dtype=np.float32)
            gather(self._queries, rows, queries)
        if len(rows) and len(members):
            products = queries @ members.T
            if self._window is not None:
                self._window.rule_out(products, rows + np.int32(self._start), first)
            with self._keeping:
                keep_largest(products, rows, self._start, first, self._values, self.ids)

    def sort_candidates(self) -> None:
        """Order the candidates by row, so that those of a chunk are found at once."""
        self._order = np.argsort(self.ids, axis=None, kind="stable")
        self._sorted = self.ids.ravel()[self._order]
        self._values.fill(np.inf)

    def measure(self, first: int, members: F32) -> None:
        """Compute the distances to candidates among rows that begin at row `first`."""
        here = slice(*np.searchsorted(self._sorted, [first, first + len(members)]))
        exact_distances(self._queries, members, self._order[here], first, self.ids, self._values)

    def nearest(self, k: int) -> Neighbours:
        """Return the k nearest candidates of each query."""
        order = np.lexsort((self.ids, self._values))[:, :k]
        return Neighbours(
            np.take_along_axis(self.ids, order, axis=1),
            np.take_along_axis(self._values, order, axis=1),
        )


@kernel
def gather(vectors: F32, rows: I32, gathered: F32) -> None:
    """Copy rows; unlike numpy's indexing, other threads run meanwhile."""
    for i in range(len(rows)):
        gathered[i] = vectors[rows[i]]


@kernel
def keep_largest(products: F32, rows: I32, start: int, column: int, values: F32, ids: I32) -> None:
    """Update each query's min-heap of its largest products; a row is no neighbour of itself.

    Row i of `products` belongs to query `rows[i]`, which is row `start + rows[i]` of all. Of equal
    products the first rows are kept, in whatever order they come.
    """
    size = values.shape[1]
    for i in range(products.shape[0]):
        row = rows[i]
        lowest = values[row, 0]
        for j in range(products.shape[1]):
            value = products[i, j]
            # NaN compares false: it is never kept
            if not value >= lowest or column + j == start + row:
                continue
            if value == lowest and column + j > ids[row, 0]:
                continue
            at = 0
            while 2 * at + 1 < size:
                child = 2 * at + 1
                if child + 1 < size and (
                    values[row, child + 1] < values[row, child]
                    or (
                        values[row, child + 1] == values[row, child]
                        and ids[row, child + 1] > ids[row, child]  # of equals the last goes first
                    )
                ):
                    child += 1
                if values[row, child] > value or (
                    values[row, child] == value and ids[row, child] < column + j
                ):
                    break
                values[row, at] = values[row, child]
                ids[row, at] = ids[row, child]
                at = child
            values[row, at] = value
            ids[row, at] = column + j
            lowest = values[row, 0]


@kernel
def exact_distances(
    queries: F32, members: F32, places: I64, first: int, ids: I32, distances: F32
) -> None:
    """Compute distances by differences, at some places of the flattened `ids`.

    From products (2 - 2 s) they would be off by 1e-3 for near-duplicates, enough to make the
    spanning tree heavier than it is.
    """
    width = ids.shape[1]
    for place in places:
        row, at = place // width, place % width
        distances[row, at] = np.sqrt(squared_distance(queries[row], members[ids[row, at] - first]))
