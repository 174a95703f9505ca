import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from stage4.job_ids import as_of, governing_ids, job_id


@dataclass
class DagRun:
    data_interval_end: datetime | None
    run_after: datetime


@pytest.mark.parametrize(
    "run_id",
    [
        "manual__2026-11-20T11:00:00.123456+00:00",
        "scheduled__2026-11-20T02:15:00+00:00__events",
        "a~b",
        "x" * 250,
    ],
)
def test_a_job_id_is_safe_in_a_path_and_short_enough_for_a_file_name(run_id: str) -> None:
    assert re.fullmatch(r"cluster_events\.[A-Za-z0-9_.-]{1,140}", job_id("cluster_events", run_id))


def test_a_plain_run_id_stays_readable() -> None:
    assert job_id("cluster_events", "nightly-7") == "cluster_events.nightly-7"


def test_run_ids_that_differ_only_in_what_is_replaced_or_cut_stay_apart() -> None:
    run_ids = ["a:b", "a+b", "a~b", "a-b", "x" * 121, "x" * 122, "x" * 120]
    assert len({job_id("d", run_id) for run_id in run_ids}) == len(run_ids)


def test_as_of_is_the_end_of_the_interval_in_utc() -> None:
    end = datetime(2026, 11, 20, 3, tzinfo=timezone(timedelta(hours=1)))
    moment = as_of(DagRun(data_interval_end=end, run_after=end + timedelta(days=1)))
    assert moment == datetime(2026, 11, 20, 2, tzinfo=UTC)
    assert moment.tzinfo is UTC


def test_as_of_a_triggered_run_is_when_it_might_start() -> None:
    now = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert as_of(DagRun(data_interval_end=None, run_after=now)) == now


@pytest.mark.parametrize(
    ("dag_id", "run_id", "governing"),
    [
        ("cluster_events", "manual__1", ["cluster_events.manual__1"]),
        ("cluster_all", "manual__1", ["cluster_all.manual__1"]),
        ("cluster_events", "m__events", ["cluster_events.m__events", "cluster_all.m"]),
        ("cluster_events", "m__entities", ["cluster_events.m__entities"]),
    ],
)
def test_a_decision_about_all_levels_holds_for_the_runs_that_it_started(
    dag_id: str, run_id: str, governing: list[str]
) -> None:
    assert governing_ids(dag_id, run_id) == governing
