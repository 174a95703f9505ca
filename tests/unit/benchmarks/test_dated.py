"""The dates that collections are given."""

import numpy as np
import pytest

from clustering_tasks.arrays import F64
from clustering_tasks.stage3.dates import ANY_DATE, read_dates
from tests.benchmarks.collection import Collection, Items
from tests.benchmarks.dated import CONTROLS, DATES, HALF_YEAR, redated
from tests.benchmarks.time import rows
from tests.stage3_folder import scattered

STORIES = [f"story {n // 20}" for n in range(2000)]


def drawn(kind: str) -> F64:
    return (DATES | CONTROLS)[kind](STORIES, np.random.default_rng(0))


def spread(days: F64) -> float:
    """Median days between the first and the last quartile of a story."""
    within = days.reshape(100, 20)
    return float(
        np.median(np.nanquantile(within, 0.75, axis=1) - np.nanquantile(within, 0.25, axis=1))
    )


@pytest.mark.parametrize("kind", DATES | CONTROLS)
def test_the_same_seed_gives_the_same_dates(kind: str) -> None:
    np.testing.assert_array_equal(drawn(kind), drawn(kind))


def test_stories_last_for_days_to_weeks_or_for_months() -> None:
    assert 2 < spread(drawn("half a year")) < 12
    assert 60 < spread(drawn("two years, slow")) < 120
    assert spread(drawn("random dates")) > HALF_YEAR / 3
    assert np.ptp(drawn("crawl times")) < 2
    assert np.ptp(drawn("one date")) == 0


def test_some_follow_ups_are_a_year_later_and_some_items_undated() -> None:
    days = drawn("half a year")
    late = days.reshape(100, 20) - days.reshape(100, 20).min(axis=1)[:, None] > 300
    assert 0.01 < late.mean() < 0.05
    assert np.isnan(drawn("half a year, 30% undated")).mean() == pytest.approx(0.3, abs=0.05)


def collection() -> Collection:
    names = [f"doc_{n}" for n in range(40)]
    entries = [{"source_id": name, "metadata": {"publication_date": "1999"}} for name in names]
    documents = Items(names, scattered(40), entries, [str(n // 4) for n in range(40)])
    told = [{"source_id": f"e{n}", "metadata": {"document_id": names[n // 2]}} for n in range(80)]
    events = Items([f"e{n}" for n in range(80)], scattered(80), told, [str(n) for n in range(80)])
    return Collection("test", {"documents": documents, "events": events})


def test_the_dates_can_be_read_and_events_have_their_documents() -> None:
    days = DATES["half a year"]
    documents = redated(collection(), "documents", days, 0).levels["documents"].entries
    events = redated(collection(), "events", days, 0).levels["events"].entries
    dates = [entry["metadata"]["publication_date"] for entry in documents]
    assert len(set(dates)) > 10
    assert all(read_dates(date, ANY_DATE)[0] is not None for date in dates)
    assert [e["metadata"]["temporal_reference"] for e in events] == [
        dates[n // 2] for n in range(80)
    ]


def test_rows_are_levels_shares_and_dates() -> None:
    found = list(rows([collection()], [0.0, 0.5], DATES, ["test documents"]))
    assert len(found) == 2 * len(DATES)
    assert found[0].path == "time/test documents/0/half a year"
