import math
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clustering_tasks.stage3.dates import (
    IMPLAUSIBLE,
    UNPARSABLE,
    parse_date,
    plausible_dates,
    read_dates,
)

DAY = datetime(2025, 12, 14, tzinfo=UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))  # noqa: DTZ001  (a zone is drawn)
ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())
)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2025-12-14T00:00:00Z", DAY),
        ("2025-12-14T05:30:00+05:30", DAY),
        ("2025-12-14 00:00:00", DAY),
        ("2025-12-14", DAY),
        ("20251214", DAY),
        (" 2025-12-14\n", DAY),
        ("2025-12-14T00:00:00.250Z", DAY + timedelta(seconds=0.25)),
        (1765670400, DAY),
        (1765670400.5, DAY + timedelta(seconds=0.5)),
        ("1765670400", DAY),
        ("1765670400.5", DAY + timedelta(seconds=0.5)),
        (1765670400000, DAY),
        ("1765670400000", DAY),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
    ],
)
def test_the_forms_that_sources_write(written: object, meant: datetime) -> None:
    parsed = parse_date(written)
    assert parsed == meant
    assert parsed is not None
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "14.12.25",
        "03/04/2025",
        "2025-13-01",
        "2025-02-30",
        "2025",
        "",
        True,
        None,
        [],
        {},
        math.nan,
        math.inf,
        10**400,
        "9" * 5000,
        "0001-01-01T00:00:00+14:00",  # before the first year, in UTC
        1e18,
    ],
)
def test_what_is_no_date_is_none(written: object) -> None:
    assert parse_date(written) is None


@given(TIMES, ZONES)
def test_a_time_with_a_zone_comes_back_in_utc(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    assert parse_date(aware.isoformat()) == aware


@given(TIMES)
def test_a_time_without_a_zone_is_utcs(moment: datetime) -> None:
    assert parse_date(moment.isoformat()) == moment.replace(tzinfo=UTC)


def test_the_machines_own_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        for written in ("2025-12-14T00:00:00", "2025-12-14", 1765670400, "2025-12-14T00:00:00Z"):
            assert parse_date(written) == DAY
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.dates(date(1, 1, 2), date(9999, 12, 30)))
def test_a_day_begins_at_midnight_in_utc(day: date) -> None:
    assert parse_date(day.isoformat()) == datetime(day.year, day.month, day.day, tzinfo=UTC)


@given(st.integers(10**8, 10**11 - 1))
def test_an_epoch_in_seconds_milliseconds_and_as_text_is_the_same(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert parse_date(seconds) == moment
    assert parse_date(str(seconds)) == moment
    assert parse_date(seconds * 1000) == moment


MORNING = datetime(2025, 12, 14, 10, tzinfo=UTC)
PLAUSIBLE = plausible_dates(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "written", ["20251214{}", "20251214{}00", "20251214{}0000", "20251214{}0000000"]
)
def test_digits_of_a_calendar_date_are_that_date_as_text_or_number(written: str) -> None:
    digits = written.format("10")
    for value in (digits, int(digits)):
        assert read_dates(value, PLAUSIBLE) == ((MORNING, MORNING), frozenset())
    for whole in ("20251214", 20251214, 20251214.0):
        assert read_dates(whole, PLAUSIBLE).span == (DAY, DAY)


@pytest.mark.parametrize(
    "written",
    [
        "Sun, 14 Dec 2025 10:00:00 GMT",
        "Sun, 14 Dec 2025 05:00:00 EST",
        "14 Dec 2025 11:00 +0100",
        "14 Dec 2025 10:00:00 -0000",
        "2025-12-14 05:00 EST",
        "2025-12-14 11:00:00 CET",
        "2025-12-14 10:00:00 UTC",
        "2025-12-14 11:00:00 +0100",
        "2025-12-14 10:00:00 +0000 UTC",  # Go
        "2025-12-14T11:00:00+01:00[Europe/Paris]",  # Java
        "Sun Dec 14 2025 11:00:00 GMT+0100 (Central European Standard Time)",  # JavaScript
        "Sun Dec 14 10:00:00 2025",
        "December 14, 2025 10:00 AM",
        "14 December 2025, 10:00",
        "2025/12/14 10:00",
        "14/12/2025 10:00",  # there is no month 14
        "12/14/2025 10:00 am",
        "14.12.2025 10:00",
        "2025年12月14日 10:00",
        "20251214T100000Z",
        "2025-W50-7T10:00",
        "2025-348T10:00",
        {"$date": {"$numberLong": "1765706400000"}},
        {"date": "2025-12-14T10:00:00Z"},
    ],
)
def test_what_has_one_meaning_is_read(written: object) -> None:
    assert read_dates(written, PLAUSIBLE) == ((MORNING, MORNING), frozenset())


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("2025-12", (1, 31)),
        ("December 2025", (1, 31)),
        ("2025-W50", (8, 14)),
        ("2025W50", (8, 14)),
        ("2025-12-14/2025-12-16", (14, 16)),
        ("2025-12-14/16", (14, 16)),
        ("2025-12-14--2025-12-16", (14, 16)),
        ("2025-12-14T00:00:00Z/2025-12-16T00:00:00Z", (14, 16)),
        ("20251214/20251216", (14, 16)),
        ("2025-12-14/..", (14, 14)),
        ("../2025-12-16", (16, 16)),
        ({"start": "2025-12-14", "end": "2025-12-16"}, (14, 16)),
        ({"from": 1765670400, "to": None}, (14, 14)),
        ({"year": 2025, "month": 12}, (1, 31)),
        (["2025-12-16", "2025-12-14"], (14, 16)),
        (["2025-12-14", None], (14, 14)),
    ],
)
def test_a_period_is_from_its_first_to_its_last_day(written: object, days: tuple[int, int]) -> None:
    first, last = (DAY.replace(day=day) for day in days)
    assert read_dates(written, PLAUSIBLE) == ((first, last), frozenset())


