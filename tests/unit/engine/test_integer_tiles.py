"""Products of 7-bit codes: every instruction set finds the same integers, and none too few."""

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from clustering_tasks.arrays import F32, F64, I64
from clustering_tasks.engine import integer_tiles
from clustering_tasks.engine import neighbours as module
from clustering_tasks.engine.candidates import candidates, finish, offer
from clustering_tasks.engine.codes import (
    LARGEST,
    Uncertainty,
    bound,
    codes_for,
    panels_of,
    write_codes,
)
from clustering_tasks.engine.integer_tiles import tile_path, tile_paths
from clustering_tasks.engine.neighbours import exact_neighbours
from clustering_tasks.errors import SettingsError
from tests.stage3_folder import blobs, scattered, unit


def whole_numbers(vectors: F32) -> I64:
    """Code rows as `codes` does, with numpy."""
    scale = np.float32(LARGEST) / np.abs(vectors).max(axis=1, keepdims=True)
    return np.asarray(np.rint(vectors * scale), dtype=np.int64)


def kept(queries: F32, columns: F32, count: int) -> tuple[I64, F32]:
    """Let queries keep the most similar of some columns, two panels of which come first."""
    codes = codes_for(len(queries), queries.shape[1])
    write_codes(queries, 0, codes)
    lists = candidates(len(queries), count)
    rows = np.arange(len(queries), dtype=np.int32)
    for first, last in ((40, len(columns)), (0, 40)):
        offer(lists, codes, rows, np.full_like(rows, -1), panels_of(columns[first:last]), first)
    ids, limits = finish(lists)
    return np.sort(ids, axis=1).astype(np.int64), limits


