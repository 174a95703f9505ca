"""The benchmarks' measure, by hand."""

import pytest

from tests.benchmarks.b_cubed import b_cubed


def test_equal_clusterings_score_one() -> None:
    assert b_cubed(["a", "a", "b"], ["x", "x", None]) == (1, 1, 1)


def test_items_are_averaged() -> None:
    # Bagga and Baldwin count per item: {1, 2} found together, 3 apart, gold says all three.
    f1, precision, recall = b_cubed(["a", "a", "a"], ["x", "x", None])
    assert precision == 1
    assert recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert f1 == pytest.approx(2 * recall / (1 + recall))


def test_noise_items_are_not_one_cluster() -> None:
    assert b_cubed(["a", "b"], [None, None])[1] == 1