@pytest.mark.parametrize(
    "written",
    [
        "03/04/2025",
        "03.04.2025",
        "3-4-2025 10:00",
        "14-Dec-25",
        "25-12-14",
        "3 March",
        "10:00",
        "Sunday",
        "2025",
        "2025-03-04 10:00 XYZ",
        "Sun, 14 Dec 2025 10:00:00 IST",  # India, Israel or Ireland
        "soon (2025)",
        "2025-02-30",
        "soon/later",
        {"year": 2025},
        {"when": "2025-12-14"},
        [[[["2025-12-14"]]]],
        "x" * 10_000,
        True,
    ],
)
def test_what_would_be_a_guess_is_not_read(written: object) -> None:
    assert read_dates(written, PLAUSIBLE) == (None, frozenset({UNPARSABLE}))


@pytest.mark.parametrize(
    "written",
    [
        0,
        "1970-01-01T00:00:00Z",
        "1969-12-31T19:00:00-05:00",
        7,
        2025,
        -86400,
        "0001-01-01T00:00:00Z",
        "1900-01-01",
        "1601-01-01",
        "2099-01-01",
        "9999-12-31",
        "2038-01-19T03:14:07Z",
        4102444800,
        "20251332235959",  # no calendar date, and as milliseconds of the year 2611
        "20991231",
    ],
)
def test_what_is_no_date_of_news_is_implausible(written: object) -> None:
    assert read_dates(written, PLAUSIBLE) == (None, frozenset({IMPLAUSIBLE}))


def test_the_range_is_relative_to_the_snapshots_year_and_the_same_all_year() -> None:
    later = plausible_dates(datetime(2026, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))))
    assert later == plausible_dates(datetime(2027, 1, 1, tzinfo=UTC)) != PLAUSIBLE
    assert plausible_dates(datetime(2026, 12, 31, tzinfo=UTC)) == PLAUSIBLE
    assert read_dates("2032-01-01", later).span is not None
    assert read_dates("2032-01-01", PLAUSIBLE).span is None
    assert read_dates("1970-01-02", PLAUSIBLE).span is not None


def test_one_end_that_cannot_be_used_leaves_the_other() -> None:
    assert read_dates(["soon", "2025-12-14"], PLAUSIBLE) == ((DAY, DAY), frozenset({UNPARSABLE}))
    assert read_dates("2025-12-14/9999-12-31", PLAUSIBLE) == ((DAY, DAY), frozenset({IMPLAUSIBLE}))
    both = frozenset({IMPLAUSIBLE, UNPARSABLE})
    assert read_dates({"start": 0, "end": "soon"}, PLAUSIBLE) == (None, both)


@pytest.mark.parametrize("written", [None, "", " ", [], {}, [None, ""]])
def test_nothing_is_no_problem(written: object) -> None:
    assert read_dates(written, PLAUSIBLE) == (None, frozenset())


@pytest.mark.parametrize("zone", ["EST", "Asia/Tokyo"])
def test_a_zone_is_never_the_machines_own(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert read_dates("December 14, 2025 10:00").span == (MORNING, MORNING)
        assert read_dates("December 14, 2025 10:00 JST").span is None
    finally:
        monkeypatch.undo()
        time.tzset()


JSON = st.recursive(ANYTHING, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5)
ODD = st.text("0123456789-/:.TWZ+ ADEcnv年月日", max_size=30)


@given(JSON | ODD)
@example("2025-12-14T10:00:00+99:99")
@example("0000-00")
@example("9999-12")
@example("9999-W53")
@example({"start": {"start": {"start": {"start": 1}}}})
def test_no_value_makes_reading_fail(written: object) -> None:
    span, problems = read_dates(written, PLAUSIBLE)
    assert span is None or PLAUSIBLE.first <= span[0] <= span[1] <= PLAUSIBLE.last
    assert problems <= {UNPARSABLE, IMPLAUSIBLE}


@given(ANYTHING)
@example("1e5")
@example("\u00b2" * 9)  # digits that are no decimal digits
@example("-" * 9 + "1")
def test_nothing_makes_it_fail(written: object) -> None:
    parsed = parse_date(written)
    assert parsed is None or parsed.tzinfo is UTC
