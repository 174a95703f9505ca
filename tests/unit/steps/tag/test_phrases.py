"""Phrases of the list in texts: whole words in a row, in any case and script."""

import pyarrow as pa
import pytest

from clustering_tasks.settings.tag_list import read_listed
from clustering_tasks.steps.tag.phrases import Phrases

LISTED = read_listed(
    [
        "topic/climate = climate change | global warming",
        "topic/sport = world cup",
        "topic/final = cup final",
        "topic/summits = G7 | g20 summit",
        "place/Istanbul = istanbul",
        "place/Tokyo = 東京",
        "place/Athens = Αθήνα",
        "topic/never",
        "topic/odd = c++ (language) | [",
    ]
)
CASES = [
    ("Climate change is here", {"climate"}),
    ("CLIMATE   Change, said the minister", {"climate"}),
    ("The climate changes", set()),
    ("a change of climate", set()),
    ("Global warming and climate change", {"climate"}),
    ("The world cup final", {"sport", "final"}),
    ("Worldcup", set()),
    ("Leaders of the G7 meet", {"summits"}),
    ("G77", set()),
    ("İSTANBUL'da deprem", {"Istanbul"}),
    ("a quake in Istanbul", {"Istanbul"}),
    ("l\u2019effet du climate-change", {"climate"}),
    ("climate change's costs", {"climate"}),
    ("今日の東京は雨", {"Tokyo"}),
    ("Στην ΑΘΉΝΑ", {"Athens"}),
    ("never", set()),
    ("", set()),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_the_tags_of_a_text(text: str, expected: set[str]) -> None:
    found = {LISTED[tag].tag for tag in Phrases(LISTED).in_text(text)}
    assert found == expected


def test_many_texts_at_once_have_the_tags_of_each() -> None:
    texts = [text for text, _ in CASES] * 3
    phrases = Phrases(LISTED)
    rows, tags = phrases.in_texts(pa.array(texts))
    expected = [
        (row, tag) for row, text in enumerate(texts) for tag in sorted(phrases.in_text(text))
    ]
    assert list(zip(rows.tolist(), tags.tolist(), strict=True)) == expected


def test_a_list_without_phrases_finds_nothing() -> None:
    rows, tags = Phrases(read_listed(["topic/never"])).in_texts(pa.array(["never", None]))
    assert len(rows) == len(tags) == 0
