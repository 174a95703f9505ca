"""Limits and drift, against a direct computation with numpy."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.evidence.check import NAMES
from clustering_tasks.publication.alerts import (
    EVIDENCE,
    LIMITS,
    METRICS,
    SECONDS,
    TIMED,
    UNREAD,
    WATCHED,
    Metrics,
    check_drift,
    deviations,
    find_alerts,
)
from clustering_tasks.settings.groups.publication import AlertSettings, PublishSettings
from clustering_tasks.settings.levels import LEVELS

SOUND: dict[str, float | None] = {
    "counts.read": 5000,
    "counts.clusters": 500,
    "coverage": 0.8,
    "raw_outlier_share": 0.2,
    "quality.silhouette": 0.4,
    "sizes.mean": 8.0,
    "tags.per_item": None,
    **{f"{SECONDS}.{step}": 100.0 for step in TIMED},
}
DEFAULTS = AlertSettings()
shares = st.floats(0, 1)
values = st.one_of(st.none(), st.floats(0, 1e6))
runs = st.fixed_dictionaries(dict.fromkeys(METRICS, values))


def names(metrics: Metrics, history: Sequence[Metrics], **settings: Any) -> list[str]:
    return [
        each.name for each in find_alerts("events", metrics, history, AlertSettings(**settings))
    ]


def alone(**changes: float | None) -> dict[str, float | None]:
    """A sound run, but for these; dots are written as two underscores."""
    return SOUND | {name.replace("__", "."): value for name, value in changes.items()}


def test_every_level_has_its_limits() -> None:
    assert set(LIMITS) == set(LEVELS)


@pytest.mark.parametrize("level", LEVELS)
def test_limits_hold_at_the_limit_and_not_beyond(level: str) -> None:
    limits = LIMITS[level]
    at = SOUND | {
        "quality.silhouette": limits.min_silhouette,
        "raw_outlier_share": limits.max_raw_outlier_share,
        "tags.per_item": limits.min_tags_per_item,
    }
    assert find_alerts(level, at, [], DEFAULTS) == []
    beyond = {
        "quality.silhouette": math.nextafter(limits.min_silhouette, -1),
        "raw_outlier_share": math.nextafter(limits.max_raw_outlier_share, 1),
        "tags.per_item": math.nextafter(limits.min_tags_per_item or 3.0, 0),
    }
    asked = DEFAULTS if limits.min_tags_per_item else AlertSettings(min_tags_per_item=3.0)
    found = find_alerts(level, SOUND | beyond, [], asked)
    assert {each.name: each.value for each in found} == {
        f"limit.{name}": value for name, value in beyond.items()
    }
    assert {each.severity for each in found} == {"warning"}
    assert all(each.action and level in each.message for each in found)


@pytest.mark.parametrize("name", UNREAD)
def test_values_that_cannot_be_used_in_most_of_a_level_are_an_alert(name: str) -> None:
    for count, expected in ((0, []), (2500, []), (2501, [f"limit.{name}"])):
        assert names(SOUND | {"input.items": 5000, f"input.{name}": count}, []) == expected
    assert names(SOUND | {"input.items": 0, f"input.{name}": 0}, []) == []
    assert names(SOUND | {f"input.{name}": 9}, []) == []  # a run of an earlier version


def test_a_callers_limits_replace_the_levels() -> None:
    run = alone(quality__silhouette=0.3, raw_outlier_share=0.7)
    assert names(run, []) == ["limit.raw_outlier_share"]
    assert names(run, [], min_silhouette=0.31, max_raw_outlier_share=0.7) == [
        "limit.quality.silhouette"
    ]


def test_a_level_of_which_nearly_all_is_noise_is_critical() -> None:
    (alert,) = find_alerts("events", alone(raw_outlier_share=0.93), [], DEFAULTS)
    assert (alert.name, alert.severity) == ("limit.raw_outlier_share", "critical")
    (alert,) = find_alerts("events", alone(raw_outlier_share=0.79), [], DEFAULTS)
    assert alert.severity == "warning"


@pytest.mark.parametrize("piece", EVIDENCE)
def test_evidence_that_the_vectors_contradict_is_reported(piece: str) -> None:
    name = f"evidence.{piece}.factor"
    assert names(SOUND | {name: 0.8}, []) == []
    (alert,) = find_alerts("events", SOUND | {name: 0.79}, [], DEFAULTS)
    assert (alert.name, alert.value, alert.limit_value) == (f"limit.{name}", 0.79, 0.8)
    assert piece in alert.message
    assert "evidence.check" in alert.action
    assert names(SOUND | {name: 0.5}, [], min_evidence_factor=0.5) == []


def test_every_piece_that_is_checked_has_its_alert() -> None:
    assert set(EVIDENCE) == set(NAMES) - {"window"}


@pytest.mark.parametrize(
    ("coverage", "severity"), [(0.61, None), (0.59, "warning"), (0.39, "critical")]
)
def test_a_fall_of_the_coverage_needs_three_runs_only(
    coverage: float, severity: str | None
) -> None:
    fallen = alone(coverage=coverage)
    assert names(fallen, [SOUND] * 2) == []
    found = find_alerts("events", fallen, [SOUND] * 3, DEFAULTS)
    assert [(each.name, each.severity) for each in found] == (
        [("drift.coverage", severity)] if severity else []
    )
    # once, whatever finds it
    assert names(alone(coverage=0.3), [SOUND] * 10) == ["drift.coverage"]


def test_a_run_with_half_of_the_usual_coverage_is_held_back() -> None:
    def failures(metrics: Metrics, runs: int = 3, **gate: Any) -> list[str]:
        return check_drift(metrics, [SOUND] * runs, DEFAULTS, PublishSettings(**gate))

    (failure,) = failures(alone(coverage=0.39))
    assert "coverage is 0.39" in failure
    assert "publish.max_coverage_drop=0.5 is allowed" in failure
    assert failures(alone(coverage=0.41)) == []
    assert failures(alone(coverage=0.0), runs=2) == []
    assert failures(alone(coverage=0.0), max_coverage_drop=1) == []
    assert failures(alone(coverage=0.0, counts__read=999)) == []
    low = alone(coverage=0.12)
    assert check_drift(alone(coverage=0.03), [low] * 9, DEFAULTS, PublishSettings()) == []


def test_items_nearer_to_other_clusters_than_to_their_own_are_critical() -> None:
    (alert,) = find_alerts("events", alone(quality__silhouette=-0.01), [], DEFAULTS)
    assert alert.severity == "critical"


def test_what_was_not_measured_raises_nothing() -> None:
    nothing = dict.fromkeys(SOUND)
    history = [SOUND] * 30
    assert names(nothing, history) == names({}, history) == []
    assert names(SOUND, [nothing] * 30) == []


def test_a_short_history_says_nothing() -> None:
    strange = alone(counts__read=1)
    assert names(strange, [SOUND] * 6) == []
    assert names(strange, [SOUND] * 7) == ["drift.counts.read"]
    without = [alone(counts__read=None)] * 7
    assert names(strange, [*without, *[SOUND] * 6]) == []
    assert names(strange, [SOUND] * 3, min_history=3) == ["drift.counts.read"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"counts__read": 3400}, "drift.counts.read"),
        ({"counts__read": 6600}, "drift.counts.read"),
        ({"counts__clusters": 340}, "drift.counts.clusters"),
        ({"counts__clusters": 660}, "drift.counts.clusters"),
        ({"coverage": 0.69}, "drift.coverage"),
        ({"coverage": 0.91}, None),
        ({"raw_outlier_share": 0.31}, "drift.raw_outlier_share"),
        ({"raw_outlier_share": 0.09}, None),
        ({"quality__silhouette": 0.29}, "drift.quality.silhouette"),
        ({"quality__silhouette": 0.9}, None),
        ({"sizes__mean": 5.5}, "drift.sizes.mean"),
        ({"sizes__mean": 10.5}, "drift.sizes.mean"),
        ({"seconds__merge": 500}, "drift.seconds"),
        ({"seconds__merge": 0}, None),
    ],
)
def test_each_metric_is_watched_where_a_change_is_for_the_worse(
    changes: dict[str, float], expected: str | None
) -> None:
    assert names(alone(**changes), [SOUND] * 10) == ([expected] if expected else [])


def test_a_short_run_may_take_twice_as_long() -> None:
    quick = SOUND | {f"{SECONDS}.{step}": 1.0 for step in TIMED}
    assert names(quick | {"seconds.merge": 60.9}, [quick] * 10) == []
    assert names(quick | {"seconds.merge": 61.1}, [quick] * 10) == ["drift.seconds"]


def test_a_duration_without_one_of_its_steps_is_not_known() -> None:
    assert names(alone(seconds__label=None, seconds__merge=9e9), [SOUND] * 10) == []


@pytest.mark.parametrize(("read", "severity"), [(3400, "warning"), (1900, "critical")])
def test_twice_what_is_allowed_is_critical(read: float, severity: str) -> None:
    (alert,) = find_alerts("events", alone(counts__read=read), [SOUND] * 10, DEFAULTS)
    assert (alert.severity, alert.value, alert.limit_value) == (severity, read, 3500)
    assert "5000" in alert.message


def test_a_duration_is_never_more_than_information() -> None:
    (alert,) = find_alerts("events", alone(seconds__merge=9e9), [SOUND] * 10, DEFAULTS)
    assert alert.severity == "info"


@given(runs, st.lists(runs, min_size=7, max_size=30), st.floats(1, 9), st.floats(0.01, 1))
def test_deviations_are_those_of_numpy(
    now: Metrics, history: list[Metrics], sigmas: float, change: float
) -> None:
    settings = AlertSettings(deviations=sigmas, min_change=change, min_share_change=change)
    found = {each.watched.name: each for each in deviations(now, history, settings)}
    for watched in WATCHED:
        if watched.name == SECONDS:
            continue
        old = np.array([run[watched.name] for run in history if run[watched.name] is not None])
        if now[watched.name] is None or len(old) < 7:
            assert watched.name not in found
            continue
        usual = np.median(old)
        spread = sigmas * 1.4826 * np.median(np.abs(old - usual))
        matters = change * usual if watched.relative else change
        each = found[watched.name]
        assert each.usual == pytest.approx(usual)
        assert each.allowed == pytest.approx(max(spread, matters, watched.min_difference))
        assert each.runs == len(old)


@given(
    st.lists(st.floats(100, 1e4), min_size=7, max_size=30),
    st.floats(100, 1e4),
    st.floats(1, 1e3),
)
def test_larger_levels_are_held_to_the_same_relative_limits(
    before: list[float], now: float, scale: float
) -> None:
    for name in ("counts.read", "counts.clusters", "sizes.mean"):
        (plain,) = deviations({name: now}, [{name: old} for old in before], DEFAULTS)
        (scaled,) = deviations(
            {name: scale * now}, [{name: scale * old} for old in before], DEFAULTS
        )
        assert scaled.times == pytest.approx(plain.times, rel=1e-6, abs=1e-9)


@given(runs, st.integers(7, 30))
def test_a_run_like_all_before_is_no_drift(run: Metrics, count: int) -> None:
    assert not [name for name in names(run, [run] * count) if name.startswith("drift")]


@given(shares, st.floats(0, 0.0999), st.integers(7, 30))
def test_equal_runs_leave_room_for_what_does_not_matter(
    usual: float, change: float, count: int
) -> None:
    history = [{"coverage": usual}] * count
    assert names({"coverage": usual - change}, history) == []


@given(runs, st.lists(runs, min_size=7, max_size=12), st.randoms())
def test_the_order_of_the_history_is_no_matter(
    now: Metrics, history: list[Metrics], rng: Any
) -> None:
    other = history.copy()
    rng.shuffle(other)
    assert names(now, history) == names(now, other)


def test_without_any_allowance_the_smallest_change_counts() -> None:
    settings: dict[str, Any] = {"min_share_change": 0, "min_change": 0}
    assert names(SOUND, [SOUND] * 10, **settings) == []
    assert names(alone(coverage=0.7999), [SOUND] * 10, **settings) == ["drift.coverage"]


def test_drift_does_not_hold_a_run_back_unless_asked() -> None:
    strange = alone(counts__read=1)
    assert check_drift(strange, [SOUND] * 10, DEFAULTS, PublishSettings()) == []


def test_the_gate_names_each_metric_that_drifted_too_far() -> None:
    gate = PublishSettings(max_drift=2)
    # 2.2, 1.5 and 3.5 times what is allowed; a better silhouette and the duration are no reason
    run = alone(counts__read=1700, coverage=0.65, raw_outlier_share=0.55, seconds__merge=9e9)
    run["quality.silhouette"] = 0.9
    (read, outliers) = check_drift(run, [SOUND] * 10, DEFAULTS, gate)
    assert "items read: 1700" in read
    assert "2.2 times" in read
    assert "publish.max_drift=2" in outliers


def test_the_gate_needs_a_history_too() -> None:
    gate = PublishSettings(max_drift=1)
    assert check_drift(alone(counts__read=1), [SOUND] * 6, DEFAULTS, gate) == []
