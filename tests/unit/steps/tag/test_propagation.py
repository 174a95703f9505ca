"""Tags of clusters and of members, against a plain loop over items."""

import numpy as np
import pytest

from clustering_tasks.arrays import I64
from clustering_tasks.settings.groups.meaning import TagSettings
from clustering_tasks.steps.tag.propagation import (
    Applied,
    Clustering,
    ClusterTags,
    apply_tags,
    tag_clusters,
)
from clustering_tasks.steps.tag.sources import Pairs, distinct

Own = list[set[int]]


def run(
    own: Own, labels: list[int], probabilities: list[float], exclusive: list[int], **chosen: float
) -> tuple[ClusterTags, Applied]:
    settings = TagSettings.model_validate(chosen)
    rows = np.array([row for row, tags in enumerate(own) for _ in tags], dtype=np.int64)
    tags = np.array([tag for tags in own for tag in sorted(tags)], dtype=np.int64)
    borne = distinct(rows, tags, len(exclusive))
    clusters = max(labels, default=-1) + 1
    clustering = Clustering(np.array(labels, np.int64), np.array(probabilities), clusters)
    found = tag_clusters(borne, clustering, len(exclusive), settings)
    kinds: I64 = np.array(exclusive, np.int64)
    return found, apply_tags(found, borne, clustering, kinds, settings.auto_apply_threshold)


def pairs(applied: Applied) -> dict[tuple[int, int], float]:
    each = zip(applied.pairs.rows.tolist(), applied.pairs.tags.tolist(), strict=True)
    return dict(zip(each, applied.confidence.tolist(), strict=True))


def test_the_confidence_is_the_share_of_the_members_by_probability() -> None:
    own: Own = [{0}, {0}, {1}, set(), {0}]
    found, applied = run(own, [0, 0, 0, 0, -1], [1.0, 0.8, 0.1, 0.1, 0.0], [0, 0])
    assert found.tags.tolist() == [0]
    assert found.confidence.tolist() == [0.9]  # 1.8 of 2.0
    assert found.members.tolist() == [2]
    assert pairs(applied) == {}  # .9 x .1 is less than .7
    assert applied.conflicts.tolist() == [0]


def test_a_sure_member_without_the_tag_gets_it() -> None:
    _, applied = run([{0}, {0}, {0}, set()], [0] * 4, [1.0, 1.0, 1.0, 0.94], [0])
    found = pairs(applied)
    assert list(found) == [(3, 0)]
    assert found[3, 0] == pytest.approx(0.94 * round(3 / 3.94, 6), abs=1e-6)


def test_what_is_exactly_at_the_threshold_is_applied() -> None:
    own: Own = [{0}] * 7 + [set()] * 3
    _, applied = run(own, [0] * 10, [1.0] * 10, [0])
    assert pairs(applied) == {(7, 0): 0.7, (8, 0): 0.7, (9, 0): 0.7}
    _, applied = run(own, [0] * 10, [1.0] * 10, [0], auto_apply_threshold=0.700001)
    assert pairs(applied) == {}


def test_a_member_with_another_tag_of_the_category_keeps_it_and_is_a_conflict() -> None:
    own: Own = [{0}, {0}, {0}, {1}]
    _, applied = run(own, [0] * 4, [1.0] * 4, [0, 0])
    assert pairs(applied) == {}
    assert applied.conflicts.tolist() == [1]
    _, applied = run(own, [0] * 4, [1.0] * 4, [-1, -1])  # of `tags` one does not exclude another
    assert pairs(applied) == {(3, 0): 0.75}
    assert applied.conflicts.tolist() == [0]


def test_a_member_that_agrees_with_a_tag_of_the_category_gets_the_other() -> None:
    own: Own = [{0, 1}, {0, 1}, {0, 1}, {1}, {2}]
    _, applied = run(own, [0] * 5, [1.0] * 4 + [0.2], [0, 0, 0])
    assert list(pairs(applied)) == [(3, 0)]


def test_of_many_tags_the_surest_are_kept_and_equal_ones_by_name() -> None:
    found, _ = run([{0, 1, 2, 3}, {0, 2, 3}, {2}], [0, 0, 0], [1.0] * 3, [-1] * 4, count=2)
    assert found.tags.tolist() == [2, 0]
    found, _ = run([{0, 1, 2, 3}, {0, 2, 3}, {2}], [0, 0, 0], [1.0] * 3, [-1] * 4)
    assert found.tags.tolist() == [2, 0, 3]


def test_members_of_no_probability_give_their_cluster_no_tag() -> None:
    found, applied = run([{0}, {0}], [0, 0], [0.0, 0.0], [0], auto_apply_threshold=0)
    assert len(found) == len(applied.pairs) == 0


def test_nothing_at_all() -> None:
    found, applied = run([], [], [], [])
    assert len(found) == len(applied.pairs) == len(applied.conflicts) == 0
    found, applied = run([set(), set()], [0, 0], [1.0, 1.0], [])
    assert len(found) == len(applied.pairs) == 0


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_loop_over_the_members_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, count = 60, 6
    exclusive = [0, 0, 1, 1, -1, -1]
    favourite = rng.integers(count, size=5)
    labels = np.unique(rng.integers(-1, 4, n), return_inverse=True)[1] - 1
    own: Own = [
        {int(favourite[label]) for _ in range(rng.random() < 0.8)}
        | set(rng.integers(count, size=rng.integers(2)).tolist())
        for label in labels
    ]
    probabilities = np.round(rng.beta(8, 1, n), 6)
    found, applied = run(own, labels.tolist(), probabilities.tolist(), exclusive)
    expected, conflicts = by_a_loop(own, labels.tolist(), probabilities.tolist(), exclusive)
    assert pairs(applied) == pytest.approx(expected)
    assert int(applied.conflicts.sum()) == conflicts
    assert len(applied.pairs) == len(set(pairs(applied)))
    assert np.bincount(applied.of, minlength=len(found)).sum() == len(expected)


def by_a_loop(
    own: Own, labels: list[int], probabilities: list[float], exclusive: list[int]
) -> tuple[dict[tuple[int, int], float], int]:
    expected: dict[tuple[int, int], float] = {}
    conflicts = 0
    for cluster in range(max(labels) + 1):
        members = [row for row, label in enumerate(labels) if label == cluster]
        total = sum(probabilities[row] for row in members)
        shares = {
            tag: round(sum(probabilities[row] for row in members if tag in own[row]) / total, 6)
            for tag in range(len(exclusive))
        }
        sure = {tag: share for tag, share in shares.items() if share >= 0.7}
        for row in members:
            for tag, share in sure.items():
                confidence = round(share * probabilities[row], 6)
                if tag in own[row] or confidence < 0.7:
                    continue
                of_kind = {t for t in range(len(exclusive)) if exclusive[t] == exclusive[tag] >= 0}
                if own[row] & of_kind and not own[row] & of_kind & set(sure):
                    conflicts += 1
                else:
                    expected[row, tag] = confidence
    return expected, conflicts


def test_pairs_are_kept_once() -> None:
    found = distinct(np.array([2, 0, 2, 2]), np.array([1, 0, 1, 0]), 2)
    assert isinstance(found, Pairs)
    assert (found.rows.tolist(), found.tags.tolist()) == ([0, 2, 2], [0, 0, 1])
