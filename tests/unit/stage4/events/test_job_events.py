"""Which events the facts about a job cause."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from clustering_tasks.contract.cloud_events import DATA, JobEvent
from stage4.database.job_events import (
    PROGRESS_PERIOD,
    Canceled,
    Created,
    Ended,
    Event,
    Fact,
    Job,
    Paused,
    Progressed,
    Published,
    Resumed,
    Started,
    observe_all,
)
from tests.events_out import NOON

JOB = Job("cluster_events.manual__1", "events")
CHECKED = TypeAdapter(JobEvent)


def at(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def caused(*facts: Fact) -> list[str]:
    return [event.type.rpartition(".")[2] for event in events(*facts)]


def events(*facts: Fact) -> list[Event]:
    return observe_all(JOB, facts)[1]


def test_a_run_from_its_submission_to_its_publication() -> None:
    facts = (
        Created(at(0)),
        Created(at(1)),
        Started(at(2)),
        Started(at(2)),
        Progressed(at(12), 10.0),
        Published(at(100), 23, {"clusters_created": 3}),
        Progressed(at(101), 90.0),
        Ended(at(110), "success"),
        Ended(at(111), "success"),
    )
    assert caused(*facts) == ["created", "started", "progress", "completed"]
    progress, completed = events(*facts)[2:]
    assert progress.data["percent"] == 10.0
    assert progress.data["expected_end"] == "2026-03-01T12:01:42Z"  # 2 s + 10 s / 10 %
    assert (completed.data, completed.key) == ({"clusters_created": 3}, "23")


def test_a_start_that_nobody_announced_is_a_creation_too() -> None:
    assert caused(Started(at(0))) == ["created", "started"]


def test_progress_is_throttled_and_never_goes_back() -> None:
    facts = [Progressed(at(seconds), percent) for seconds, percent in enumerate(range(1, 21))]
    shown = events(Started(at(0)), *facts)[2:]
    assert [event.data["percent"] for event in shown] == [1, 6, 11, 16]
    assert caused(Started(at(0)), Progressed(at(9), 50), Progressed(at(99), 50)) == [
        *("created", "started", "progress")
    ]


@pytest.mark.parametrize(
    ("facts", "last"),
    [
        ([Ended(at(9), "failed", "merge: no memory")], ["failed"]),
        ([Canceled(at(9)), Ended(at(10), "failed")], ["canceled"]),
        ([Ended(at(9), "failed"), Canceled(at(10))], ["failed"]),
        ([Ended(at(9), "success")], ["completed"]),
        ([Published(at(8), 1, {}), Ended(at(9), "failed")], ["completed", "failed"]),
        ([Paused(at(3)), Paused(at(4)), Resumed(at(5)), Resumed(at(6))], ["paused", "resumed"]),
        ([Paused(at(3)), Progressed(at(9), 50.0)], ["paused"]),
    ],
)
def test_what_may_follow_a_start(facts: list[Fact], last: list[str]) -> None:
    assert caused(Started(at(0)), *facts)[2:] == last


def test_a_job_that_is_paused_before_its_start_stays_so() -> None:
    before = (Created(at(0)), Paused(at(1)), Started(at(2)))
    assert [(each.type.rpartition(".")[2], each.data["state"]) for each in events(*before)] == [
        ("created", "queued"),
        ("paused", "paused"),
        ("started", "paused"),
    ]
    assert events(*before, Resumed(at(9)))[-1].data["state"] == "running"


def test_a_cleared_run_starts_again() -> None:
    first = (Started(at(0)), Progressed(at(10), 40.0), Ended(at(20), "failed", "label: no"))
    again = (Started(at(60)), Progressed(at(61), 10.0), Published(at(70), 4, {}))
    assert caused(*first, *again)[3:] == ["failed", "started", "progress", "completed"]
    assert events(*first, *again)[4].data["error"] is None


def test_a_publication_before_the_start_is_known_is_not_followed_by_it() -> None:
    assert caused(Published(at(5), 1, {}), Started(at(0)), Ended(at(9), "success")) == ["completed"]


seconds = st.floats(0, 1000)
facts_ = st.one_of(
    st.builds(Created, seconds.map(at)),
    st.builds(Started, seconds.map(at)),
    st.builds(Progressed, seconds.map(at), st.floats(0, 100)),
    st.builds(Paused, seconds.map(at)),
    st.builds(Resumed, seconds.map(at)),
    st.builds(Ended, seconds.map(at), st.sampled_from(["success", "failed"])),
    st.builds(Canceled, seconds.map(at)),
)


@given(st.lists(facts_, max_size=30))
def test_whatever_happens_each_start_has_one_end_and_its_progress_is_apart(
    facts: list[Fact],
) -> None:
    ends, since = 0, None
    for event in events(*facts):
        CHECKED.validate_python(event.data)
        assert event.type in DATA
        match event.type.rpartition(".")[2]:
            case "started":
                ends, since = 0, None
            case "completed" | "failed" | "canceled":
                ends += 1
            case "progress":
                assert since is None or event.at - since >= PROGRESS_PERIOD
                since = event.at
        assert ends <= 1
