"""How two runs map to each other, compared with a direct computation on small runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from clustering_tasks.identity.former_ids import former_id
from stage4.api.queries.differences import (
    KINDS,
    RELATED,
    Change,
    Kind,
    Summary,
    page_query,
    summary_query,
)
from stage4.database.load import load_run
from tests.integration.conftest import Results
from tests.integration.identified import Identified, event
from tests.integration.label_files import Label, report_of

Groups = list[set[int]]


@dataclass(frozen=True)
class Grouped(Label):
    """A run with these clusters of numbered items; all other items are noise."""

    groups: Groups = field(default_factory=list)
    items: int = 0

    def cluster_rows(self) -> Iterator[dict[str, Any]]:
        for group in self.groups:
            yield {
                "cluster_id": name(group),
                "cluster_type": "event",
                "label": f"label of {min(group)}",
                "size": len(group),
                "centroid": "[1,0,0,0]",
                **dict.fromkeys(("keywords", "representatives", "primary_entities"), "[]"),
                **dict.fromkeys(("document_ids", "record", "tags"), "[]"),
            }

    def member_rows(self) -> Iterator[dict[str, Any]]:
        of_item = {item: name(group) for group in self.groups for item in group}
        for item in range(self.items):
            yield {
                "vector_id": vector_id(item),
                "source_id": str(item),
                "status": "clustered" if item in of_item else "noise",
                "cluster_id": of_item.get(item),
                "metadata": "{}",
                "tags": "[]",
            }

    def report(self) -> dict[str, Any]:
        clustered = sum(map(len, self.groups))
        counts = {"read": self.items, "clustered": clustered, "noise": self.items - clustered}
        counts |= {"filtered": 0, "unassigned": 0, "clusters": len(self.groups)}
        return super().report() | {"counts": counts}


def vector_id(item: int) -> str:
    return f"event_emb_{item:05}"


def name(group: set[int]) -> str:
    return former_id("event", map(vector_id, group))


def load(folder: Path, groups: Groups, items: int, number: int) -> int:
    files = Grouped(folder, job_id=f"run__{number}", groups=groups, items=items).write()
    load_id: int = load_run(files["files"], report_of(files))["load_id"]
    return load_id


def kinds(earlier: Groups, later: Groups) -> dict[str, Kind]:
    """Every cluster's kind, by the definitions of the module."""

    def most(one: set[int], others: Groups) -> str | None:
        return next((name(other) for other in others if 2 * len(one & other) > len(one)), None)

    into = Counter(most(group, later) for group in earlier if group not in later)
    origins = {name(group): most(group, earlier) for group in later if group not in earlier}
    parts = Counter(origins.values())
    found: dict[str, Kind] = {}
    for group in later:
        origin = origins.get(name(group))
        if group in earlier:
            found[name(group)] = "unchanged"
        elif into[name(group)] >= 2:
            found[name(group)] = "merged"
        elif origin is not None and parts[origin] >= 2:
            found[name(group)] = "split"
        else:
            stays = origin is not None or into[name(group)] == 1
            found[name(group)] = "changed" if stays else "appeared"
    for group in earlier:
        stays = most(group, later) is not None or parts[name(group)] > 0
        if group not in later and not stays:
            found[name(group)] = "vanished"
    return found


def moved(earlier: Groups, later: Groups) -> int:
    pairs = [(one, other) for one in earlier for other in later]
    return sum(
        len(one & other)
        for one, other in pairs
        if 2 * len(one & other) <= min(len(one), len(other))
    )


def changes(results: Results, runs: tuple[int, int], limit: int, kind: Kind | None = None) -> Any:
    """All pages, one after the other."""
    last: dict[str, Any] = dict.fromkeys(("size", "cluster_id", "vanished"))
    with results.server.connect(results.database, results.loader) as connection:
        while rows := connection.execute(
            page_query(*runs), last | {"kind": kind, "limit": limit}
        ).fetchall():
            page = [Change(*row) for row in rows]
            yield from page
            last = {name: getattr(page[-1], name) for name in ("size", "cluster_id")}
            last["vanished"] = page[-1].kind == "vanished"


def summary(results: Results, runs: tuple[int, int]) -> Summary:
    with results.server.connect(results.database, results.loader) as connection:
        row = connection.execute(summary_query(*runs)).fetchone()
    assert row is not None
    return Summary(*row)


def items(*ranges: tuple[int, int]) -> set[int]:
    return {item for first, last in ranges for item in range(first, last)}


EARLIER = [items((0, 10)), items((10, 20)), items((20, 26)), items((26, 32)), items((40, 44))]
LATER = [
    items((0, 10)),  # unchanged
    items((10, 16), (60, 62)),  # split
    items((16, 20)),  # split
    items((20, 32)),  # merged
    items((50, 55), (40, 41)),  # appeared
]


