"""Whatever clusters a run finds, what holds of ids for ever holds behind it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clustering_tasks.identity.succession import Found, Succession, succeed
from tests.unit.identity.runs import Days, run_of

ITEMS = "abcdefghijklmnopqrstuvwx"
ABSENT, FILTERED, NOISE = -3, -2, -1
# Of each item the cluster, or why it is in none.
fates = st.lists(st.integers(ABSENT, 5), min_size=len(ITEMS), max_size=len(ITEMS))
groups = st.lists(st.integers(0, 12), min_size=len(ITEMS), max_size=len(ITEMS))


def found_of(day: int, fate: list[int], group: list[int]) -> Found:
    """A run; single items of a cluster are noise, as a cluster has two."""
    sizes = Counter(fate)
    words: dict[int, str] = {}
    for item, number in zip(ITEMS, fate, strict=True):
        number = NOISE if number >= 0 and sizes[number] < 2 else number
        words[number] = words.get(number, "") + item
    clusters = [word for number, word in words.items() if number >= 0]
    alike: dict[int, list[str]] = {}
    for item, number, same in zip(ITEMS, fate, group, strict=True):
        if number != ABSENT:
            alike.setdefault(same, []).append(item)
    return run_of(day, clusters, words.get(NOISE, ""), words.get(FILTERED, ""), [*alike.values()])


def members(done: Succession, found: Found) -> dict[str, frozenset[str]]:
    ids = done.ids["cluster_id"].to_pylist()
    of: dict[str, set[str]] = {name: set() for name in ids}
    for item, number in zip(
        found.items["vector_id"].to_pylist(), found.assignments["cluster"].to_pylist(), strict=True
    ):
        if number is not None:
            of[ids[number]].add(item)
    return {name: frozenset(items) for name, items in of.items()}


class ForEver(RuleBasedStateMachine):
    """Runs of any clusters, published one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.days = Days(look_back=2)
        self.ever: set[str] = set()
        self.ended: set[str] = set()
        self.clusters: dict[str, frozenset[str]] = {}

    @rule(fate=fates, group=groups)
    def publish(self, fate: list[int], group: list[int]) -> None:
        before = self.days.registry
        self.days.day += 1
        found = found_of(self.days.day, fate, group)
        ids = self.days.take(found)
        assert self.days.last is not None
        assert len(set(ids)) == len(ids)
        minted = {name for name in ids if self.days.change(name) == "born"}
        assert minted.isdisjoint(self.ever)
        assert set(ids).isdisjoint(self.ended)
        known = set(before.identities["cluster_id"].to_pylist())
        assert known <= set(self.days.registry.identities["cluster_id"].to_pylist())
        self.ever |= set(ids)
        self.clusters = members(self.days.last, found)
        again = succeed(before, found, self.days.look_back)
        assert again.ids == self.days.last.ids
        assert again.registry.items == self.days.registry.items
        assert again.lineage == self.days.last.lineage

    @invariant()
    def every_id_has_a_state_and_active_are_the_clusters(self) -> None:
        rows = self.days.registry.identities.to_pylist()
        assert {row["cluster_id"] for row in rows} == self.ever
        active = {row["cluster_id"] for row in rows if row["state"] == "active"}
        assert active == set(self.clusters)
        self.ended |= {row["cluster_id"] for row in rows if row["state"] == "ended"}

    @invariant()
    def successors_are_ids_and_form_no_circle(self) -> None:
        next_of = {
            row["cluster_id"]: row["successors"]
            for row in self.days.registry.identities.to_pylist()
        }
        for row in self.days.registry.identities.to_pylist():
            assert bool(row["successors"]) == (row["state"] in ("merged", "split"))
        for start in next_of:
            seen, ahead = set(), [start]
            while ahead:
                one = ahead.pop()
                assert one not in seen or one != start
                if one not in seen:
                    seen.add(one)
                    ahead += next_of[one]
                    assert start not in next_of[one]

    @invariant()
    def members_are_conserved(self) -> None:
        """Each item is once a member of its cluster's id, and no other id has it as present."""
        listed = Counter[str]()
        for row in self.days.registry.items.to_pylist():
            mine = [name for name in row["cluster_ids"] if name in self.clusters]
            assert len(mine) == (row["clustered"] & 1)
            for name in mine:
                assert row["vector_id"] in self.clusters[name]
            listed.update(mine)
        assert listed == {name: len(items) for name, items in self.clusters.items()}
        if self.days.last is not None:
            sizes = self.days.last.lineage["size"].to_pylist()
            assert sum(sizes) == sum(map(len, self.clusters.values()))


ForEver.TestCase.settings = settings(max_examples=40, stateful_step_count=6, deadline=None)
TestForEver = ForEver.TestCase


@given(first=fates, second=fates, group=groups, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_how_clusters_and_groups_are_numbered_does_not_matter(
    first: list[int], second: list[int], group: list[int], seed: int
) -> None:
    days = Days()
    days.take(found_of(1, first, group))
    found = found_of(2, second, group)
    draw = np.random.default_rng(seed)
    names = draw.permutation(found.clusters)
    old = found.assignments["cluster"].to_pylist()
    numbers = [None if number is None else int(names[number]) for number in old]
    others = draw.permutation(len(ITEMS))[found.assignments["near_duplicate"].to_numpy()]
    shuffled = replace(
        found,
        assignments=pa.table(
            {
                "cluster": pa.array(numbers, pa.int32()),
                "status": found.assignments["status"],
                "near_duplicate": pa.array(others, pa.int32()),
            }
        ),
    )
    one, other = (succeed(days.registry, each, 3) for each in (found, shuffled))
    assert members(one, found) == members(other, shuffled)
    assert one.lineage == other.lineage
    assert one.registry.identities == other.registry.identities


@given(first=fates, group=groups, kept=st.lists(st.booleans(), min_size=24, max_size=24))
@settings(max_examples=60, deadline=None)
def test_clusters_of_which_some_items_are_left_keep_their_ids(
    first: list[int], group: list[int], kept: list[bool]
) -> None:
    days = Days()
    before = found_of(1, first, group)
    days.take(before)
    assert days.last is not None
    ids = {item: name for name, items in members(days.last, before).items() for item in items}
    left = [word for word in words_left(ids, kept) if len(word) > 1]
    names = days.publish(*left)
    for name, word in zip(names, left, strict=True):
        assert {ids[item] for item in word} == {name}


def words_left(ids: dict[str, str], kept: list[bool]) -> list[str]:
    words: dict[str, str] = {}
    for item, stays in zip(ITEMS, kept, strict=True):
        if stays and item in ids:
            words[ids[item]] = words.get(ids[item], "") + item
    return [*words.values()]
