"""Dates as Stage 3's sources write them (TM-4).

A value is read where it has one meaning. What a person would have to guess (03/04/2025, a year of
two digits, an unknown zone) is not read, and what is read but cannot be a date of news is left out:
the caller counts both.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

from dateutil.parser import isoparse, parse

Span = tuple[datetime, datetime]
"""First and last time, both in UTC; equal for a moment. A day is its midnight."""

UNPARSABLE = "unparsable_dates"
IMPLAUSIBLE = "implausible_dates"
_NO_PROBLEM: frozenset[str] = frozenset()

# Epochs above this are milliseconds: as seconds they would lie after the year 5138.
_MILLISECONDS_FROM = 1e11
# Numbers below are rarely epochs (before 1973-03-03): rather a year, a count, a month.
_FEWEST_SECONDS = 1e8
_EPOCH_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How many digits a calendar date has: to the day, hour, minute, second, millisecond. Ten and twelve
# are as many as an epoch has.
_CALENDAR = (8, 10, 12, 14, 17)
_HOURS = 10
_LONGEST = 100  # characters of one date; the library takes quadratic time
_NESTED = 3  # lists and objects within each other
_KNOWN = 1 << 14  # dates written out, remembered
_YEARS_BACK = 100
_YEARS_AHEAD = 5

_MONTH = re.compile(r"(\d{4})-(\d\d)")
_WEEK = re.compile(r"(\d{4})-?W(\d\d)")
# Basic forms, and days of the year or of a week.
_BASIC = re.compile(r"\d{4}-?(?:\d{3}|W\d\d-?\d|\d{4})(?:[T ].*)?")
_ISO_AND_ZONE = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.,]*)\s*"
    r"(?:([+-]\d\d:?\d\d)\s*(?:\[.*\]|\(.*\)|[A-Z]{1,4})?|([A-Z]{1,4}))"
)
_MAIL = re.compile(
    r"(?:[A-Z][a-z]{2},\s*)?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d(?::\d\d)?"
    r"\s*(?:[+-]\d{4}|([A-Z]{1,4}))"
)
_YEAR_FIRST = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)")
_NAME = re.compile(r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)")
_FOUR_DIGITS = re.compile(r"(?<!\d)\d{4}(?!\d)")
_CHINESE = re.compile(r"(\d{4})\s*年\s*(\d{1,2})\s*月(?:\s*(\d{1,2})\s*日)?")
# The library takes "GMT+1" for an hour west, as POSIX does; who writes it means an hour east.
_GMT_OFFSET = re.compile(r"\b(?:GMT|UTC)\s?(?=[+-]\d)")
# An offset and once more its name: of Java "[Europe/Paris]", of JavaScript "(CET)", of Go " UTC".
_NAMED_OFFSET = re.compile(r"([+-]\d\d:?\d\d)\s?(?:\[.*\]|\(.*\)|[A-Z]{3,4})$")
# Names of zones with one meaning in dates of mail (RFC 5322) and in Europe; hours east.
_ZONES = {
    zone: timezone(timedelta(hours=int(east)))
    for east, *zones in map(
        str.split,
        [
            *("-8 PST", "-7 MST PDT", "-6 CST MDT", "-5 EST CDT", "-4 EDT"),
            *("0 UTC GMT UT WET Z", "1 WEST CET", "2 CEST EET", "3 EEST MSK"),
        ],
    )
    for zone in zones
}
# Two defaults that share no field but the time: what differs in the results was not written.
_DEFAULTS = (datetime(2000, 1, 1), datetime(2003, 12, 28))  # noqa: DTZ001 - a zone comes later
_ORDERS = tuple((d, y) for d in (False, True) for y in (False, True))  # day first, year first

_STARTS = ("start", "from", "begin", "start_date", "startDate", "start_time", "gte", "since")
_ENDS = ("end", "to", "until", "end_date", "endDate", "end_time", "lte")
_WRAPPERS = ("date", "value", "$date", "$numberLong", "@value", "datetime", "text")


@dataclass(frozen=True)
class PlausibleDates:
    """The range that dates of news lie in; the first day of the epoch is nobody's date either."""

    first: datetime
    last: datetime

    def __contains__(self, moment: datetime) -> bool:
        if not self.first <= moment <= self.last:
            return False
        return moment.year not in (1969, 1970) or abs(moment - _EPOCH) >= _EPOCH_DAY


