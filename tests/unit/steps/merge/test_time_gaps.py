"""Gaps in a cluster's time against a direct computation, and what becomes of its members."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.arrays import F64
from clustering_tasks.settings.groups.graph import TemporalSettings
from clustering_tasks.steps.merge.time_gaps import Checked, check_gaps

NEVER = float("nan")


def settle(
    labels: list[int],
    days: list[float] | F64,
    ids: list[list[int]] | None = None,
    weight: list[int] | None = None,
    **temporal: object,
) -> Checked:
    n = len(labels)
    span = np.array(days, dtype=np.float64)
    settings = TemporalSettings.model_validate({"max_gap_days": 5, **temporal})
    return check_gaps(
        np.array(labels, dtype=np.int32),
        np.full(n, 0.5, dtype=np.float32),
        span if span.ndim == 2 else np.stack([span, span], axis=1),
        np.array(ids or [[-1]] * n, dtype=np.int32).reshape(n, -1 if n else 1),
        np.array(weight or [1] * n, dtype=np.int32),
        settings,
    )


def test_unset_nothing_changes() -> None:
    found = settle([0, 0, -1], [1, 99, 5], max_gap_days=None)
    assert found.labels.tolist() == [0, 0, -1]
    assert found.gaps is None


def test_a_cluster_is_split_at_its_gaps_and_others_stay() -> None:
    found = settle([0, 1, 0, 0, 1, 0, -1, -2], [1, 1, 20, 2, 6, 22, 9, 9])
    assert found.labels.tolist() == [0, 2, 1, 0, 2, 1, -1, -2]
    assert found.gaps == 1
    assert set(found.probabilities.tolist()) == {0.5}


def test_a_gap_is_longer_than_allowed_not_as_long() -> None:
    assert settle([0, 0, 0, 0], [1, 1, 6, 6]).labels.tolist() == [0, 0, 0, 0]
    assert settle([0, 0, 0, 0], [1, 1, 6.01, 6.01]).labels.tolist() == [0, 0, 1, 1]


def test_a_long_span_covers_what_begins_within_it() -> None:
    spans = np.array([[0.0, 30], [2, 3], [28, 29], [34, 34]])
    assert settle([0, 0, 0, 0], spans).labels.tolist() == [0, 0, 0, 0]
    assert settle([0, 0, 0, 0], spans[[1, 1, 2, 3]]).labels.tolist() == [0, 0, 1, 1]


def test_what_is_left_alone_is_noise_but_copies_are_not_alone() -> None:
    found = settle([0, 0, 0, 1, 1], [1, 2, 20, 1, 1])
    assert found.labels.tolist() == [0, 0, -1, 1, 1]
    assert found.probabilities.tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert settle([0, 0, 0], [1, 2, 20], weight=[1, 1, 3]).labels.tolist() == [0, 0, 1]


def test_undated_members_follow_their_nearest_dated_one_in_the_cluster() -> None:
    days = [1, 2, 20, 21, NEVER, NEVER]
    near = [[-1, -1, -1]] * 4
    found = settle([0, 0, 0, 0, 0, 0], days, [*near, [5, 2, 0], [-1, -1, -1]], [1, 2, 1, 1, 1, 1])
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 0]  # the last goes to the larger piece
    elsewhere = settle([0, 0, 0, 0, 0, 1, 1], [*days, 3], [*near, [6, 3, 0], *near[:2]])
    assert elsewhere.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]


def test_a_cluster_without_dates_is_coherent() -> None:
    found = settle([0, 0, 1, 1], [NEVER, NEVER, 1, NEVER])
    assert (found.labels.tolist(), found.gaps) == ([0, 0, 1, 1], 0)


def test_penalised_members_keep_their_cluster_and_lose_probability() -> None:
    found = settle([0, 0, 1, 1, -1], [1, 21, 1, 2, 50], on_gap="penalise")
    assert found.labels.tolist() == [0, 0, 1, 1, -1]
    assert found.probabilities.tolist() == pytest.approx([0.125, 0.125, 0.5, 0.5, 0.5])
    assert found.gaps == 1


def test_without_nodes_there_is_nothing_to_split() -> None:
    found = settle([], np.empty((0, 2)))
    assert (len(found.labels), found.gaps) == (0, 0)


@st.composite
def clusterings(draw: st.DrawFn) -> tuple[list[int], F64]:
    n = draw(st.integers(1, 25))
    labels = draw(st.lists(st.integers(-2, 3), min_size=n, max_size=n))
    names = sorted(label for label in set(labels) if label >= 0)
    labels = [names.index(label) if label >= 0 else label for label in labels]
    first = np.array(draw(st.lists(st.integers(0, 60), min_size=n, max_size=n)), np.float64)
    length = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), np.float64)
    first[draw(st.lists(st.booleans(), min_size=n, max_size=n))] = np.nan
    return labels, np.stack([first, first + length], axis=1)


def pieces(members: list[int], span: F64) -> list[list[int]]:
    """Directly: dated members are of one piece where a chain of short ways leads between them."""
    todo = [m for m in members if not np.isnan(span[m, 0])]
    found = []
    while todo:
        piece = [todo.pop()]
        for one in piece:
            near = [
                m for m in todo if max(span[m, 0] - span[one, 1], span[one, 0] - span[m, 1], 0) <= 5
            ]
            piece += near
            todo = [m for m in todo if m not in near]
        found.append(sorted(piece))
    return found


@given(clusterings())
def test_pieces_are_what_a_direct_computation_gives(
    case: tuple[list[int], F64],
) -> None:
    labels, span = case
    found = settle(labels, span)
    assert [label for label in labels if label < -1] == [x for x in found.labels if x < -1]
    for cluster in set(labels) - {-1, -2}:
        members = [m for m, label in enumerate(labels) if label == cluster]
        direct = pieces(members, span)
        undated = [m for m in members if np.isnan(span[m, 0])]
        if len(direct) < 2:
            assert len({found.labels[m] for m in members}) == 1
            continue
        largest = max(direct, key=lambda piece: (len(piece), -span[piece, 0].min()))
        for piece in direct:
            whole = piece + undated if piece is largest else piece
            (label,) = {int(found.labels[m]) for m in whole}
            assert (label >= 0) == (len(whole) > 1)
            if label >= 0:
                assert np.flatnonzero(found.labels == label).tolist() == sorted(whole)
    kept = found.labels[found.labels >= 0]
    assert sorted(set(kept.tolist())) == list(range(len(set(kept.tolist()))))
