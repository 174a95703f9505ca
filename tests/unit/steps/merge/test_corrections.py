"""Links on clusters: they all hold, nobody else moves, and the order of rows does not matter."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clustering_tasks.arrays import I32
from clustering_tasks.corrections.contradictions import Link, stories
from clustering_tasks.corrections.rows import RowOrName
from clustering_tasks.steps.merge.assignments import FILTERED, NOISE, UNASSIGNED
from clustering_tasks.steps.merge.corrections import Corrected, correct

Row = RowOrName


def together(number: int, *items: Row) -> Link[Row]:
    return Link(number, items)


def apart(number: int, item: Row, *others: Row) -> Link[Row]:
    return Link(number, (item,), others)


def corrected(
    labels: list[int],
    *links: Link[Row],
    node: list[int] | None = None,
    core: list[int] | None = None,
) -> Corrected:
    given_labels = np.array(labels, dtype=np.int32)
    return correct(
        given_labels,
        given_labels if core is None else np.array(core, dtype=np.int32),
        np.arange(len(labels), dtype=np.int32) if node is None else np.array(node, dtype=np.int32),
        stories(links),
    )


def moved(labels: list[int], *links: Link[Row], node: list[int] | None = None) -> list[int]:
    found: list[int] = corrected(labels, *links, node=node).labels.tolist()
    return found


def test_without_links_nothing_changes() -> None:
    assert moved([1, 0, 0, 1, -1]) == [1, 0, 0, 1, -1]


def test_together_makes_one_of_whole_clusters() -> None:
    assert moved([0, 0, 1, 1, 2, 2], together(1, 0, 3)) == [0, 0, 0, 0, 1, 1]


def test_together_brings_noise_into_the_cluster_and_makes_one_of_noise() -> None:
    assert moved([0, 0, -1, -1, -1], together(1, 0, 2), together(2, 3, 4)) == [0, 0, 0, 1, 1]


def test_together_is_transitive_through_an_item_that_is_not_there() -> None:
    assert moved([0, 0, 1, 1], together(1, 0, "gone"), together(2, "gone", 2)) == [0, 0, 0, 0]


def test_an_item_that_leaves_is_noise() -> None:
    assert moved([0, 0, 0, -1], apart(1, 2, 0)) == [0, 0, -1, -1]


def test_items_that_leave_the_same_cluster_stay_together_unless_they_are_apart() -> None:
    links = apart(1, 3, 0), apart(2, 4, 1)
    assert moved([0, 0, 0, 0, 0, 1, 1], *links) == [0, 0, 0, 2, 2, 1, 1]
    assert moved([0, 0, 0, 0, 0, 1, 1], *links, apart(3, 4, 3)) == [0, 0, 0, -1, -1, 1, 1]
    assert moved([0, 0, 0, 0, 1, 1], apart(1, 3, 0), apart(2, 5, 4)) == [0, 0, 0, -1, -1, -1]


def test_an_item_that_leaves_goes_to_its_own_story() -> None:
    assert moved([0, 0, 0, 1, 1], apart(1, 2, 0), together(2, 2, 3)) == [0, 0, 1, 1, 1]
    assert moved([0, 0, 0, 0], apart(1, 2, 0), together(2, 2, 3)) == [0, 0, 1, 1]


def test_a_cluster_is_not_drawn_along_by_the_item_that_has_to_leave_it() -> None:
    # 2 is wrong in cluster 0 and is of cluster 1: the clusters stay two
    assert moved([0, 0, 0, 1, 1], together(1, 2, 3), apart(2, 2, 1)) == [0, 0, 1, 1, 1]


def test_what_is_left_of_a_cluster_of_two_is_noise() -> None:
    assert moved([0, 0, 1, 1], apart(1, 1, 0)) == [-1, -1, 0, 0]


def test_clusters_that_become_one_put_out_what_must_not_be_with_the_other() -> None:
    assert moved([0, 0, 1, 1, 1], together(1, 0, 2), apart(2, 4, 1)) == [0, 0, 0, 0, -1]


def test_items_with_the_same_vector_follow_the_one_that_is_named() -> None:
    assert moved([0, 0, 0, 0], apart(1, 2, 0), node=[0, 1, 2, 2]) == [0, 0, 1, 1]


def test_items_with_the_same_vector_can_be_told_apart() -> None:
    # two people of one name: the mention that nobody named stays
    assert moved([0, 0, 0, 0], apart(1, 2, 1), node=[0, 1, 1, 1]) == [0, 0, -1, 0]


@pytest.mark.parametrize("status", [FILTERED, UNASSIGNED])
def test_what_takes_no_part_stays_where_it_is(status: int) -> None:
    assert moved([0, 0, status], together(1, 0, 2)) == [0, 0, status]


def test_what_a_person_put_together_is_the_core_of_its_cluster() -> None:
    found = corrected([0, 0, 0, -1], together(1, 2, 3), core=[0, 0, -1, -1])
    assert found.core.tolist() == [0, 0, 0, 0]
    assert found.placed.tolist() == [False, False, True, True]


def test_a_cluster_whose_core_has_left_is_none() -> None:
    found = corrected([0, 0, 0, 1, 1], apart(1, 1, 0), core=[0, 0, -1, 1, 1])
    assert found.labels.tolist() == [-1, -1, -1, 0, 0]
    assert found.core.tolist() == [-1, -1, -1, 0, 0]


def test_a_later_link_that_contradicts_is_not_applied_at_all() -> None:
    links = together(1, 0, 1), apart(2, 1, 0), together(3, 2, 3)
    assert moved([-1, -1, -1, -1], *links) == [0, 0, 1, 1]
    assert [str(each) for each in stories(links).contradictions] == ["2 contradicts 1"]


@dataclass(frozen=True)
class Case:
    labels: list[int]
    node: list[int]
    links: list[Link[Row]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    n = draw(st.integers(2, 14))
    node = sorted(draw(st.lists(st.integers(0, n), min_size=n, max_size=n)))
    of_node = draw(st.lists(st.integers(-3, 4), min_size=n + 1, max_size=n + 1))
    items = st.one_of(st.integers(0, n - 1), st.sampled_from(["gone", "lost"]))
    links = []
    for number in range(1, draw(st.integers(0, 7)) + 1):
        names = draw(st.lists(items, min_size=2, max_size=4, unique=True))
        links.append(
            Link(
                number,
                *([tuple(names)] if draw(st.booleans()) else (tuple(names[:1]), tuple(names[1:]))),
            )
        )
    labels = [of_node[each] for each in node]
    dense = {label: at for at, label in enumerate(sorted({each for each in labels if each >= 0}))}
    return Case([dense.get(label, label) for label in labels], node, links)


def clusters(labels: Iterable[int]) -> set[frozenset[int]]:
    found: dict[int, set[int]] = {}
    for row, label in enumerate(labels):
        if label >= 0:
            found.setdefault(label, set()).add(row)
    return {frozenset(rows) for rows in found.values() if len(rows) > 1}


def run(case: Case) -> I32:
    labels, node = (np.array(each, dtype=np.int32) for each in (case.labels, case.node))
    return correct(labels, labels, node, stories(case.links)).labels


@given(cases())
@example(
    Case([0, 0, 1, 1, 2], [0, 1, 2, 3, 4], [together(1, 0, 2), together(2, 3, 4), apart(3, 0, 3)])
)
def test_every_link_that_is_no_contradiction_holds(case: Case) -> None:
    found = run(case).tolist()
    refused = {each.correction_id for each in stories(case.links).contradictions}
    for link in case.links:
        if link.correction_id in refused:
            continue
        items, others = (
            [row for row in side if isinstance(row, int) and case.labels[row] >= NOISE]
            for side in (link.items, link.others)
        )
        if link.others:
            assert all(found[a] != found[b] or found[a] < 0 for a in items for b in others)
        elif len(items) > 1:
            assert len({found[row] for row in items}) == 1
            assert found[items[0]] >= 0


@given(cases())
def test_nobody_is_lost_and_numbers_have_no_gaps(case: Case) -> None:
    found = run(case)
    labels = np.array(case.labels)
    outside = labels < NOISE
    assert (found[outside] == labels[outside]).all()
    assert (found[~outside] >= NOISE).all()
    assert sorted({*found.tolist()} - {-3, -2, -1}) == list(range(int(found.max(initial=-1)) + 1))


@given(cases())
def test_clusters_without_a_named_item_or_its_like_stay_as_they_are(case: Case) -> None:
    named = {row for link in case.links for row in (*link.items, *link.others)}
    nodes = {case.node[row] for row in named if isinstance(row, int)}
    untouched = {
        each for each in clusters(case.labels) if not nodes & {case.node[row] for row in each}
    }
    assert untouched <= clusters(run(case))


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(case: Case, random: object) -> None:
    order = list(range(len(case.labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    new = {old: place for place, old in enumerate(order)}

    def renamed(side: tuple[Row, ...]) -> tuple[Row, ...]:
        return tuple(new[row] if isinstance(row, int) else row for row in side)

    shuffled = Case(
        [case.labels[old] for old in order],
        [case.node[old] for old in order],
        [
            Link(each.correction_id, renamed(each.items), renamed(each.others))
            for each in case.links
        ],
    )
    back = [run(shuffled)[new[row]] for row in range(len(order))]
    assert clusters(back) == clusters(run(case))


@given(cases())
def test_applying_again_changes_nothing(case: Case) -> None:
    once = run(case)
    again = run(Case(once.tolist(), case.node, case.links))
    assert clusters(again) == clusters(once)


def test_ten_thousand_links_on_a_hundred_thousand_items() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(-1, 20_000, 100_000).tolist()
    pairs = rng.integers(0, 100_000, (10_000, 2)).tolist()
    links = [
        apart(number, one, two) if number % 2 else together(number, one, two)
        for number, (one, two) in enumerate(pairs, 1)
        if one != two
    ]
    found = corrected(labels, *links).labels
    refused = {each.correction_id for each in stories(links).contradictions}
    for link in links:
        if link.correction_id not in refused and not link.others:
            one, two = (int(row) for row in link.items)
            assert found[one] == found[two] >= 0
