"""Unit vectors and digests of rows, against a direct computation."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clustering_tasks.arrays import F32
from clustering_tasks.engine.row_files import read_rows
from clustering_tasks.engine.unit_rows import checked, unit_rows

ROWS = arrays(np.float32, (7, 11), elements=st.floats(-4, 4, width=32))


@given(ROWS)
def test_norms_and_unit_rows_are_those_of_numpy(rows: F32) -> None:
    rows = rows[np.linalg.norm(rows, axis=1) > 1e-3]
    exact = rows.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    np.testing.assert_allclose(checked(rows)[0], norms, rtol=1e-14)
    np.testing.assert_allclose(unit_rows(rows), exact / norms[:, None], rtol=1e-7, atol=1e-30)


@given(ROWS, st.integers(0, 6), st.integers(0, 10))
def test_digests_are_the_same_for_the_same_unit_rows_alone(
    rows: F32, row: int, column: int
) -> None:
    rows += np.float32(5)  # no row of zeros
    twins = rows.copy()
    np.testing.assert_array_equal(checked(rows)[1], checked(twins)[1])
    twins[row, column] *= np.float32(1.5)
    same = (checked(rows)[1] == checked(twins)[1]).all(axis=1)
    assert same.tolist() == [at != row for at in range(7)]


def test_rows_of_single_bits_have_digests_of_their_own() -> None:
    ones = np.concatenate([np.eye(768, dtype=np.float32), -np.eye(768, dtype=np.float32)])
    digests = checked(ones)[1]
    for half in digests.T:
        assert len(np.unique(half)) == len(ones)


def test_zeros_of_both_signs_are_one() -> None:
    rows = np.array([[1, 0.0], [1, -0.0]], dtype=np.float32)
    assert not np.signbit(unit_rows(rows)).any()
    assert (checked(rows)[1][0] == checked(rows)[1][1]).all()


def test_a_row_of_zeros_has_the_norm_0_and_stays_what_it_is() -> None:
    nothing = np.zeros((2, 9), dtype=np.float32)
    assert checked(nothing)[0].tolist() == [0, 0]
    np.testing.assert_array_equal(unit_rows(nothing), nothing)


def test_what_is_no_number_has_no_norm() -> None:
    rows = np.array([[1, np.nan], [np.inf, 0]], dtype=np.float32)
    assert not np.isfinite(checked(rows)[0]).any()


def test_rows_of_a_file_are_read_in_any_order(tmp_path: Path) -> None:
    rows = np.arange(50, dtype=np.float32).reshape(10, 5)
    path = tmp_path / "rows"
    path.write_bytes(b"head" + rows.tobytes())
    found, order = np.zeros((4, 5), np.float32), np.array([7, 0, 9, 7])
    with path.open("rb") as file:
        assert read_rows(file.fileno(), 4, order, found) == 4
    np.testing.assert_array_equal(found, rows[order])


def test_a_row_that_the_file_has_not_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(np.zeros((3, 5), np.float32).tobytes()[:-1])
    with path.open("rb") as file:
        found = np.zeros((3, 5), np.float32)
        assert read_rows(file.fileno(), 0, np.array([1, 2, 0]), found) == 1
