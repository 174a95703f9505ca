"""Which items pass, and how the filters of a run are written."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from clustering_tasks.algorithms.method import refuse_filters
from clustering_tasks.errors import SettingsError
from clustering_tasks.settings.dotted import assignments
from clustering_tasks.settings.groups.source import FilterSettings
from clustering_tasks.settings.levels import DOMAINS, LEVELS
from clustering_tasks.settings.run import run_settings
from clustering_tasks.steps.plan.filters import COLUMNS, kept_rows


def times(*texts: str | None) -> "pd.Series[pd.Timestamp]":
    moments = [None if text is None else datetime.fromisoformat(text) for text in texts]
    series: pd.Series[pd.Timestamp] = pd.Series(moments, dtype="datetime64[us]").dt.tz_localize(UTC)
    return series


ITEMS = pd.DataFrame(
    {
        "document_id": ["a", "a", "b", "c", None],
        "domain": ["health_medical", "legal_judicial", None, "general_news", "health_medical"],
        "event_type": ["contact_meet", "protest", "protest", None, "contact_meet"],
        "entity_type": ["PER", "ORG", "PER", None, "LOC"],
        "start_time": times("2025-12-01", "2025-12-05", "2025-12-10", None, "2025-12-31T18:00"),
        "end_time": times("2025-12-01", "2025-12-20", "2025-12-10", None, "2025-12-31T18:00"),
    }
)[list(COLUMNS)]


def kept(**filters: Any) -> list[int]:
    return [row for row, passed in enumerate(kept_rows(ITEMS, settings(**filters))) if passed]


def settings(**filters: Any) -> FilterSettings:
    return run_settings({"filter": filters}).filter


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"domains": "health"}, [0, 4]),
        ({"domains": ["legal", "health_medical"]}, [0, 1, 4]),
        ({"domains": "general"}, [2, 3]),
        ({"event_types": "contact_meet"}, [0, 4]),
        ({"event_types": "Contact:Meet"}, [0, 4]),
        ({"event_types": "nothing_such"}, []),
        ({"entity_types": "person, location"}, [0, 2, 4]),
        ({"entity_types": "PER, LOC"}, [0, 2, 4]),
        ({"document_ids": ["a", "c"]}, [0, 1, 3]),
        ({"since": "2025-12-10"}, [1, 2, 3, 4]),
        ({"since": "2025-12-10", "keep_undated": False}, [1, 2, 4]),
        ({"until": "2025-12-05"}, [0, 1, 3]),
        ({"until": "2025-12-31", "keep_undated": "false"}, [0, 1, 2, 4]),
        ({"until": "2025-12-31T12:00:00Z"}, [0, 1, 2, 3]),
        ({"since": "2025-12-20", "until": "2025-12-25"}, [1, 3]),
        ({"keep_undated": False}, [0, 1, 2, 3, 4]),
        ({"document_ids": "a", "event_types": "protest", "since": "2025-12-20"}, [1]),
    ],
)
def test_an_item_must_pass_every_filter_that_is_set(
    filters: dict[str, Any], rows: list[int]
) -> None:
    assert kept(**filters) == rows


def test_nothing_passes_nothing_fails() -> None:
    assert kept_rows(ITEMS[:0], settings(domains="health", since="2025-12-01")).tolist() == []


@pytest.mark.parametrize("text", ["health, legal ,", ["health_medical", "LEGAL"]])
def test_domains_are_written_short_or_long_in_a_list_or_a_text(text: object) -> None:
    assert settings(domains=text).domains == ["health_medical", "legal_judicial"]


@pytest.mark.parametrize("nothing", ["", " , ", [], [""], None])
def test_an_empty_list_is_no_filter(nothing: object) -> None:
    assert settings(domains=nothing, document_ids=nothing) == FilterSettings()


def test_the_command_line_takes_lists_and_dates() -> None:
    pairs = assignments(["filter.domains=sports,military", "filter.until=2025-12-31"])
    found = run_settings(pairs).filter
    assert found.domains == ["sports_entertainment", "military_operations"]
    assert found.until == datetime(2025, 12, 31, 23, 59, 59, 999999, UTC)


def test_settings_are_the_same_when_they_are_read_again() -> None:
    first = run_settings(
        {"filter": {"domains": "health", "since": "2025-12-01", "until": "2025-12-31"}}
    )
    assert run_settings(first.model_dump(mode="json")) == first


def test_times_are_read_with_zones_and_without() -> None:
    found = settings(since="2025-12-01T10:00:00+02:00", until="2025-12-01T10:00:00")
    assert found.since == datetime(2025, 12, 1, 8, tzinfo=UTC)
    assert found.until == datetime(2025, 12, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"domains": "health,weather"}, ["filter.domains", "weather", *DOMAINS]),
        ({"domains": 3}, ["filter.domains", "3"]),
        ({"event_types": [1]}, ["filter.event_types", "valid string"]),
        ({"since": "yesterday"}, ["filter.since", "ISO 8601", "yesterday"]),
        ({"since": "2025-12-10", "until": "2025-12-05"}, ["filter.since", "filter.until"]),
    ],
)
def test_a_wrong_filter_is_refused_with_what_is_known(
    filters: dict[str, Any], named: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**filters)
    for part in named:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("level", "name", "allowed"),
    [
        ("documents", "domains", False),
        ("documents", "entity_types", False),
        ("documents", "document_ids", True),
        ("events", "event_types", True),
        ("events", "entity_types", False),
        ("entities", "entity_types", True),
        ("entities", "domains", False),
        ("storylines", "domains", True),
        ("storylines", "event_types", False),
    ],
)
def test_a_filter_that_a_level_cannot_match_is_refused(
    level: str, name: str, allowed: bool
) -> None:
    chosen = run_settings({f"filter.{name}": "health"})
    if allowed:
        refuse_filters(chosen, LEVELS[level])
        return
    with pytest.raises(SettingsError) as caught:
        refuse_filters(chosen, LEVELS[level])
    assert f"filter.{name}" in str(caught.value)
    assert level in str(caught.value)
