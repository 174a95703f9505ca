# ruff: noqa: RUF001  - signs of many scripts look alike
"""Texts as Stage 3's sources write them, and as people read them."""

import json
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.stage3.text import (
    clean,
    cut,
    escape_unseen,
    has_points,
    matching,
    one_line,
    readable,
    unpointed,
    visible,
)


@pytest.mark.parametrize(
    "written",
    [
        "José Pérez",
        unicodedata.normalize("NFD", "José Pérez"),
        "José  Pérez",
        "José\u00a0Pérez",
        "Jo\u200bsé Pérez\ufeff",
        "\u2067Jos\u00ade\u0301\u2069\u2003P\u2060érez\u200d",
        "José\r\n\tPérez\u2028",
        "<b>José</b>&nbsp;P&eacute;rez",
        "José P\x1b[1mérez\x1b[0m\x07",
        "Jos\xc3\xa9 P\xc3\xa9rez \xe2\x80\x8b\x80"[:-1],  # UTF-8 read as Latin-1
    ],
)
def test_one_name_in_its_encodings_is_one(written: str) -> None:
    assert clean(written) == "José Pérez"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<b>AT&amp;T</b> to buy rival&nbsp;&#8211; sources", "AT&T to buy rival – sources"),
        ("&lt;b&gt;AT&amp;amp;T&lt;/b&gt; &amp;#8211; sources", "AT&T – sources"),  # escaped twice
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("One<br/>two<BR>three", "One two three"),
        ('<a href="https://x.invalid/?a=1&amp;b=2" title=y>Link</a>ed', "Linked"),
        ("Cut off <a href='https://x.inv", "Cut off"),
        ("<script>alert(1)</script>Storm<style>p {}</style>", "Storm"),
        ("Storm<!-- more -->", "Storm"),
        ("<![CDATA[Storm & flood]]>", "Storm & flood"),
        ("don&rsquo;t &quot;stop&quot;", 'don’t "stop"'),
        ("don\u00e2\u0080\u0099t", "don’t"),  # UTF-8 read as Latin-1
        ("it\u0092s", "it’s"),  # Windows' quote read as Latin-1
        ("\u202egnp.exe evil", "gnp.exe evil"),
        ("\x1b]0;title\x07red\x1b[31m alert", "red alert"),
        ("❤\ufe0f wins", "❤ wins"),
    ],
)
def test_text_for_people(written: str, read: str) -> None:
    assert clean(written) == read


@pytest.mark.parametrize(
    "text",
    [
        *("a < b", "a<b and c>d", "<name withheld>", "AT&T", "R&D & more", "Q&notes", "x <3 y"),
        *("m²", "½ price", "ＮＨＫ", "“quoted” – really…", "C++ & C#", "100 %", "#metoo @who"),
        *("नई शिक्षा नीति की घोषणा", "İSTANBUL İÇİN YENİ METRO", "وَزِيرُ الْخَارِجِيَّةِ", "北京奥运会开幕"),
        *(
            "می\u200cشود",
            "क्\u200dष",
            "👩\u200d👩\u200d👧",
            "ไม่มีน้ำ",
            "a\ufffdb",
            "€ 5",
            "🔥",
            "Здравствуй",
        ),
    ],
)
def test_what_is_clean_stays(text: str) -> None:
    assert clean(text) == readable(text) == text


@pytest.mark.parametrize(
    "written",
    [
        *(
            "[Removed]",
            "[ removed ]",
            "[No title]",
            "(no title)",
            "Untitled",
            "UNTITLED",
            "untitled.",
        ),
        *(
            "<untitled>",
            "No Title Available",
            "[deleted]",
            "N/A",
            "n/a",
            "null",
            "None",
            "undefined",
        ),
        *("<h1 class='headline title large'>Untitled</h1>", "&nbsp;[Removed]&nbsp;", "*Untitled*"),
        *("Ohne Titel", "Sans titre", "Sin título", "Без названия", "無題", "无标题", "BAŞLIKSIZ"),
        *("بدون عنوان", "शीर्षकहीन", "ไม่มีชื่อ", "Just a moment...", "404 Not Found", "Access Denied"),
        *(
            "",
            " ",
            "\u00a0",
            "\u200b\u200d",
            "\u3164",
            "\u2800",
            "\u00ad",
            "\ufe0f",
            "\u202e\u202c",
            "&nbsp;",
        ),
        *("--", "—", "...", "…", "?", "[]", '""', "<br>", "<b></b>", "\x00\x07"),
    ],
)
def test_what_stands_where_no_text_is_is_none(written: str) -> None:
    assert readable(written) == ""


