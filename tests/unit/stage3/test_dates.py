import math
import time
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clustering_tasks.stage3.dates import parse_date

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
        "14.12.2025",
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


@given(ANYTHING)
@example("1e5")
@example("\u00b2" * 9)  # digits that are no decimal digits
@example("-" * 9 + "1")
def test_nothing_makes_it_fail(written: object) -> None:
    parsed = parse_date(written)
    assert parsed is None or parsed.tzinfo is UTC