def test_each_kind_of_change(results: Results, tmp_path: Path) -> None:
    runs = load(tmp_path, EARLIER, 70, 1), load(tmp_path, LATER, 70, 2)
    found = {change.cluster_id: change for change in changes(results, runs, 100)}
    expected = ["unchanged", "split", "split", "merged", "appeared"]
    assert [found.pop(name(group)).kind for group in LATER] == expected
    (vanished,) = found.values()
    first = {"cluster_id": name(LATER[4]), "shared": 1}
    assert vanished == Change(name(EARLIER[4]), "label of 40", 4, "vanished", False, 1, 1, [first])
    assert summary(results, runs) == Summary(
        kinds={"unchanged": 1, "split": 2, "merged": 1, "appeared": 1, "vanished": 1},
        clustered_before=36,
        clustered_after=40,
        shared=33,
        moved=1,
        same_ids=1,
    )


def test_the_clusters_that_share_members_are_named(results: Results, tmp_path: Path) -> None:
    many = [items((4 * number, 4 * number + 4)) for number in range(15)]
    whole = [items((0, 60))]
    runs = load(tmp_path, many, 60, 1), load(tmp_path, whole, 60, 2)
    (merged,) = changes(results, runs, 10)
    assert (merged.kind, merged.shared, merged.related_count) == ("merged", 60, 15)
    expected = sorted(name(group) for group in many)[:RELATED]
    assert merged.related == [{"cluster_id": each, "shared": 4} for each in expected]
    back = list(changes(results, (runs[1], runs[0]), 10))
    assert {change.kind for change in back} == {"split"}
    assert all(change.related == [{"cluster_id": name(whole[0]), "shared": 4}] for change in back)


def test_runs_without_clusters(results: Results, tmp_path: Path) -> None:
    empty, full = load(tmp_path, [], 40, 1), load(tmp_path, EARLIER[:3], 40, 2)
    assert [change.kind for change in changes(results, (empty, full), 2)] == ["appeared"] * 3
    assert [change.kind for change in changes(results, (full, empty), 2)] == ["vanished"] * 3
    assert [change.kind for change in changes(results, (full, full), 2)] == ["unchanged"] * 3
    assert summary(results, (empty, empty)) == Summary({}, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(6))
def test_random_runs_against_a_direct_computation(
    results: Results, tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    earlier, later = random_runs(rng, 300)
    runs = load(tmp_path, earlier, 300, 1), load(tmp_path, later, 300, 2)
    expected = kinds(earlier, later)
    found = list(changes(results, runs, 7))
    assert {change.cluster_id: change.kind for change in found} == expected
    assert [(-each.size, each.cluster_id) for each in found] == sorted(
        (-each.size, each.cluster_id) for each in found
    )
    total = summary(results, runs)
    assert total.kinds == Counter(expected.values())
    assert total.moved == moved(earlier, later)
    assert total.shared == len(set().union(*earlier) & set().union(*later))
    for kind in KINDS:
        assert list(changes(results, runs, 3, kind)) == [c for c in found if c.kind == kind]


def random_runs(rng: np.random.Generator, count: int) -> tuple[Groups, Groups]:
    """Two clusterings: the second splits and merges some clusters and moves some items."""
    before = rng.integers(-1, 30, size=count)
    after = np.where(np.isin(before, [3, 4, 5]) & (rng.random(count) < 0.5), before + 100, before)
    after[np.isin(after, [7, 8])] = 9
    some = rng.random(count) < 0.1
    after[some] = rng.integers(-1, 30, size=int(some.sum()))
    after[np.isin(after, [20, 21])] = -1
    return groups_of(before), groups_of(after)


def groups_of(labels: np.ndarray[Any, Any]) -> Groups:
    groups = [set(np.flatnonzero(labels == each).tolist()) for each in np.unique(labels)]
    return [
        group
        for group, each in zip(groups, np.unique(labels), strict=True)
        if each >= 0 and len(group) > 1
    ]


def test_the_json_of_a_row_is_plain(results: Results, tmp_path: Path) -> None:
    runs = load(tmp_path, EARLIER, 70, 1), load(tmp_path, LATER, 70, 2)
    assert all(orjson.dumps(change) for change in changes(results, runs, 50))
    assert orjson.dumps(summary(results, runs))


def test_clusters_are_compared_by_members_whatever_their_ids(
    results: Results, tmp_path: Path
) -> None:
    """A lasting id says nothing of members: it may have others, or be another's by then."""
    first = Identified(tmp_path, members={event(1): items((0, 10)), event(2): items((10, 20))})
    members = {event(1): items((30, 40)), event(3): items((10, 20)), event(2): items((0, 9))}
    runs = first.load(), first.then(members).load()
    found = [(each.cluster_id, each.kind, each.same_id) for each in changes(results, runs, 1)]
    assert found == [
        (event(1), "appeared", True),
        (event(3), "unchanged", False),
        (event(2), "changed", True),
    ]
    back = [(each.cluster_id, each.kind, each.same_id) for each in changes(results, runs[::-1], 1)]
    assert back == [
        (event(1), "changed", True),
        (event(1), "vanished", True),
        (event(2), "unchanged", True),
    ]
    assert summary(results, runs).same_ids == 2