@pytest.mark.parametrize(
    "title",
    [
        *("Removed", "Removed from office", "Deleted scenes", "Nobody", "None of the above"),
        *("Untitled film wins in Cannes", "[Live] Removed mayor returns", "G7", "$$$", "7", "X"),
    ],
)
def test_a_title_that_begins_like_a_placeholder_is_one_all_the_same(title: str) -> None:
    assert readable(title) == title


@pytest.mark.parametrize(
    "forms",
    [
        ["José Pérez", "JOSÉ PÉREZ", "josé pérez"],
        ["İstanbul", "ISTANBUL", "istanbul", "ıstanbul"],
        ["Straße", "STRASSE"],
        ["ＮＨＫ", "NHK"],
        ["ｶﾌﾞﾙ", "カブル"],
        ["وَزِيرُ", "وزير", "وزيـــر"],
        ["שָׁלוֹם", "שלום"],
        ["ΣΟΦΟΣ", "σοφος", "σοφοσ"],
        ["می\u200cشود", "میشود"],
        ["office", "oﬃce"],
    ],
)
def test_forms_of_one_word_match(forms: list[str]) -> None:
    assert len({matching(clean(form)) for form in forms}) == 1


def test_different_words_do_not_match() -> None:
    words = ["resume", "résumé", "नई", "न", "がいむ", "かいむ", "Sıla", "Sala"]
    assert len({matching(word) for word in words}) == len(words)


def test_vowel_points_go_from_words_alone() -> None:
    assert unpointed("وَزِيرُ") == "وزير"
    assert unpointed("शिक्षा") == "शिक्षा"
    assert [has_points(text) for text in ("وَزِيرُ", "وزير", "شिक्षا", "abc", "é")] == [
        *(True, False, False, False, False)
    ]


def test_escapes_without_end_take_no_time() -> None:
    text = "&" + "amp;" * 200_000 + "lt;b&gt;" + "<" * 200_000 + "<a " * 20_000
    assert len(clean(text)) > 100_000


SIGNS = st.text(
    st.sampled_from(
        "aé<>/&;#b3 \t\u00a0\u200b\u200d\u0301\u064e\u202e\ufe0f\x1b[m\x07\x80\u00e2निİıم中"
    ),
    max_size=20,
)


@given(st.text(max_size=40) | SIGNS)
def test_a_clean_text_is_one_line_in_normal_form_without_what_is_not_seen(text: str) -> None:
    found = clean(text)
    assert found == unicodedata.normalize("NFC", found)
    assert found == " ".join(found.split())
    kinds = [(sign, unicodedata.category(sign)) for sign in found]
    joiners = {"\u200c", "\u200d"}
    assert not [sign for sign, kind in kinds if kind in ("Cc", "Zl", "Zp")]
    assert not {"\u200b", "\ufeff", "\u202e", "\u2066", "\u200f", "\u00ad"} & set(found)
    assert all(one not in joiners or other != "a" for other, one in pairwise(found))


@given(SIGNS)
def test_plain_text_is_clean_already(text: str) -> None:
    if not set(text) & set("<&"):
        assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(exclude_characters="\u200c\u200d", exclude_categories=["Cs"])))
def test_json_with_what_nobody_sees_written_out_is_the_same(text: str) -> None:
    text += "\x1b[2J\x9b\x85\u202e\u2028\U000e0041\x7f"
    written = escape_unseen(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(written) == {text: text}
    assert visible(written) == written


def test_lines_stay_lines() -> None:
    assert visible("one\r\ntwo\rthree\tfour\x0bfive") == "one\ntwo\nthree\tfour\nfive"
    assert one_line("one\r\n  two\u2028three") == "one two three"


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("", 1, ""),
        ("नई शिक्षा", 6, "नई शि…"),
        ("e\u0301e", 2, "…"),
    ],
)
def test_a_text_is_cut_with_a_mark_and_no_letter_loses_its_accent(
    text: str, most: int, shown: str
) -> None:
    assert cut(text, most) == shown
