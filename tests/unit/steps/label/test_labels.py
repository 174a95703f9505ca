from collections import Counter
from itertools import pairwise
from math import log1p

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clustering_tasks.steps.label.keywords import Keywords
from clustering_tasks.steps.label.titles import name_of_id, shorten


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Leaders meet", "Leaders meet"),
        ("  Leaders\n\tmeet \r\n in\u2028Hiroshima. ", "Leaders meet in Hiroshima"),
        ("To be continued...", "To be continued..."),
        ("7.55 p.m.", "7.55 p.m."),
        ("at Acme Corp. ", "at Acme Corp."),
        ("Rates rise to 3.5.", "Rates rise to 3.5"),
        ("Read it on example.com.", "Read it on example.com"),
        ("", ""),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
        ("word " * 30, "word " * 18 + "word…"),
    ],
)
def test_a_label_is_one_short_line(text: str, line: str) -> None:
    assert shorten(text) == line


@example("Floods in Kenya .")
@given(st.text(max_size=300))
def test_a_label_is_one_short_line_whatever_the_text(text: str) -> None:
    line = shorten(text)
    assert len(line) <= 100
    assert line == " ".join(line.split())


@pytest.mark.parametrize(
    ("source_id", "label"),
    [
        ("doc_17_event_3", "doc_17_event_3"),
        ("doc\u202egnp.exe", "docgnp.exe"),
        ("<b>AT&amp;T</b>\u200b 1", "AT&T 1"),
        ("x" * 512, "x" * 99 + "…"),
        ("\u200b\u2060", "event_7f3a9c2e41b0"),
    ],
)
def test_an_item_without_text_is_named_by_what_is_seen_of_its_id(
    source_id: str, label: str
) -> None:
    assert name_of_id(source_id, "event_7f3a9c2e41b0") == label


def test_a_label_is_not_cut_between_a_letter_and_its_mark() -> None:
    assert shorten("नि" * 51) == "नि" * 49 + "…"
    assert shorten("x" * 98 + "नि" * 2) == "x" * 98 + "…"


def test_keywords_are_what_a_cluster_says_more_often_than_the_others() -> None:
    keywords = Keywords.of_texts(
        [
            ["storm hits the coast today", "coast braces for storm", "storm damage today"],
            ["parliament votes today", "parliament debates budget", "budget vote today"],
        ]
    )
    assert keywords.top(0, 2) == ["storm", "coast"]
    assert set(keywords.top(1, 2)) == {"parliament", "budget"}
    weights = keywords.weights_of(0)
    assert weights["storm"] > weights["today"]
    assert "the" not in weights
    assert "parliament" not in weights


def test_a_pair_of_words_stands_for_both() -> None:
    keywords = Keywords.of_texts(
        [["Stari Dvor flooded", "Stari Dvor evacuated"], ["chess game", "chess"]]
    )
    top = keywords.top(0, 5)
    assert top[0] == "stari dvor"
    assert not {"stari", "dvor"} & set(top)


def test_no_pair_spans_two_texts() -> None:
    assert Keywords.of_texts([["alpha", "beta"] * 3, ["other words"]]).top(0, 3) == [
        "alpha",
        "beta",
    ]
    assert Keywords.of_texts([["alpha beta"] * 3, ["other words"]]).top(0, 3) == ["alpha beta"]


@given(st.lists(st.lists(st.text("bcd fgk", max_size=12), max_size=5), max_size=5))
def test_weights_are_those_of_the_formula(clusters: list[list[str]]) -> None:
    said = [_terms_of(texts) for texts in clusters]
    total = sum(said, Counter[str]())
    keywords = Keywords.of_texts(clusters)
    for number, counts in enumerate(said):
        words = counts.total()
        weights = {
            term: count / words * log1p(total.total() / len(said) / total[term])
            for term, count in counts.items()
        }
        single = {term: weight for term, weight in weights.items() if " " not in term}
        assert keywords.weights_of(number) == pytest.approx(single, rel=1e-6)
        rest = sorted(weights, key=lambda t: (-round(weights[t] * (1 + 0.2 * (" " in t)), 6), t))
        top: list[str] = []
        for term in rest:
            if not set(term.split()) & set(" ".join(top).split()):
                top.append(term)
        assert keywords.top(number, 4) == top[:4]


def _terms_of(texts: list[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for text in texts:
        words = [word for word in text.split() if len(word) > 1]
        counts.update(words)
        counts.update(map(" ".join, pairwise(words)))
    return counts


@pytest.mark.parametrize(
    ("texts", "top"),
    [
        (
            ["नई शिक्षा नीति की घोषणा", "नई शिक्षा नीति पर बहस"],
            ["नई शिक्षा", "नीति", "घोषणा", "बहस"],
        ),
        (["İSTANBUL İÇİN YENİ METRO", "İstanbul için yeni metro"], ["istanbul yeni", "metro"]),
        (["وَزِيرُ الْخَارِجِيَّةِ", "وزير الخارجية"], ["وَزِيرُ الْخَارِجِيَّةِ"]),
        (["北京奥运会开幕", "世界关注北京奥运会"], ["北京奥运会"]),
        (["東京オリンピックが開幕した", "東京オリンピックの中止"], ["東京", "オリンピック"]),
    ],
)
def test_keywords_are_words_in_every_script(texts: list[str], top: list[str]) -> None:
    others = ["storm hits the coast", "coast braces for storm"]
    keywords = Keywords.of_texts([texts, others, others])
    assert set(top) <= set(keywords.top(0, 10))


@pytest.mark.parametrize("clusters", [[], [[]], [[None, ""], ["the of and"]], [["1 2 3"], ["?"]]])
def test_clusters_without_words_have_no_keywords(clusters: list[list[str | None]]) -> None:
    keywords = Keywords.of_texts(clusters)
    for cluster in range(len(clusters)):
        assert keywords.top(cluster, 5) == []
        assert keywords.weights_of(cluster) == {}


def test_a_cluster_without_words_among_others_has_none() -> None:
    keywords = Keywords.of_texts([["storm"], [None], ["chess"]])
    assert [keywords.top(cluster, 3) for cluster in range(3)] == [["storm"], [], ["chess"]]


@given(st.lists(st.lists(st.text(max_size=30) | st.none(), max_size=4), max_size=4))
def test_no_text_makes_it_fail(clusters: list[list[str | None]]) -> None:
    keywords = Keywords.of_texts(clusters)
    for cluster in range(len(clusters)):
        assert len(keywords.top(cluster, 3)) <= 3


@given(
    st.lists(st.lists(st.text("bcd \u4eac\u5317\u0301", max_size=14), max_size=4), max_size=6),
    st.data(),
)
def test_terms_of_groups_are_those_of_each_cluster(
    clusters: list[list[str]], data: st.DataObject
) -> None:
    keywords = Keywords.of_texts(clusters)
    count = len(clusters)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count)))})
    groups = keywords.groups(np.full(count, 4), cuts, 3)
    found = [words for group in groups for words in group.clusters()]
    assert [words.keywords for words in found] == [keywords.top(n, 3) for n in range(count)]
    for number, words in enumerate(found):
        assert list(words.rows) == list(keywords.weights_of(number))
        for term, tells in zip(words.keywords, words.tells, strict=True):
            rows = [words.rows[word] for word in term.split() if word in words.rows]
            said = words.rewards[rows].sum(axis=0)
            assert tells == (said[1] > said[2:].max())