ANY_DATE = PlausibleDates(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def plausible_dates(as_of: datetime) -> PlausibleDates:
    """Return the range of a run: a hundred years back, five ahead for what is announced.

    By whole years, so that the snapshots of a year's runs are the same.
    """
    year = as_of.astimezone(UTC).year
    return PlausibleDates(
        datetime(max(year - _YEARS_BACK, 1), 1, 1, tzinfo=UTC),
        datetime(min(year + _YEARS_AHEAD, 9999), 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    )


class Dates(NamedTuple):
    """What a value of a date field gives.

    Attributes:
        span: the hull of all that was read; None where nothing was.
        problems: of `UNPARSABLE`, `IMPLAUSIBLE`.
    """

    span: Span | None
    problems: frozenset[str] = _NO_PROBLEM


_UNREAD = Dates(None, frozenset({UNPARSABLE}))
_UNLIKELY = Dates(None, frozenset({IMPLAUSIBLE}))
_NOTHING = Dates(None)


def read_dates(value: object, plausible: PlausibleDates = ANY_DATE) -> Dates:
    """Read a date, a span of two, an interval, or an object of a start and an end.

    Args:
        value: from JSON: text, number, list or object. Missing ends of a span are no problem.
        plausible: what lies outside is not taken.
    """
    if isinstance(value, str):  # most dates are a moment of ISO 8601: nothing else for them
        moment = _iso(value)
        if moment is not None and moment in plausible:
            return Dates((moment, moment))
    return _read(value, plausible, _NESTED)


def parse_date(value: object) -> datetime | None:
    """Read one date: ISO 8601, RFC 5322, other words, digits, an epoch in seconds or milliseconds.

    Returns:
        the time in UTC (a time without zone is taken as UTC), the first one where the value says a
        month or a week; None where it cannot be read or is a guess.
    """
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        span = _moment_or_period(value, ANY_DATE)
        return span[0] if span else None
    return None


def _read(value: object, plausible: PlausibleDates, depth: int) -> Dates:
    if _absent(value):
        return _NOTHING
    if isinstance(value, list | dict):
        return _hull([_read(v, plausible, depth - 1) for v in _parts(value)]) if depth else _UNREAD
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return _UNREAD
    span = _moment_or_period(value, plausible)
    if span is not None:
        unlikely = span[0] not in plausible or span[1] not in plausible or _is_small(value)
        return _UNLIKELY if unlikely else Dates(span)
    ends = _interval(value) if isinstance(value, str) else None
    return _hull([_read(end, plausible, 0) for end in ends]) if ends else _UNREAD


def _absent(value: object) -> bool:
    return (
        value is None
        or value in ("", "..", [], {})
        or (isinstance(value, str) and not value.strip())
    )


def _parts(value: list[object] | dict[str, object]) -> list[object]:
    """Return the dates that a list or an object is made of; itself as text if it has none."""
    if isinstance(value, list):
        return value
    names = [next((n for n in ends if n in value), None) for ends in (_STARTS, _ENDS, _WRAPPERS)]
    found = [value[name] for name in names if name is not None]
    if not found and {"year", "month"} <= value.keys():
        found = ["-".join(_two(value[name]) for name in ("year", "month", "day") if name in value)]
    return found or [str(value)]


def _two(number: object) -> str:
    return f"{number:02}" if isinstance(number, int) else str(number)


def _hull(dates: list[Dates]) -> Dates:
    spans = [each.span for each in dates if each.span]
    problems = _NO_PROBLEM.union(*(each.problems for each in dates))
    if not spans:
        return Dates(None, problems)
    return Dates((min(start for start, _ in spans), max(end for _, end in spans)), problems)


def _interval(text: str) -> list[str] | None:
    """Cut an interval of ISO 8601 in two; its end may leave out what it shares with the start."""
    for separator in ("/", "--"):
        start, found, end = (part.strip() for part in text.partition(separator))
        if found and (start == ".." or len(start) >= len("2025-12")) and separator not in end:
            shared = "" if end in ("", "..") else start[: max(len(start) - len(end), 0)]
            return [start, shared + end if _FOUR_DIGITS.match(start) else end]
    return None


def _is_small(value: str | float) -> bool:
    """Whether a number is too small for an epoch and has no digits of a calendar date."""
    return (
        not isinstance(value, str)
        and abs(value) < _FEWEST_SECONDS
        and _calendar(_digits(value)) is None
    )


def _moment_or_period(value: str | float, plausible: PlausibleDates) -> Span | None:
    if not isinstance(value, str):
        return _of_moment(_from_number(value, plausible))
    text = value.strip()
    number = text.replace(".", "", 1)
    if number.isdecimal() and len(text) >= 8:
        # As text eight digits are a date or nothing; an epoch has nine or more.
        calendar = len(text) == 8
        return _of_moment(_calendar(text) if calendar else _from_number(_number(text), plausible))
    if (moment := _iso(text)) is not None:
        return moment, moment
    return _written_out(text) if len(text) <= _LONGEST else None


def _number(text: str) -> float:
    return float(text) if "." in text or len(text) > 17 else int(text)


def _of_moment(moment: datetime | None) -> Span | None:
    return (moment, moment) if moment else None


def _iso(text: str) -> datetime | None:
    return _known_iso(text) if len(text) <= _LONGEST else _read_iso(text)


@lru_cache(1 << 10)
def _known_iso(text: str) -> datetime | None:
    return _read_iso(text)


def _read_iso(text: str) -> datetime | None:
    """Read a moment or a day of ISO 8601; no digits alone, no week."""
    text = text.strip()
    # fromisoformat takes any character before a time, so an interval for one with an offset
    if text[4:5] != "-" or text[5:6] == "W" or text[10:11] not in "Tt ":
        return None
    try:
        return _in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _from_number(number: float, plausible: PlausibleDates) -> datetime | None:
    """Read digits of a calendar date, else an epoch; of two readings the plausible one."""
    digits = _digits(number)
    calendar, epoch = _calendar(digits), _from_epoch(number)
    if calendar is None:
        return epoch
    # 2025121412 is an epoch of 2034 too. Of other lengths no epoch of our time looks like a date.
    if len(digits) == _HOURS and epoch is not None and epoch in plausible:
        return epoch
    return calendar


def _digits(number: float) -> str:
    if isinstance(number, float) and not number.is_integer():  # infinite and NaN are none either
        return ""
    return str(int(number)) if 0 < number < 1e17 else ""


def _calendar(digits: str) -> datetime | None:
    """Read digits of a date of the 20th or 21st century, with or without a time."""
    if len(digits) not in _CALENDAR or digits[:2] not in ("19", "20"):
        return None
    longest = digits.ljust(17, "0")
    month, day, hour, minute, second = (int(longest[at : at + 2]) for at in range(4, 14, 2))
    micro = int(longest[14:]) * 1000
    try:
        return datetime(int(digits[:4]), month, day, hour, minute, second, micro, UTC)
    except ValueError:
        return None


def _from_epoch(seconds: float) -> datetime | None:
    try:
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


@lru_cache(_KNOWN)
def _written_out(text: str) -> Span | None:
    """Read what is neither a moment of ISO 8601 nor digits alone."""
    if found := _CHINESE.match(text):
        text = "-".join(part.zfill(2) for part in found.groups() if part) + text[found.end() :]
    try:
        if found := _MONTH.fullmatch(text):
            return _month(int(found[1]), int(found[2]))
        if _WEEK.fullmatch(text):
            start = isoparse(text).replace(tzinfo=UTC)
            return start, start + timedelta(days=6)
        if _BASIC.fullmatch(text):
            return _of_moment(_in_utc(isoparse(text)))
        moment = _with_zone(text) or _of_mail(text)
        return _of_moment(moment) or (None if _interval(text) else _in_words(text))
    except (ValueError, OverflowError):
        return None


def _with_zone(text: str) -> datetime | None:
    """Read a moment of ISO 8601 with a zone's name, or a blank before its offset."""
    if not (found := _ISO_AND_ZONE.fullmatch(text)):
        return None
    moment, offset, name = found.groups()
    if name is None or name in _ZONES:
        read = datetime.fromisoformat(moment + (offset or ""))
        return _in_utc(read.replace(tzinfo=_ZONES[name]) if name else read)
    return None


def _of_mail(text: str) -> datetime | None:
    """Read a date of mail and RSS (RFC 5322): the same as in words, twenty times as fast."""
    found = _MAIL.fullmatch(text)
    if found and (found[1] is None or found[1] in _ZONES):
        bare = parsedate_to_datetime(text.removesuffix(found[1]) if found[1] else text)
        return _in_utc(bare.replace(tzinfo=_ZONES[found[1]]) if found[1] else bare)
    return None


def _month(year: int, month: int) -> Span:
    start = datetime(year, month, 1, tzinfo=UTC)
    following = date(year + month // 12, month % 12 + 1, 1)
    return start, _in_utc(datetime(following.year, following.month, 1)) - timedelta(days=1)  # noqa: DTZ001


def _in_words(text: str) -> Span | None:
    """Read a date with words or slashes, if every order of day, month and year gives the same."""
    text = _NAMED_OFFSET.sub(r"\1", _GMT_OFFSET.sub("", text))
    if not _FOUR_DIGITS.search(text):
        return None
    # a year before the month: the day is last; a month's name: it is no day
    orders = _ORDERS[:1] if _YEAR_FIRST.match(text) or _NAME.search(text) else _ORDERS
    read = [[_parsed(text, default, *order) for default in _DEFAULTS] for order in orders]
    if len({moment for pair in read for moment in pair}) == 1:
        return _of_moment(_in_utc(read[0][0]))
    (one, other), *others = read
    same_month = (one.year, one.month) == (other.year, other.month)
    if same_month and all(pair == read[0] for pair in others) and one.time() == other.time():
        return _month(one.year, one.month)
    return None


def _parsed(text: str, default: datetime, day_first: bool, year_first: bool) -> datetime:
    parsed: datetime = parse(
        text, default=default, dayfirst=day_first, yearfirst=year_first, tzinfos=_zone
    )
    return parsed


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return the zone that a text names; never by the names of this machine's zone."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name and name not in _ZONES:
        raise ValueError(f"no zone has the name {name!r} alone")
    return _ZONES[name] if name else None
