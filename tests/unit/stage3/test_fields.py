"""Metadata fields in the forms that sources write them in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.settings.levels import LEVELS
from clustering_tasks.stage3.fields import (
    FACTS,
    fields_of,
    read_count,
    read_ids,
    read_kind,
    read_texts,
)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (900, 900.0),
        (900.5, 900.5),
        (0, 0.0),
        ("900", 900.0),
        (" 900\n", 900.0),
        ("900.0", 900.0),
        ("1,234", 1234.0),
        ("1 234", 1234.0),
        ("1\u00a0234\u00a0567", 1234567.0),
    ],
)
def test_counts(value: object, count: float) -> None:
    assert read_count(value) == (count, True)


@pytest.mark.parametrize(
    "value",
    [
        *("about 900", "900 words", "1.234", "12,34", "-3", "1_000", "1e3", "NaN", "٩x", -3, True),
        *(False, float("nan"), float("inf"), 10**400, [900], {"count": 900}),
    ],
)
def test_what_is_no_count_is_left_out_and_not_read(value: object) -> None:
    assert read_count(value) == (None, False)


@pytest.mark.parametrize(
    ("field", "value", "texts"),
    [
        ("categories", ["economy", "europe"], ["economy", "europe"]),
        ("categories", "economy, europe", ["economy", "europe"]),
        ("categories", "economy;europe|asia", ["economy", "europe", "asia"]),
        ("categories", "economy", ["economy"]),
        ("categories", '["economy", "europe"]', ["economy", "europe"]),
        ("categories", [{"name": "economy"}, {"label": "europe"}], ["economy", "europe"]),
        ("categories", {"term": "economy"}, ["economy"]),
        ("categories", ["economy", None, "", "[Removed]"], ["economy"]),
        ("categories", "[economy], europe", ["[economy]", "europe"]),
        ("tags", "<b>AT&amp;T</b>, rival", ["AT&T", "rival"]),
        ("primary_entities", [{"text": "Japan"}], ["Japan"]),
        ("primary_entities", [{"text": "Japan", "type": "GPE"}, "France"], ["Japan", "France"]),
        ("primary_entities", "Japan; France", ["Japan", "France"]),
        ("primary_entities", "Japan", ["Japan"]),
        ("primary_entities", ["Washington, D.C."], ["Washington, D.C."]),
        ("title", "Storm, flood; fire", ["Storm, flood; fire"]),
        ("title", {"rendered": "Storm &amp; flood"}, ["Storm & flood"]),
        ("title", ["Storm", "flood"], ["Storm", "flood"]),
    ],
)
def test_texts_in_any_form_of_one_meaning(field: str, value: object, texts: list[str]) -> None:
    assert read_texts(field, value) == (texts, True)


@pytest.mark.parametrize(
    ("field", "value", "texts"),
    [
        ("categories", ["economy", 7], ["economy"]),
        ("categories", 7, []),
        ("categories", {"economy": True}, []),
        ("categories", [["economy"]], []),
        ("primary_entities", "Japan, France", ["Japan, France"]),  # or Washington, D.C.
        ("primary_entities", [{"id": 7}], []),
        ("title", 5, []),
        ("title", True, []),
    ],
)
def test_what_has_no_one_meaning_is_not_wholly_read(
    field: str, value: object, texts: list[str]
) -> None:
    assert read_texts(field, value) == (texts, False)


@pytest.mark.parametrize(
    ("value", "ids", "whole"),
    [
        (["e1", "e2"], ["e1", "e2"], True),
        ([1, 2], ["1", "2"], True),
        ([1.0, {"id": 2}, {"event_id": "e3"}], ["1", "2", "e3"], True),
        (7, ["7"], True),
        ("e1, e2", ["e1", "e2"], True),
        ("[1, 2]", ["1", "2"], True),
        ([1.5, "e2"], ["e2"], False),
        ([True, "e2"], ["e2"], False),
        ([["e1"]], [], False),
        ({"name": "e1"}, [], False),
    ],
)
def test_ids(value: object, ids: list[str], whole: bool) -> None:
    assert read_ids("event_ids", value) == (ids, whole)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        *[("entity_type", each, "ORG") for each in ("ORG", " org ", "Org", ["ORG"])],
        *[("entity_type", each, "ORG") for each in ("Organization", "ORGANISATION", "B-ORG")],
        *[("entity_type", each, "PER") for each in ("PER", "person", "I-PER", {"label": "PER"})],
        ("entity_type", "Geo-political entity", "GPE"),
        ("entity_type", "Work of art", "WORK_OF_ART"),
        ("entity_type", "company", "COMPANY"),
        ("event_type", "Contact:Meet", "contact_meet"),
        ("event_type", " contact  meet\u200b", "contact_meet"),
        ("event_type", "CONTACT.MEET", "contact_meet"),
        ("domain", "Health Medical", "health_medical"),
        ("domain", "  ", None),
    ],
)
def test_kinds_are_in_one_form(field: str, value: object, kind: str | None) -> None:
    assert read_kind(field, value) == (kind, True)


@pytest.mark.parametrize("value", [["ORG", "PER"], 7, {"x": 1}, True])
def test_what_names_no_one_kind_is_not_read(value: object) -> None:
    assert read_kind("entity_type", value) == (None, False)


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_nothing_is_no_problem(value: object) -> None:
    assert read_count(value) == read_kind("domain", value) == (None, True)
    assert read_texts("tags", value) == read_ids("event_ids", value) == ([], True)


def test_the_fields_of_a_level_are_those_that_it_names_and_those_of_its_records() -> None:
    assert set(fields_of(LEVELS["documents"])) == {
        *("title", "tags", "word_count", "categories", "primary_entities"),
        *("domain", "event_type", "entity_type"),
    }
    assert "event_ids" in fields_of(LEVELS["storylines"])
    assert all(set(FACTS[name]) <= set(fields_of(LEVELS[name])) for name in FACTS)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(["tags", "primary_entities", "title", "event_ids"]), JSON)
def test_no_value_makes_it_fail(field: str, value: object) -> None:
    assert all(isinstance(text, str) and text for text in read_texts(field, value)[0])
    assert all(isinstance(text, str) and text for text in read_ids(field, value)[0])
    count, kind = read_count(value)[0], read_kind("event_type", value)[0]
    assert count is None or count >= 0
    assert kind is None or kind.strip() == kind != ""
