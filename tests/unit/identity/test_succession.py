"""What becomes of ids from run to run, case by case."""

import json
import re

import pytest

from clustering_tasks.identity.succession import mint
from tests.unit.identity.runs import Days, run_of


@pytest.fixture
def days() -> Days:
    return Days()


def test_an_id_goes_on_while_its_cluster_grows_and_shrinks(days: Days) -> None:
    one, other = days.publish("abcd", "wxyz")
    assert days.change(one) == days.change(other) == "born"
    assert re.fullmatch(r"event_[0-9a-f]{12}", one)
    assert days.publish("abcdef", "wxyz") == [one, other]
    assert (days.change(one), days.change(other)) == ("grew", "continued")
    assert (days.version(one), days.version(other)) == (2, 1)
    assert days.publish("xyz", "abcdef") == [other, one]
    assert (days.change(other), days.version(other)) == ("continued", 2)


def test_on_a_split_the_part_with_most_of_the_old_members_keeps_the_id(days: Days) -> None:
    (whole,) = days.publish("abcdefg")
    part, rest = days.publish("abc", "defgxyz")
    assert rest == whole
    assert (days.change(rest), days.change(part)) == ("split", "split")
    assert (days.previous(part), days.previous(rest)) == ([whole], [])
    assert days.state(whole) == "active"


def test_a_split_into_three_keeps_the_id_though_no_part_has_half(days: Days) -> None:
    (whole,) = days.publish("abcdefghij")
    parts = days.publish("abcd", "efg", "hij")
    assert parts[0] == whole
    assert days.previous(parts[1]) == days.previous(parts[2]) == [whole]


def test_on_a_merge_the_id_with_most_of_the_new_cluster_goes_on(days: Days) -> None:
    few, many = days.publish("abc", "vwxyz")
    assert days.publish("abcvwxyz") == [many]
    assert (days.change(many), days.previous(many)) == ("merged", [few])
    assert (days.state(few), days.successors(few), days.change(few)) == (
        "merged",
        [many],
        "absorbed",
    )


def test_of_equals_the_older_id_goes_on_then_the_lower(days: Days) -> None:
    (old,) = days.publish("abc")
    _, young = days.publish("abc", "xyz")
    assert days.publish("abcxyz") == [old]
    assert days.successors(young) == [old]
    twins = Days().publish("abc", "xyz")
    together = Days()
    together.publish("abc", "xyz")
    assert together.publish("abcxyz") == [min(twins)]


def test_a_rest_that_stays_behind_does_not_keep_the_id(days: Days) -> None:
    """Most of the id went into another: what is left is another story."""
    one, other = days.publish("abcde", "tuvwxyz")
    rest, grown = days.publish("dek", "abctuvwxyz")
    assert grown == other
    assert rest not in (one, other)
    assert (days.state(one), days.successors(one)) == ("merged", [other])
    assert days.previous(rest) == [one]


def test_an_older_id_that_has_nearly_as_much_goes_on(days: Days) -> None:
    """What is half and half today would be under another id tomorrow."""
    (old,) = days.publish("abcdefghij")
    _, young = days.publish("abcdefghij", "pqrstuvwxyz")
    assert days.publish("abcdefghijpqrstuvwxyz") == [old]
    assert days.successors(young) == [old]


def test_a_merge_that_is_undone_gives_both_their_ids_back(days: Days) -> None:
    few, many = days.publish("abc", "vwxyz")
    days.publish("abcvwxyz")
    assert days.publish("abc", "vwxyz") == [few, many]
    assert (days.state(few), days.successors(few), days.change(few)) == ("active", [], "returned")


