"""Dates as Stage 3's sources write them (TM-4)."""

from datetime import UTC, datetime

# Epochs above this are milliseconds: as seconds they would lie after the year 5138.
_MILLISECONDS_FROM = 1e11


def parse_date(value: object) -> datetime | None:
    """Read ISO 8601 (with or without zone, or a date only) or an epoch in seconds or milliseconds.

    Returns:
        the time in UTC (a time without zone is taken as UTC), None where it cannot be read.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, int | float):
        return _from_epoch(value)
    return None


def _from_text(text: str) -> datetime | None:
    # Before ISO: fromisoformat takes eight digits for a date, as it should, and fails on ten.
    if len(text) >= 9 and text.replace(".", "", 1).isdecimal():
        return _from_epoch(float(text))
    try:
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _from_epoch(seconds: float) -> datetime | None:
    try:
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
