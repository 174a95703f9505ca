"""What a continued run takes over from its level clustered anew."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.steps.merge.adoption import adopt

NONE = -1
FIRST = 10  # new cluster


def adopted(
    cluster: list[int],
    group: list[int],
    loose: list[int],
    most_moved: int,
    weight: list[int] | None = None,
) -> list[int]:
    new = np.isin(np.arange(len(cluster)), loose)
    weights = np.array(weight or [1] * len(cluster), np.int32)
    arrays = np.array(cluster, np.int32), np.array(group, np.int32)
    found = adopt(*arrays, new, weights, FIRST, most_moved).labels
    known = np.unique(found[found >= FIRST])  # new numbers have gaps
    numbered: list[int] = np.where(
        found >= FIRST, FIRST + np.searchsorted(known, found), found
    ).tolist()
    return numbered


def test_without_a_new_item_nothing_changes() -> None:
    before = [0, 0, 0, 1, 1, NONE]
    assert adopted(before, [0, 0, 1, 1, 1, 1], [], 99) == before


def test_a_split_is_taken_over_where_there_is_a_new_item() -> None:
    #          stays         splits: the larger part goes on       new
    before = [0, 0, 1, 1, 1, 2, 2, 2, 2, 2, NONE]
    now = [0, 1, 2, 2, 3, 4, 4, 4, 5, 5, 5]
    assert adopted(before, now, [10], 2) == [0, 0, 1, 1, 1, 2, 2, 2, 10, 10, 10]


def test_where_two_clusters_become_one_the_smaller_one_moves() -> None:
    before = [0, 0, 1, 1, 1, NONE]
    assert adopted(before, [0, 0, 0, 0, 0, 0], [5], 2) == [1] * 6
    assert adopted(before, [0, 0, 0, 0, 0, 0], [5], 1) == [*before[:5], 1]


def test_items_that_leave_and_those_that_follow_are_bounded_each() -> None:
    #         two become one      one is divided
    before = [0, 0, 0, 1, 1, NONE, 2, 2, 2, 2, 2, NONE]
    now = [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert adopted(before, now, [5, 11], 2) == [0] * 6 + [2, 2, 2, 10, 10, 10]
    assert adopted(before, now, [5, 11], 1) == [*before[:5], 0, *before[6:11], 2]


def test_where_too_many_would_move_the_old_stay_and_the_new_go_with_most() -> None:
    before = [0, 0, 0, 0, 1, 1, NONE, NONE, NONE]
    now = [0, 0, 1, 1, 1, 2, 1, NONE, 3]
    assert adopted(before, now, [6, 7, 8], 1) == [0, 0, 0, 0, 1, 1, 0, NONE, 10]


def test_neighbourhoods_in_which_fewest_move_come_first() -> None:
    before = [0, 0, 0, 0, NONE, 1, 1, 1, NONE]
    now = [0, 0, 1, 1, 1, 2, 2, 3, 3]
    found = adopted(before, now, [4, 8], 2)
    assert found[:5] == [0, 0, 0, 0, 0]
    assert found[5:7] == [1, 1]
    assert found[7] == found[8] not in (0, 1)
    assert adopted(before, now, [4, 8], 3)[2:5] != [0, 0, 0]


def test_old_noise_that_joins_has_moved() -> None:
    before, now = [0, 0, NONE, NONE], [0, 0, 0, 0]
    assert adopted(before, now, [3], 0) == [0, 0, NONE, 0]
    assert adopted(before, now, [3], 1) == [0, 0, 0, 0]


def test_items_count_and_not_nodes() -> None:
    before, now = [0, 0, 0, NONE], [0, 0, 1, 1]
    assert adopted(before, now, [3], 1, weight=[1, 1, 2, 1])[2] == 0
    assert adopted(before, now, [3], 1, weight=[2, 2, 1, 1])[2] != 0


@given(st.data())
def test_no_more_old_items_move_than_may(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 30))
    label = st.integers(-1, 5)
    before = data.draw(st.lists(label, min_size=size, max_size=size))
    now = data.draw(st.lists(label, min_size=size, max_size=size))
    loose = sorted(data.draw(st.sets(st.integers(0, size - 1))))
    before = [NONE if at in loose else one for at, one in enumerate(before)]
    most = data.draw(st.integers(0, 10))
    found = adopted(before, now, loose, most)
    new_clusters = {label for at, label in enumerate(found) if at in loose} - {*before}
    moved = [
        one
        for at, (one, other) in enumerate(zip(before, found, strict=True))
        if at not in loose and one != other
    ]
    # noise that begins a new cluster with a new item is no membership that was changed
    old_noise = sum(one == NONE for one in moved) if new_clusters else 0
    assert len(moved) - old_noise <= 2 * most  # those that leave, and those that follow
    stayed = adopted(before, now, [], most)
    assert stayed == before
