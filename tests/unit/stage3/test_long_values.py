"""What answers show of long values."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.stage3.long_values import LONGEST_VALUE, cut_fields, cut_texts, is_long

TEXTS = st.text(max_size=5) | st.integers(0, 9000).map(lambda size: "x" * size)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=6))
def test_what_is_cut_is_short_and_stays_as_it_is_when_cut_again(fields: dict[str, Any]) -> None:
    shown = cut_fields(fields)
    assert not any(map(is_long, shown.values()))
    assert cut_fields(shown) == shown
    assert {name: shown[name] for name in fields if not is_long(fields[name])} == {
        name: value for name, value in fields.items() if not is_long(value)
    }


@given(VALUES)
def test_texts_are_cut_wherever_they_stand(value: Any) -> None:
    shown = cut_texts(value)
    assert cut_texts(shown) == shown
    assert shown == value or "[cut: " in orjson.dumps(shown).decode()


def test_marks_say_how_much_there_was() -> None:
    long = {"text": "x" * 5000, "list": ["tag"] * 5000, "object": {str(n): n for n in range(5000)}}
    shown = cut_fields(long)
    assert shown["text"].endswith("x… [cut: 5,000 characters]")
    assert shown["list"][-1] == "… [cut: 5,000 values]"
    assert set(shown["list"][:-1]) == {"tag"}
    assert shown["object"]["…"] == "[cut: 5,000 fields]"
    assert shown["object"]["7"] == 7


def test_of_many_fields_the_first_are_shown() -> None:
    many = {f"field_{n}": n for n in range(100_000)}
    shown = cut_fields(many)
    assert len(shown) == 200
    assert shown["…"] == "[cut: 100,000 fields]"
    assert len(orjson.dumps(cut_fields({str(n): "x" * 9000 for n in range(500)}))) < (
        201 * LONGEST_VALUE
    )