@pytest.mark.parametrize("path", tile_paths())
@pytest.mark.parametrize("dimension", [1, 5, 32, 384, 768, 1024, 3072])
def test_the_columns_kept_are_those_of_the_integers(
    path: str, dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_TILES", path)
    queries, columns = scattered(13, 1, dimension), scattered(1100, 2, dimension)
    codes = whole_numbers(columns)
    lengths = (1 / np.sqrt((codes**2).sum(axis=1))).astype(np.float32)
    values = (whole_numbers(queries) @ codes.T).astype(np.float32) * lengths
    order = np.lexsort((np.broadcast_to(np.arange(1100), values.shape), -values))[:, :20]
    ids, limits = kept(queries, columns, 20)
    np.testing.assert_array_equal(ids, np.sort(order, axis=1))
    assert (limits <= np.take_along_axis(values, order, axis=1)[:, -1]).all()
    np.put_along_axis(values, order, -np.inf, axis=1)
    assert (values.max(axis=1) <= limits).all()


@pytest.mark.parametrize("path", tile_paths())
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_do_not_overflow(
    path: str, sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAGE4_TILES", path)
    one = unit(np.ones((1, 8192)))
    codes = codes_for(1, 8192)
    write_codes(one, 0, codes)
    lists = candidates(1, 4)
    row = np.zeros(1, dtype=np.int32)
    offer(lists, codes, row, row - 1, panels_of(np.float32(sign) * one), 0)
    assert lists.counts.tolist() == [1]
    value = np.float32(sign * LARGEST**2 * 8192) * codes.weights[0]
    bits = lists.keys[0, :1] if sign > 0 else lists.keys[0, :1] ^ np.int32(0x7FFFFFFF)
    assert bits.view(np.float32)[0] == value


def test_of_equal_columns_the_first_are_kept_in_whatever_order_they_come() -> None:
    columns = np.repeat(scattered(3, 0, 16), 200, axis=0)
    ids, _ = kept(columns[:1], columns, 30)
    np.testing.assert_array_equal(ids[0], np.arange(30))


@pytest.mark.parametrize("path", tile_paths())
def test_every_path_finds_the_same_graph(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = blobs([90, 60], noise=200, dimension=100)
    monkeypatch.setenv("STAGE4_TILES", "plain")
    plain = exact_neighbours(vectors, 0, len(vectors), 9)
    monkeypatch.setenv("STAGE4_TILES", path)
    found = exact_neighbours(vectors, 0, len(vectors), 9)
    np.testing.assert_array_equal(found.ids, plain.ids)
    np.testing.assert_array_equal(found.distances.view(np.int32), plain.distances.view(np.int32))


def by_distance(vectors: F32, k: int) -> tuple[I64, F64]:
    doubles = vectors.astype(np.float64)
    distances = np.linalg.norm(doubles[:, None] - doubles[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    ids = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return ids, np.take_along_axis(distances, ids, axis=1)


@pytest.mark.parametrize("spread", [1e-6, 1e-5, 1e-3, 0.02])
def test_no_neighbour_is_lost_among_more_near_duplicates_than_candidates(spread: float) -> None:
    """Their codes are the same or nearly so: only a wider search can tell them apart."""
    vectors = blobs([400], noise=100, spread=spread, dimension=48)
    found = exact_neighbours(vectors, 0, len(vectors), 6)
    ids, distances = by_distance(vectors, 6)
    np.testing.assert_allclose(found.distances, distances, atol=2e-7)
    if spread > 1e-5:  # below, float32 rounds the differences
        np.testing.assert_array_equal(found.ids, ids)


def test_only_rows_that_the_codes_leave_uncertain_are_searched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[tuple[int, int]] = []
    search = module._search_rows

    def record(pool: object, what: object, rows: I64, count: int) -> module.Neighbours:
        searched.append((len(rows), count))
        return search(pool, what, rows, count)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_search_rows", record)
    vectors = np.concatenate([scattered(300, 3, 128), blobs([70], spread=1e-6, dimension=128)])
    exact_neighbours(vectors, 0, len(vectors), 4)
    assert searched[0] == (370, 4 + module.SPARE)
    assert all(rows < 110 for rows, _ in searched[1:])
    assert any(rows >= 70 for rows, _ in searched[1:])


@pytest.mark.parametrize("dimension", [3, 24, 768])
def test_true_cosines_stay_below_the_bound_of_coded_ones(dimension: int) -> None:
    vectors = blobs([40] * 10, noise=300, dimension=dimension)
    vectors[-100:, 2:-10] = 0  # most components are right, and few errors are left to be small
    vectors = unit(vectors)
    codes = codes_for(len(vectors), dimension)
    write_codes(vectors, 0, codes)
    numbers = codes.numbers[:, :dimension].astype(np.float64)
    coded = (numbers @ numbers.T) * np.outer(codes.weights, codes.weights)
    true = vectors.astype(np.float64) @ vectors.T
    rows = np.repeat(np.arange(len(vectors)), len(vectors))
    highest = bound(
        coded.ravel().astype(np.float32),
        Uncertainty(codes.weights[rows], codes.errors[rows]),
        Uncertainty(codes.weights.max(), codes.errors.max()),
    )
    assert (true.ravel() <= highest).all()
    assert (highest.reshape(true.shape) - true).max() < 0.1


def test_a_path_that_the_processor_does_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(integer_tiles, "_host_features", lambda: {"avx2": True})
    assert tile_paths() == ["avx2", "plain"]
    monkeypatch.setenv("STAGE4_TILES", "vnni")
    with pytest.raises(SettingsError, match="this processor has avx2, plain"):
        tile_path()
    monkeypatch.setenv("STAGE4_TILES", "")
    assert get_args(integer_tiles.Path)[tile_path()] == "avx2"


PROGRAM = """
import hashlib
import os
from clustering_tasks.engine.integer_tiles import tile_paths
from clustering_tasks.engine.neighbours import exact_neighbours
from tests.stage3_folder import blobs

vectors = blobs([150, 90], noise=300, dimension=100)
for path in tile_paths():
    os.environ["STAGE4_TILES"] = path
    found = exact_neighbours(vectors, 0, len(vectors), 9)
    print(hashlib.sha256(found.ids.tobytes() + found.distances.tobytes()).hexdigest())
"""


def test_machine_code_for_any_processor_holds_all_paths_and_finds_the_same(tmp_path: Path) -> None:
    """An image's cache is filled for a generic processor, which has none of the instructions."""
    found: list[str] = []
    for processor, threads in (("", "1"), ("generic", "4")):
        environment = {
            **os.environ,
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CACHE_DIR": str(tmp_path / (processor or "host")),
            "OMP_NUM_THREADS": threads,
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        )
        found += done.stdout.split()
    assert len(found) == 2 * len(tile_paths())
    assert len(set(found)) == 1
