"""How the report describes sizes, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.steps.label.report import describe_sizes


def test_sizes_by_hand() -> None:
    found = describe_sizes(np.array([2, 2, 3, 4, 9]))
    assert found == {
        "min": 2,
        "median": 3,
        "mean": 4,
        "p90": pytest.approx(7),
        "max": 9,
        "pairs_share": 0.4,
        "histogram": [
            {"from": 2, "to": 3, "clusters": 3, "items": 7},
            {"from": 4, "to": 7, "clusters": 1, "items": 4},
            {"from": 8, "to": 15, "clusters": 1, "items": 9},
        ],
    }


def test_without_clusters_nothing_is_known_of_sizes() -> None:
    found = describe_sizes(np.empty(0, dtype=np.int64))
    assert found.pop("histogram") == []
    assert set(found.values()) == {None}
    assert set(found) | {"histogram"} == set(describe_sizes(np.array([2])))


@given(st.lists(st.integers(2, 10_000), min_size=1))
def test_every_cluster_is_in_one_bin(sizes: list[int]) -> None:
    bins = describe_sizes(np.array(sizes))["histogram"]
    assert sum(each["clusters"] for each in bins) == len(sizes)
    assert sum(each["items"] for each in bins) == sum(sizes)
    assert bins[-1]["clusters"] > 0
