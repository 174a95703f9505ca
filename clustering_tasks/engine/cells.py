"""Cells of an approximate neighbour search: a spherical k-means of unit vectors.

After it every row is compared only with the rows of the few cells whose centres are most similar to
it. Real clusters lie in one cell or in neighbouring ones; what is missed are neighbours of rows
that are near to nothing (measured: recall@16 .99 of clustered rows, .76 of isotropic noise).
"""

import math

import numpy as np
import numpy.typing as npt

from clustering_tasks.arrays import F32, I32, I64
from clustering_tasks.engine.candidates import candidates, most_similar, offer
from clustering_tasks.engine.centroids import add_rows
from clustering_tasks.engine.codes import codes_for, panels_of, write_codes
from clustering_tasks.engine.kmeans import lloyd
from clustering_tasks.engine.neighbours import Cells, Neighbours, all_cells, search_rows
from clustering_tasks.engine.rows import unit
from clustering_tasks.engine.threads import tile_threads

# Sampled rows per cell, and Lloyd's rounds: more of either gained nothing measurable.
_SAMPLED_ROWS = 32
_ROUNDS = 5
_ROWS = 4096


def cell_count(n: int) -> int:
    """Number of cells for n rows: twice the root, where search and assignment cost the same."""
    return min(round(2 * math.sqrt(n)), np.iinfo(np.int16).max)


def probe_count(n: int, given: int | None = None) -> int:
    """Number of cells that each of n rows is compared with, unless one is given.

    Real stories spread over more cells where there are more: with 14, recall@16 was .967 of 50,000
    rows and .957 of 200,000; with 18 it is .968 there.
    """
    return given or max(18, round(18 * (n / 200_000) ** (1 / 12)))


def sample_step(n: int) -> int:
    """Every how manyth of n rows the cells are trained on."""
    return max(n // (cell_count(n) * _SAMPLED_ROWS), 1)


def bounds_of(cell: npt.NDArray[np.int16], count: int) -> I64:
    """First row of each of `count` cells, and the number of rows, from every row's, ascending."""
    return np.searchsorted(cell, np.arange(count + 1)).astype(np.int64)


def train_cells(sample: F32, count: int) -> F32:
    """Find the centres of cells by spherical k-means (Dhillon and Modha 2001).

    Args:
        sample: (s, d) unit vectors.
        count: number of cells, at most s.

    Returns:
        (count, d) unit vectors, similar ones beside each other: the cells that a row is compared
        with then lie in few chunks of the file.
    """
    sample = np.ascontiguousarray(sample)
    # Evenly spaced rows: the sample is in no order that k-means would know.
    centres = sample[np.linspace(0, len(sample) - 1, count).astype(np.int64)]
    # Exact decisions, as clusters need them, take twice the time and give cells the same recall.
    centres = lloyd(
        centres,
        _ROUNDS,
        lambda now: nearest_cells(sample, now, 1)[:, 0].astype(np.int32),
        lambda cell, now: _means(sample, cell, now),
    )
    # a quarter of a second, and only large levels have cells
    from scipy.cluster.hierarchy import leaves_list, linkage

    order = leaves_list(linkage(centres.astype(np.float64), "average"))
    return np.asarray(centres[order])


def find_neighbours(vectors: F32, k: int, exact_rows: int, probes: int) -> Neighbours:
    """Find the k nearest others of all of some vectors in memory, in cells where they are many.

    Args:
        vectors: (n, d) unit vectors.
        k: neighbours per row.
        exact_rows: most rows that are searched exactly.
        probes: cells that a row is compared with among more.
    """
    centres = centres_of(vectors, exact_rows)
    return find_neighbours_of(vectors, np.arange(len(vectors)), k, centres, probes)


def centres_of(vectors: F32, exact_rows: int) -> F32:
    """Train the cells of vectors in memory, (n, d): their centres; none up to `exact_rows`."""
    n = len(vectors)
    if n <= exact_rows:
        return np.empty((0, vectors.shape[1]), np.float32)
    return train_cells(vectors[:: sample_step(n)], cell_count(n))


def find_neighbours_of(vectors: F32, rows: I64, k: int, centres: F32, probes: int) -> Neighbours:
    """Find the k nearest others of some rows of vectors in memory.

    Args:
        vectors: (n, d) unit vectors.
        rows: (m,) ascending.
        k: neighbours per row.
        centres: (c, d) of the cells; none: the search is exact.
        probes: cells that a row is compared with.
    """
    if not len(centres):
        return search_rows(vectors, all_cells(len(vectors)), rows, k)
    found = nearest_cells(vectors, centres, min(probes, len(centres)))
    order = np.argsort(found[:, 0], kind="stable")
    wanted = np.zeros(len(vectors), dtype=bool)
    wanted[rows] = True
    queries = np.flatnonzero(wanted[order])
    cells = Cells(bounds_of(found[order, 0], len(centres)), found[order])
    local = search_rows(vectors[order], cells, queries, k)
    at = np.searchsorted(rows, order[queries])
    ids, distances = np.empty_like(local.ids), np.empty_like(local.distances)
    ids[at] = np.where(local.ids >= 0, order[local.ids], -1)
    distances[at] = local.distances
    return Neighbours(ids, distances)


def _means(sample: F32, cell: I32, centres: F32) -> F32:
    sums = np.zeros_like(centres)
    add_rows(sample, cell, sums)
    # a cell that nothing is nearest to stays where it is
    filled = np.bincount(cell, minlength=len(centres)) > 0
    return np.where(filled[:, None], unit(sums), centres)


def nearest_cells(vectors: F32, centres: F32, probes: int) -> npt.NDArray[np.int16]:
    """Numbers of the `probes` cells nearest to each vector, nearest first: (n, probes)."""
    with tile_threads() as pool:
        blocks = (vectors[start : start + _ROWS] for start in range(0, len(vectors), _ROWS))
        found = list(pool.map(lambda block: nearest_of_some(block, centres, probes), blocks))
    return np.concatenate([np.empty((0, probes), np.int16), *found])


def nearest_of_some(block: F32, centres: F32, probes: int) -> npt.NDArray[np.int16]:
    """Do what `nearest_cells` does for some thousand vectors, in the thread that calls.

    By the vectors' codes, to about 1e-3 of the cosine: every processor finds the same cells.
    """
    codes = codes_for(*block.shape)
    write_codes(np.ascontiguousarray(block), 0, codes)
    lists = candidates(len(block), probes)
    rows = np.arange(len(block), dtype=np.int32)
    offer(lists, codes, rows, np.full_like(rows, -1), panels_of(centres), 0)
    return most_similar(lists).astype(np.int16)
