"""Rates of clusters against their own history: the interval against SciPy, counts by hand."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from clustering_tasks.settings.groups.meaning import TrendSettings
from clustering_tasks.steps.trend.rates import rate_ratios
from clustering_tasks.steps.trend.trend import count_items, describe

DAY = 86_400_000_000
COUNTS = [(0, 1), (1, 0), (1, 1), (5, 20), (20, 5), (0, 40), (40, 0), (7, 7), (300, 900)]


@pytest.mark.parametrize(("recent", "earlier"), COUNTS)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_bounds_are_those_of_the_mid_p_test(
    recent: int, earlier: int, confidence: float
) -> None:
    """At a bound the mid-p probability of the counts is half of what the interval leaves out."""
    days, before = 3.0, 21.0
    found = rate_ratios(
        np.array([recent]), days, np.array([earlier]), np.array([before]), confidence
    )
    total, tail = recent + earlier, (1 - confidence) / 2
    low, high = (1 - 1 / (1 + bound[0] * days / before) for bound in (found.low, found.high))
    if recent:
        over = binom.sf(recent, total, low) + binom.pmf(recent, total, low) / 2
        assert over == pytest.approx(tail, abs=1e-9)
    else:
        assert found.low[0] == 0
    if earlier:
        under = binom.cdf(recent - 1, total, high) + binom.pmf(recent, total, high) / 2
        assert under == pytest.approx(tail, abs=1e-9)
    else:
        assert found.high[0] == np.inf
    exact = binomtest(recent, total).proportion_ci(confidence)  # wider: Clopper and Pearson
    assert exact.low <= low + 1e-9
    assert earlier == 0 or high <= exact.high + 1e-9
    if earlier:
        assert found.ratio[0] == pytest.approx((recent / days) / (earlier / before))


def test_the_interval_covers_the_ratio_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(0)
    recent, earlier = rng.poisson(6, 20_000), rng.poisson(20, 20_000)
    some = recent + earlier > 0
    days = np.full(some.sum(), 10.0)
    found = rate_ratios(recent[some], 3.0, earlier[some], days, 0.95)
    covered = ((found.low <= 1.0) & (found.high >= 1.0)).mean()
    assert 0.945 <= covered <= 0.965


def counted(*clusters: list[float], as_of: float = 100.0) -> list[dict[str, Any]]:
    """The rows of clusters whose members come on these days."""
    settings = TrendSettings.model_validate({"window_days": 3, "history_days": 28})
    days = np.array([day for each in clusters for day in each], dtype=np.float64)
    labels = np.repeat(np.arange(len(clusters)), [len(each) for each in clusters])
    dated = ~np.isnan(days)
    times = (np.nan_to_num(days) * DAY).astype(np.int64)
    found = count_items(times, dated, labels, len(clusters), int(as_of * DAY), settings)
    rows: list[dict[str, Any]] = describe(found, settings).to_pylist()
    return rows


EVERY_DAY = [float(day) for day in range(60, 101)]


def test_a_story_that_comes_faster_grows_and_one_that_has_ended_fades() -> None:
    grows = [90.0, 91.0, 94.0, *np.linspace(97.5, 100, 12)]
    fades = [*np.linspace(80, 96, 40), 99.0]
    rests = [float(day) for day in range(50, 60)]
    rows = counted(EVERY_DAY, grows, fades, rests)
    assert [row["state"] for row in rows] == ["steady", "growing", "fading", "fading"]
    steady, grown, _, rested = rows
    assert (steady["recent"], steady["earlier"], steady["earlier_days"]) == (3, 29, 28)
    assert steady["rate"] == 1.0
    assert (grown["earlier"], grown["earlier_days"]) == (2, 7)  # the first begins the history
    assert (rested["recent"], rested["earlier"], rested["ratio"]) == (0, 0, None)


def test_a_new_story_grows_from_nothing_if_it_has_enough_items() -> None:
    many, few = counted(EVERY_DAY, [98.0] * 6, [98.0] * 4)[1:]
    assert (many["state"], many["earlier_rate"], many["ratio"]) == ("growing", 0.0, None)
    assert many["ratio_high"] is None
    assert few["state"] == "unknown"


def test_a_story_of_few_items_without_a_recent_one_is_not_called_steady() -> None:
    _, row = counted(EVERY_DAY, [70.0, 75.0, 80.0, 85.0, 90.0, 92.0])
    assert (row["recent"], row["earlier"], row["state"]) == (0, 5, "unknown")


def test_without_dates_there_is_no_trend_and_with_few_days_no_history() -> None:
    nan = float("nan")
    undated, partly = counted([nan] * 9, [*EVERY_DAY, nan])
    assert undated["state"] is None
    assert (partly["state"], partly["dated"]) == ("steady", 41)
    (short,) = counted([99.0, 99.5, 100.0, 100.0, 100.0, 100.0])
    assert (short["state"], short["earlier_days"], short["ratio"]) == ("unknown", 0, None)


def test_what_is_dated_after_the_run_does_not_count() -> None:
    rows = counted(EVERY_DAY, [*EVERY_DAY, *[150.0] * 30])
    assert rows[0] | {"dated": 0} == rows[1] | {"dated": 0}
    assert rows[1]["state"] == "steady"


def test_the_last_days_end_with_the_levels_last_item() -> None:
    assert counted(EVERY_DAY, as_of=100) == counted(EVERY_DAY, as_of=4000)


def test_no_items_no_clusters_no_dates() -> None:
    assert counted() == []
    assert [row["state"] for row in counted([])] == [None]
