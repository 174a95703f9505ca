"""What a language model writes is a label only if it is one line of what the texts say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.llm import questions
from clustering_tasks.llm.labels import as_label, names_are_said
from clustering_tasks.steps.label.clauses import LONGEST


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Flood in Kenya", "Flood in Kenya"),
        ("  Flood\n in\tKenya.  ", "Flood in Kenya"),
        ('"Flood in Kenya"', "Flood in Kenya"),
        ("Flood in Kenya \u2026", "Flood in Kenya \u2026"),
        ("\u202eFlood\u202c in\u200b Kenya", "Flood in Kenya"),
        ("\x1b[31mFlood in Kenya", None),  # the bracket of a terminal's sequence
        ("Flood &amp; storm", "Flood & storm"),
        ("洪水 in Kenya", "洪水 in Kenya"),
        ("<b>Flood</b>", None),
        ("&lt;script&gt;x", None),
        ("&amp;lt;script&amp;gt;x", None),
        ("see http://a.invalid", None),
        ("see WWW.a.invalid", None),
        ('{"label": "Flood"}', None),
        ("`Flood`", None),
        ("", None),
        (" \u200b ", None),
        ("...", None),
        ("!?", None),
        ("x" * 100, "x" * 100),
        ("x" * 101, None),
    ],
)
def test_what_a_label_is(text: str, label: str | None) -> None:
    assert as_label(text) == label


@given(st.text(max_size=300))
def test_a_label_is_one_short_line_and_the_same_again(text: str) -> None:
    label = as_label(text)
    if label is not None:
        assert 0 < len(label) <= LONGEST
        assert label == " ".join(label.split())
        assert not set(label) & set("<>{}[]`")
        again = as_label(label)
        assert again is None or len(again) <= len(label)


def test_a_model_and_the_texts_have_the_same_length() -> None:
    assert questions.LONGEST == LONGEST


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("Flood kills 12 in Kenya", True),
        ("Floods kill 12 in Kenya", True),  # of the first word the beginning
        ("flood waters rise", True),
        ("Rain in Kenya", False),
        ("Flood kills 13 in Kenya", False),
        ("Flood in Uganda", False),
        ("Uganda: flood", False),
        ("Flood in KENYA", True),
        ("Flood of the G7", False),
        ("洪水", False),
    ],
)
def test_names_and_numbers_are_those_of_the_texts(label: str, said: bool) -> None:
    assert names_are_said(label, ["A flood kills 12", None, "in northern Kenya"]) == said


def test_scripts_without_capitals_are_compared_word_by_word() -> None:
    texts = ["فيضان في كينيا", "洪水 肯尼亚"]
    assert names_are_said("فيضان كينيا", texts)
    assert not names_are_said("فيضان أوغندا", texts)
    assert names_are_said("洪水 肯尼亚", texts)
    assert not names_are_said("洪水 乌干达", texts)