def test_a_story_that_sleeps_returns_and_one_that_sleeps_too_long_has_ended(days: Days) -> None:
    one, other = days.publish("abc", "xyz")
    assert days.publish("xyz", noise="abc") == [other]
    assert (days.state(one), days.change(one)) == ("dormant", "dormant")
    days.publish("xyz", noise="abc")
    assert (days.state(one), days.change(one)) == ("dormant", None)
    assert days.publish("abc", "xyz") == [one, other]
    assert days.change(one) == "returned"
    for _ in range(days.look_back):
        days.publish("xyz", noise="abc")
    assert (days.state(one), days.change(one)) == ("ended", "ended")
    new, again = days.publish("abc", "xyz")
    assert new != one
    assert again == other
    assert days.state(one) == "ended"


def test_a_filter_or_a_window_is_no_split(days: Days) -> None:
    (whole,) = days.publish("abcdefgh")
    assert days.publish("ab", filtered="cdefgh") == [whole]
    assert days.publish("abxyz") == [whole]  # of its items only two are left in the input
    (again,) = days.publish("xyz")
    assert again == whole


def test_near_duplicates_count_once(days: Days) -> None:
    """Ten copies of one report do not outweigh three different ones."""
    copies = "0123456789"
    (whole,) = days.publish(f"abc{copies}")
    rest, of_copies = days.publish("abc", copies, alike=[copies])
    assert rest == whole
    assert days.previous(of_copies) == [whole]


def test_what_is_scattered_over_clusters_is_split_into_them(days: Days) -> None:
    """None of the parts has more than half of the id, nor the id more than half of a part."""
    one, other, third = days.publish("abcdef", "klmnop", "uvwxyz")
    first, second, last = days.publish("abklmn", "cduvwx", "efopyz")
    assert {first, second, last}.isdisjoint({one}) or days.state(one) == "active"
    for each in (one, other, third):
        assert days.state(each) in ("active", "split", "merged")
        if days.state(each) == "split":
            assert set(days.successors(each)) <= {first, second, last}


def test_what_is_absorbed_while_it_slept_names_where_it_went(days: Days) -> None:
    one, other = days.publish("abc", "tuvwxyz")
    days.publish("tuvwxyz", noise="abc")
    assert days.publish("abctuvwxyz") == [other]
    assert (days.state(one), days.successors(one)) == ("merged", [other])
    assert days.previous(other) == [one]


def test_every_decision_is_explained_by_shares(days: Days) -> None:
    few, many = days.publish("abcd", "vwxyz")
    days.publish("abvwxyz", noise="cd")
    assert days.last is not None
    (row,) = [r for r in days.last.lineage.to_pylist() if r["cluster_id"] == many]
    assert row["size"] == 7
    assert json.loads(row["related"]) == [
        {"cluster_id": many, "shared": 5, "of_it": 1.0, "of_this": 0.7143},
        {"cluster_id": few, "shared": 2, "of_it": 0.5, "of_this": 0.2857},
    ]


def test_an_id_is_of_the_level_the_run_and_the_members_and_never_one_that_there_is() -> None:
    found = run_of(1, ["abc"])
    name = mint(found, ["a", "b", "c"], taken=())
    assert mint(found, ["a", "b", "c"], taken=()) == name
    assert mint(found, ["a", "b"], taken=()) != name
    assert mint(run_of(2, ["abc"]), ["a", "b", "c"], taken=()) != name
    other = mint(found, ["a", "b", "c"], taken={name})
    assert other != name
    assert mint(found, ["a", "b", "c"], taken={name, other}) not in {name, other}


def test_deleted_items_leave_and_an_id_stays_while_two_members_do(days: Days) -> None:
    one, other = days.publish("abc", "xyz")
    gone = frozenset({"doc-a", "doc-x", "doc-y"})
    cut = days.registry.without(lambda names: gone.intersection(names))
    assert cut is not None
    assert cut.without(lambda names: gone.intersection(names)) is None
    assert set(cut.items["vector_id"].to_pylist()) == set("bcz")
    days.registry = cut
    assert (days.state(one), days.version(one)) == ("active", 2)
    assert days.state(other) == "deleted"
    first, second = days.publish("bc", "zuv")
    assert first == one
    assert second != other
    assert days.state(other) == "deleted"
