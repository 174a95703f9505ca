"""What is shown of values, and what of hostile text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage4.cli.output import cell, clean, number, size, trend


@given(st.text())
def test_shown_text_has_nothing_that_is_not_seen(text: str) -> None:
    shown = clean(text)
    assert len(shown) == len(text)
    categories = {unicodedata.category(each) for each in shown.replace("\ufffd", "")}
    assert not categories & {"Cc", "Cf", "Cs"}


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_what_is_seen_is_shown_as_it_is(text: str) -> None:
    assert clean(text) == text
    assert cell(text).plain == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (0.754321, "0.7543"),
        (5053.0, "5,053"),
        (17, "17"),
        (1_000_000, "1,000,000"),
        ([], "-"),
        (["a", "b"], "a, b"),
    ],
)
def test_values_in_a_table(value: object, shown: str) -> None:
    assert cell(value).plain == shown


def test_a_long_value_is_cut_with_a_mark() -> None:
    assert cell("x" * 80, 80).plain == "x" * 80
    assert cell("x" * 81, 80).plain == "x" * 79 + "…"
    assert cell(["ab"] * 99, 10).plain == "ab, ab, a…"


def test_numbers_and_sizes() -> None:
    assert (number(None), number(3.0), number(1e-5)) == ("-", "3", "1e-05")
    assert (size(None), size(3 << 29)) == (None, "1.5 GiB")


def test_a_trend_spans_its_values_and_leaves_gaps() -> None:
    assert trend([0, 7, 3.5, None, 1]) == "▁█▅ ▂"
    assert trend([2, 2]) == "▄▄"
    assert trend([None, None]) == "  "
    assert trend([]) == ""
