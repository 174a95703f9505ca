"""Contradictions against a direct computation, and whom they name."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.corrections.contradictions import Link, contradictions, stories
from clustering_tasks.corrections.correction import Correction


def named(*links: Link[str]) -> list[str]:
    return [str(each) for each in stories(links).contradictions]


def test_both_sides_of_a_chain_are_named() -> None:
    links = Link(3, ("a", "b")), Link(5, ("b", "c")), Link(9, ("a",), ("c",))
    assert named(*links) == ["9 contradicts 3, 5"]


def test_of_the_ways_between_two_items_the_shortest_is_named() -> None:
    links = Link(1, ("a", "b")), Link(2, ("b", "c")), Link(3, ("a", "c")), Link(4, ("a",), ("c",))
    assert named(*links) == ["4 contradicts 3"]


def test_a_late_together_names_the_apart_and_what_leads_to_it() -> None:
    links = Link(1, ("a", "b")), Link(2, ("b",), ("c",)), Link(3, ("c", "d")), Link(4, ("d", "a"))
    assert named(*links) == ["4 contradicts 1, 2, 3"]


def test_the_earlier_holds_whatever_the_order_of_the_list() -> None:
    links = Link(2, ("a",), ("b",)), Link(1, ("a", "b"))
    assert named(*links) == ["2 contradicts 1"]


def test_a_refused_correction_links_nothing() -> None:
    # 3 would join all of a, b, c; it is refused whole, so 4 is free
    links = Link(1, ("a",), ("c",)), Link(3, ("a", "b", "c")), Link(4, ("b", "c"))
    assert named(*links) == ["3 contradicts 1"]


@st.composite
def links(draw: st.DrawFn) -> list[Link[str]]:
    found = []
    for number in range(1, draw(st.integers(0, 9)) + 1):
        names = draw(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=4, unique=True))
        cut = draw(st.integers(0, len(names) - 1))
        first, second = tuple(names[:cut]), tuple(names[cut:])
        found.append(Link(number, first, second) if first else Link(number, second))
    return found


def consistent(some: list[Link[str]]) -> bool:
    """By the closure of `together`, a pass for each change."""
    of = {name: name for name in "abcdef"}
    for _ in of:
        for link in some:
            if not link.others:
                lowest = min(of[name] for name in link.items)
                of |= {name: lowest for name in of if of[name] in {of[each] for each in link.items}}
    return not any(of[a] == of[b] for link in some for a in link.items for b in link.others)


@given(links())
def test_each_is_refused_that_the_accepted_ones_exclude(given_links: list[Link[str]]) -> None:
    accepted: list[Link[str]] = []
    refused = set[int]()
    for link in given_links:
        if consistent([*accepted, link]):
            accepted.append(link)
        else:
            refused.add(link.correction_id)
    assert {each.correction_id for each in stories(given_links).contradictions} == refused


@given(links())
def test_those_that_are_named_exclude_it_together(given_links: list[Link[str]]) -> None:
    by_number = {link.correction_id: link for link in given_links}
    for each in stories(given_links).contradictions:
        against = [by_number[number] for number in each.against]
        assert consistent(against)
        assert not consistent([*against, by_number[each.correction_id]])


def test_ten_thousand_take_no_time_worth_naming() -> None:
    pairs = list(combinations([f"event_emb_{n}" for n in range(145)], 2))[:10_000]
    chain = [Link(n, pair) for n, pair in enumerate(pairs[:5000], 1)]
    found = stories(
        [*chain, *(Link(5000 + n, (a,), (b,)) for n, (a, b) in enumerate(pairs[5000:]))]
    )
    assert len(found.contradictions) == 5000
    assert all(len(each.against) <= 2 for each in found.contradictions[:100])


ID, OTHER = "event_0123456789ab", "event_ba9876543210"


def about(number: int, kind: str, cluster: str = ID, label: str | None = None) -> Correction:
    return Correction.model_validate(
        {"correction_id": number, "kind": kind, "cluster_id": cluster, "label": label}
    )


@pytest.mark.parametrize(
    ("given_corrections", "expected"),
    [
        ([about(1, "rename", label="A"), about(2, "rename", label="B")], ["2 contradicts 1"]),
        ([about(1, "rename", label="A"), about(2, "rename", label="A")], []),
        ([about(1, "rename", label="A"), about(2, "rename", OTHER, "B")], []),
        ([about(1, "pin"), about(2, "hide")], ["2 contradicts 1"]),
        ([about(1, "hide"), about(2, "hide"), about(3, "rename", label="A")], []),
    ],
)
def test_names_and_places_of_a_cluster(
    given_corrections: list[Correction], expected: list[str]
) -> None:
    assert [str(each) for each in contradictions(given_corrections)] == expected
