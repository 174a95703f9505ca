"""Words of Latin texts by arithmetic are those of texts one by one."""

from collections import defaultdict
from itertools import count, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.stage3.words import words_of
from clustering_tasks.steps.label.latin_texts import END, number_latin
from clustering_tasks.steps.label.numbering import number_texts
from clustering_tasks.steps.label.stop_words import stop_words_of

# with dotted and dotless i, a long s, a letter whose small form is beyond Latin
PIECES = st.sampled_from(
    [
        *("the", "of", "and", "storm", "Storm", "hits", "Averil,", "Averil.", '"Averil"', "don't"),
        *("l'eau", "qu'il", "G7", "A320", "1,200", "a", "I", "die", "der", "und", "nicht", "auch"),
        *("von", "für", "über", "war", "men", "les", "des", "dans", "été", "pour", "une", "ß"),
        *("İzmir", "ILIK", "\u0131s\u0131", "\u017f", "\u023ab", "Україна", "και", "ΣΟΦΟΣ"),
        *("北京", "नमस्ते", "مُحَمَّد", "e-mail", "mid-Atlantic", "(x)", "--", "\u2013"),
    ]
)
TEXTS = st.one_of(st.none(), st.lists(PIECES, max_size=9).map(" ".join))
CLUSTERS = st.lists(st.lists(TEXTS, max_size=5), max_size=5)
USUAL = st.sampled_from(["en", "de", "fr", "tr"])


def arrays(clusters: list[list[str | None]]) -> tuple[pa.Array, np.ndarray]:
    bounds = np.append(0, np.cumsum([len(texts) for texts in clusters], dtype=np.int64))
    return pa.array([text for texts in clusters for text in texts], pa.string()), bounds


def one_by_one(texts: list[str | None], usual: str) -> list[str]:
    """Cut and filter each text by itself, as the rules are written."""
    split = [words_of(text, usual) for text in texts if text]
    found = list[str]()
    for words, stops in zip(split, stop_words_of(split, usual), strict=True):
        found += [*(word for word in words if word not in stops), ""]
    return found


@given(CLUSTERS, USUAL)
def test_latin_clusters_have_the_words_of_their_texts(
    clusters: list[list[str | None]], usual: str
) -> None:
    vocabulary: dict[str, int] = defaultdict(count().__next__)
    texts, bounds = arrays(clusters)
    latin = number_latin(texts, bounds, vocabulary, usual)
    names = [*vocabulary, ""]
    for place, (start, stop) in enumerate(pairwise(latin.bounds.tolist())):
        said = [names[number] for number in latin.words[start:stop].tolist()]
        assert said == (one_by_one(clusters[place], usual) if latin.found[place] else [])


@pytest.mark.parametrize(
    ("texts", "usual", "found"),
    [
        (["Storm hits Averil"], "en", True),
        (["Der Krieg und die Männer", "Für die Stadt ist das nicht"], "en", False),
        (["Storm hits", "Der Krieg und die Männer für uns"], "en", False),
        (["Україна"], "en", False),
        (["İzmir için"], "en", False),
        (["Storm hits Averil"], "tr", False),
        ([None, ""], "en", True),
    ],
)
def test_others_are_left_to_the_slow_way(texts: list[str | None], usual: str, found: bool) -> None:
    latin = number_latin(*arrays([texts]), defaultdict(count().__next__), usual)
    assert latin.found.tolist() == [found]


@given(CLUSTERS, USUAL)
def test_words_are_those_that_are_used(clusters: list[list[str | None]], usual: str) -> None:
    numbered = number_texts(*arrays(clusters), usual)
    used = set(numbered.numbers.tolist()) - {END}
    assert used == set(range(len(numbered.words)))
    assert len(set(numbered.words)) == len(numbered.words)
    assert numbered.ends.tolist()[-1:] == [len(numbered.numbers)] * bool(clusters)
    for texts, stop in zip(clusters, numbered.ends.tolist(), strict=True):
        before = numbered.numbers[:stop].tolist()
        assert before.count(END) >= sum(1 for text in texts if text)
