# ruff: noqa: RUF001  - signs of many scripts look alike
"""Words in the scripts that news are written in."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.stage3.text import clean
from clustering_tasks.stage3.words import (
    has_runs,
    lower_case,
    overlaps,
    parts_of,
    pieces_of,
    terms_of_runs,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("G7 leaders don't co-operate", ["g7", "leaders", "don't", "co-operate"]),
        ("a 3 x 4th 320abc ab3c A320", ["a320"]),
        ("L’État, c’est moi", ["état", "est", "moi"]),
        ("Größe und Maß", ["größe", "und", "maß"]),
        ("नई शिक्षा नीति की घोषणा दिल्ली में", ["नई", "शिक्षा", "नीति", "घोषणा", "दिल्ली"]),
        ("புதிய கல்விக் கொள்கை", ["புதிய", "கல்விக்", "கொள்கை"]),
        ("নতুন শিক্ষানীতি ঘোষণা", ["নতুন", "শিক্ষানীতি", "ঘোষণা"]),
        ("وَزِيرُ الْخَارِجِيَّةِ يَزُورُ", ["وَزِيرُ", "الْخَارِجِيَّةِ", "يَزُورُ"]),
        ("שָׁלוֹם עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
        ("می\u200cشود کتاب", ["می\u200cشود", "کتاب"]),
        ("Київ і Zürich", ["київ", "zürich"]),
        ("서울 지하철 개통", ["서울", "지하철", "개통"]),
        ("መንግስት አዲስ", ["መንግስት", "አዲስ"]),
        ("北京 G7 峰会", ["g7"]),
        ("x\u0301y x\u0301", ["x\u0301y"]),  # a letter and its mark are one letter
    ],
)
def test_marks_belong_to_their_words(text: str, words: list[str]) -> None:
    assert words_of(clean(text)) == words


@pytest.mark.parametrize(
    ("text", "language", "lower"),
    [
        ("İSTANBUL İÇİN YENİ METRO", "", "istanbul için yeni metro"),
        ("I\u0307STANBUL", "", "istanbul"),
        ("IŞIK SÖNDÜ", "", "ışık söndü"),
        ("Isparta’da yağmur", "tr", "ısparta’da yağmur"),
        ("IRAK", "tr", "ırak"),
        ("IRAK", "", "irak"),
        ("Inside Diyarbakır", "en", "inside diyarbakır"),
        ("Inside India", "tr", "inside india"),
        ("Şimşek in İzmir: In short", "en", "şimşek in izmir: in short"),
        ("ΟΔΥΣΣΕΥΣ", "", "οδυσσευς"),
        ("ÀÉÎ", "fr", "àéî"),
    ],
)
def test_the_case_is_that_of_the_language(text: str, language: str, lower: str) -> None:
    assert lower_case(clean(text), language) == lower


def test_the_pieces_of_a_title_are_its_words_with_digits_and_single_letters() -> None:
    assert pieces_of("5 dead in A 320 crash") == {"5", "dead", "in", "a", "320", "crash"}
    assert pieces_of("नई नीति 2025") == {"नई", "नीति", "2025"}
    assert pieces_of("北京 G7") == {"g7"}


@pytest.mark.parametrize(
    ("texts", "terms"),
    [
        (
            ["北京奥运会开幕式今晚举行", "世界关注北京奥运会开幕", "奥运会火炬抵达北京"],
            [
                {"北京", "奥运会", "北京奥运会开幕"},
                {"北京", "奥运会", "北京奥运会开幕"},
                {"北京", "奥运会"},
            ],
        ),
        (
            ["東京オリンピックが開幕した", "東京オリンピックの開会式", "東京五輪開会式"],
            [
                {"東京", "オリンピック", "開幕"},
                {"東京", "オリンピック", "開会式"},
                {"東京", "開会式"},
            ],
        ),
        (
            ["นายกรัฐมนตรีแถลงนโยบาย", "นโยบายของนายกรัฐมนตรี"],
            [{"นายกรัฐมนตรี", "นโยบาย"}, {"นายกรัฐมนตรี", "นโยบาย"}],
        ),
        (["北京奥运会 开幕"], [{"北京奥运会", "开幕"}]),
        (["今天天气非常非常好"], [{"今天", "天气", "非常"}]),
        (
            ["中国人民银行宣布下调贷款市场报价利率", "央行下调贷款市场报价利率"],
            [{"下调", "贷款", "市场", "报价", "利率"}] * 2,
        ),
        (["日"], [set()]),
        (["の", "English", ""], [set(), set(), set()]),
    ],
)
def test_what_recurs_is_a_term_of_a_script_without_blanks(
    texts: list[str], terms: list[set[str]]
) -> None:
    assert [set(found) for found in terms_of_runs(texts)] == terms


def test_the_same_headline_twice_is_no_term() -> None:
    (one, two) = terms_of_runs(["北京奥运会开幕式今晚在国家体育场举行"] * 2)
    assert one == two
    assert max(map(len, one)) == 2


def test_terms_that_share_letters_overlap() -> None:
    assert overlaps("北京") & overlaps("北京奥运会")
    assert not overlaps("北京") & overlaps("奥运会")
    assert not overlaps("นายกรัฐมนตรี") & overlaps("นโยบาย")
    assert overlaps("stari dvor") == {"stari", "dvor"}


@given(st.lists(st.text(max_size=20).map(clean), max_size=4))
def test_no_text_makes_it_fail(texts: list[str]) -> None:
    found = list(terms_of_runs(texts))
    assert len(found) == len(texts)
    for text, terms in zip(texts, found, strict=True):
        assert all(term in text for term in terms)
        assert bool(terms) <= has_runs(text)
        assert all(words_of(word) for word in words_of(text))


SIGNS_AND_LETTERS = st.text(
    "aB1\u00e9\u00b2_'\u2019.,-\u2013\"( \t\u00a0\u2028\u0416\u0e01", max_size=24
)


@given(SIGNS_AND_LETTERS | st.text(max_size=24))
@pytest.mark.parametrize(
    "pattern", [r"[^\W_]+(?:['\u2019-][^\W_]+)*", r"[^\W_]+(?:['\u2019.-][^\W_]+)*"]
)
def test_parts_are_what_the_pattern_finds(pattern: str, text: str) -> None:
    assert parts_of(text, re.compile(pattern)) == re.findall(pattern, text)


@given(SIGNS_AND_LETTERS)
def test_words_are_letters_or_letters_and_digits(text: str) -> None:
    plain = r"\b(?:[^\W\d_]{2,}(?:['\u2019-][^\W\d_]+)*|[^\W\d_]+\d+)\b"
    bare = lower_case(text.replace("\u0e01", " "))
    assert words_of(text) == re.findall(plain, bare)
