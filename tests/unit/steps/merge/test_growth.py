"""The similarity from which a new node joins, and what a run keeps of the one before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from upath import UPath

from clustering_tasks.algorithms.interface import Block
from clustering_tasks.algorithms.method import Weights
from clustering_tasks.evidence.pairs import DocumentTrust
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.merge.learned import Learned, load_learned
from clustering_tasks.steps.merge.leftover import (
    Leftover,
    placed,
    with_loose,
    without_gaps,
    without_weak_pairs,
)
from clustering_tasks.steps.merge.votes import Ballot, ballot, join_limit, join_one_by_one

NONE = -1


def limit(
    labels: list[int], offered: list[int], similarity: list[float], given: float | None = None
) -> float:
    settings = run_settings({"incremental.vote_similarity": given})
    arrays = np.array(labels, np.int32), np.array(offered, np.int32)
    return join_limit(settings.incremental, *arrays, np.array(similarity, np.float32))


def test_the_limit_divides_members_from_noise() -> None:
    assert limit(
        [0, 0, 1, NONE, NONE], [0, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.5, 0.4]
    ) == pytest.approx(0.7)


def test_a_wrong_cluster_and_noise_that_joins_count_against() -> None:
    assert limit([0, 1, NONE, 0], [0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6]) == pytest.approx(0.9)
    found = limit([0, 0, NONE, 0, 0], [0, 0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5])
    assert found == pytest.approx(0.5)


def test_nothing_joins_where_the_vote_is_never_right() -> None:
    assert limit([NONE, NONE], [0, 0], [0.9, 0.8]) == np.inf
    assert limit([0, 1], [NONE, NONE], [-np.inf, -np.inf]) == np.inf
    assert limit([], [], []) == np.inf


def test_a_limit_that_is_set_counts() -> None:
    assert limit([0], [0], [0.9], given=0.25) == 0.25


def test_clusters_of_old_noise_alone_are_none() -> None:
    found = np.array([0, 0, 1, 1, 2, 2, NONE], np.int32)
    loose = np.array([False, False, True, False, True, True, True])
    assert with_loose(found, loose).tolist() == [NONE, NONE, 0, 0, 1, 1, NONE]


def test_numbers_are_without_gaps_in_their_order() -> None:
    assert without_gaps(np.array([5, NONE, 2, 5], np.int32)).tolist() == [1, NONE, 0, 1]


def test_a_group_is_that_of_most_of_its_members_and_old_noise_stays_noise() -> None:
    rest = Leftover(
        rows=np.arange(8),
        loose=np.array([True, False, False, False, True, True, False, True]),
        cluster=np.array([NONE, 4, 3, 4, NONE, NONE, NONE, NONE], np.int32),
    )
    group = np.array([0, 0, 0, 0, 1, 1, 1, NONE], np.int32)
    weight = np.array([1, 1, 3, 1, 1, 1, 1, 1], np.int32)
    assert placed(rest, group, weight, 10).tolist() == [3, 4, 3, 4, 10, 10, 10, NONE]
    rest.cluster[6] = 5
    assert placed(rest, group, weight, 10).tolist()[4:] == [5, 5, 5, NONE]
    noise = replace(rest, cluster=np.full(8, NONE, np.int32), loose=np.zeros(8, dtype=bool))
    assert placed(noise, group, weight, 10).tolist() == [NONE] * 8


@pytest.mark.parametrize(
    ("floor", "left"), [(0.5, [0, 0, NONE, NONE, 2, 2]), (None, [0, 0, 1, 1, 2, 2])]
)
def test_new_pairs_are_as_alike_as_those_of_the_full_run(
    floor: float | None, left: list[int]
) -> None:
    alike, unlike = [0.9, np.sqrt(0.19)], [0.2, np.sqrt(0.96)]
    vectors = np.array([[1, 0], alike, [1, 0], unlike, [1, 0], unlike], dtype=np.float32)
    nothing = np.empty((6, 0))
    ids, distances = nothing.astype(np.int32), nothing.astype(np.float32)
    part = Block(vectors, ids, distances, np.ones(6, dtype=np.int32))
    labels = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)
    cluster = np.array([NONE, NONE, NONE, NONE, 7, NONE], dtype=np.int32)  # 7 has more members
    assert without_weak_pairs(labels, cluster, part, floor).tolist() == left


def star(*edges: tuple[int, int, float], rows: list[int]) -> Ballot:
    """Nodes and their neighbours, with the similarity of each."""
    ids = np.full((len(rows), 4), NONE, np.int32)
    distances = np.full((len(rows), 4), np.inf, np.float32)
    for at, row in enumerate(rows):
        own = sorted((-s, b) for a, b, s in edges if a == row)
        ids[at, : len(own)] = [b for _, b in own]
        distances[at, : len(own)] = [(2 + 2 * s) ** 0.5 for s, _ in own]
    return ballot(np.array(rows), ids, distances)


def test_nodes_join_from_the_nearest_on_and_those_nearer_to_each_other_wait() -> None:
    # 0 and 1 are old; 2 joins, then 3, which only 2 is near to; 4 and 5 are nearest to each other
    edges = [(2, 0, 0.9), (3, 2, 0.8), (3, 0, 0.3), (4, 5, 0.9), (5, 4, 0.9), (4, 1, 0.8)]
    votes = star(*edges, (5, 1, 0.7), rows=[2, 3, 4, 5])
    labels = np.array([0, 1, NONE, NONE, NONE, NONE], np.int32)
    join_one_by_one(votes, labels, 0.5)
    assert labels.tolist() == [0, 1, 0, 0, NONE, NONE]
    assert votes.of(np.array([4, 5])).voters(labels).tolist() == [1]


def test_nothing_joins_below_the_limit() -> None:
    labels = np.array([0, NONE], np.int32)
    join_one_by_one(star((1, 0, 0.4), rows=[1]), labels, 0.5)
    assert labels.tolist() == [0, NONE]


def trust() -> DocumentTrust:
    bounds, gap = np.array([0.5], np.float32), np.array([0.1, 0.2], np.float32)
    of, chance = np.array([0.2, 0.8], np.float32), np.array([0.3, 0.5], np.float32)
    return DocumentTrust(of, chance, 0.4, bounds, gap)


def test_what_was_learned_is_read_as_it_was_written(tmp_path: Path) -> None:
    story = np.array([0, 1, NONE], np.int32)
    for given in (
        Learned(Weights(mention_weight=0.2, window_days=3.0), {"k": 3}, trust(), story),
        Learned(None, {"linkage": "average"}, None, np.empty(0, np.int32)),
    ):
        given.save(UPath(tmp_path / "learned.npz"))
        read = load_learned(UPath(tmp_path / "learned.npz"))
        assert (read.weights, read.facts) == (given.weights, given.facts)
        assert (read.trust is None) == (given.trust is None)
        assert read.story.tolist() == given.story.tolist()
        if read.trust is not None:
            assert read.trust.of_document.tolist() == trust().of_document.tolist()
            assert read.trust.chance_gap == 0.4


def test_trust_follows_its_documents_and_new_ones_get_the_mean() -> None:
    was = Learned(Weights(), {}, trust(), np.array([0, 1, NONE], np.int32))
    # four nodes: a new one of a new document 0, the second, a new one of its document, the first
    former, story = np.array([-1, 1, -1, 0], np.int32), np.array([0, 1, 1, 2], np.int32)
    found = was.trusting(former, story, 3).trust
    assert found is not None
    assert found.of_document.tolist() == pytest.approx([0.5, 0.8, 0.2])
    assert found.by_chance.tolist() == pytest.approx([0.4, 0.5, 0.3])
