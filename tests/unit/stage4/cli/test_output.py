"""What is shown of values, and what of hostile text."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stage4.cli.output import cell, clean, number, size, trend, write_json

FILLERS = "\u115f\u1160\u3164\uffa0\u2800\ufffc"  # called letters and signs, and not seen
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(
    st.text(st.characters() | st.sampled_from("\x1b\r\x9b\x85\u202e\u2066\u200b\u2028\U000e0041"))
)
def test_shown_text_moves_no_cursor_and_turns_no_line(text: str) -> None:
    shown = clean(text)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(each) for each in shown} & DIRECTIONS
    assert clean(shown) == shown


def test_json_for_a_terminal_is_the_same_json(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"label": "\u202egnp.exe \x1b[31m\x9b31m\u2028\U000e0041 नई"}
    write_json(data)
    written = capsys.readouterr().out
    assert json.loads(written) == data
    assert clean(written.rstrip("\n")) == written.rstrip("\n")
    assert "नई" in written


@given(st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=FILLERS)))
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
