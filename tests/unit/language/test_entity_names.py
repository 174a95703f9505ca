"""What entities are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.language.entity_names import (
    common_nouns,
    kind_of,
    name_entity,
    names_in,
)


@pytest.mark.parametrize(
    ("mentions", "name", "kind"),
    [
        ({"he": 5, "Angela Merkel": 3, "Merkel": 2}, "Angela Merkel", "name"),
        (
            {"Merkel": 30, "Angela Merkel": 4, "Chancellor Angela Merkel": 2},
            "Angela Merkel",
            "name",
        ),
        ({"Merkel": 40, "Merkle Angela": 1}, "Merkel", "name"),  # a slip
        ({"ECB": 7, "the European Central Bank": 3}, "European Central Bank", "name"),
        ({"in Santa Rosa": 4, "Santa Rosa": 1, "there": 9}, "Santa Rosa", "name"),
        ({"The Hague": 4, "in The Hague": 1}, "The Hague", "name"),
        ({"at his home in Santa Rosa": 3, "home": 1}, "home", "noun"),
        ({"JOHN JENKIN": 2, "John Jenkin": 1}, "John Jenkin", "name"),
        ({"Smith and Jones": 1, "John Smith": 2, "Smith": 5}, "John Smith", "name"),
        ({"police": 5, "they": 9}, "police", "noun"),
        ({"it": 2, "its": 3}, "its", "pronoun"),  # nothing but pronouns: better than nothing
        ({"北京": 3, "北京市": 1}, "北京", "name"),
        ({"José Pérez": 1, "Jos\u00c3\u00a9 P\u00c3\u00a9rez": 1}, "José Pérez", "name"),
    ],
)
def test_an_entity_is_named_by_its_longest_well_supported_name(
    mentions: dict[str, int], name: str, kind: str
) -> None:
    entity = name_entity(m for m, count in mentions.items() for _ in range(count))
    assert entity is not None
    assert (entity.name, entity.kind) == (name, kind)
    assert sum(entity.counts.values()) == sum(mentions.values())


def test_variants_are_names_first_and_pronouns_last() -> None:
    entity = name_entity(["he", "he", "he", "the chancellor", "the chancellor", "Merkel", None])
    assert entity is not None
    assert entity.counts == {"Merkel": 1, "the chancellor": 2, "he": 3}
    assert list(entity.counts) == ["Merkel", "the chancellor", "he"]


def test_a_capital_at_the_beginning_of_a_sentence_makes_no_name() -> None:
    common = common_nouns({"police": 4, "Police": 3, "Apple": 5, "apple": 1})
    assert common == {"police"}
    entity = name_entity(["Police", "Police", "police"], common)
    assert entity is not None
    assert entity.kind == "noun"


def test_a_script_without_case_shows_no_common_nouns() -> None:
    names = {"\u5317\u4eac": 4, "\u0645\u062d\u0645\u062f": 3, "2025": 2}
    assert common_nouns(names) == frozenset()


@pytest.mark.parametrize(
    ("mention", "name"),
    [
        (
            "\u041f\u0410\u041e \u00ab\u0413\u0430\u0437\u043f\u0440\u043e\u043c\u00bb",
            "\u041f\u0410\u041e \u00ab\u0413\u0430\u0437\u043f\u0440\u043e\u043c\u00bb",
        ),
        (
            "\u00ab\u0413\u0430\u0437\u043f\u0440\u043e\u043c\u00bb",
            "\u0413\u0430\u0437\u043f\u0440\u043e\u043c",
        ),
        ("Opera (Oslo)", "Opera (Oslo)"),
        ("(Opera)", "Opera"),
        ("Opera (Oslo),", "Opera (Oslo)"),
        ("Opera (Oslo", "Opera (Oslo"),
        ("Bundeskanzlerin Angela Merkel", "Angela Merkel"),
        ("Cumhurba\u015fkan\u0131 \u0130lham I\u015f\u0131k", "\u0130lham I\u015f\u0131k"),
    ],
)
def test_a_name_is_shown_without_titles_and_with_both_halves_of_a_pair(
    mention: str, name: str
) -> None:
    entity = name_entity([mention])
    assert entity is not None
    assert entity.name == name


@pytest.mark.parametrize(
    "mention",
    [
        *(
            "\u043e\u043d",
            "\u041e\u043d\u0430",
            "\u4ed6",
            "\u0647\u0648",
            "o",
            "elle",
            "\u03b1\u03c5\u03c4\u03cc\u03c2",
            "\u05d4\u05d5\u05d0",
            "\uadf8\ub294",
        ),
    ],
)
def test_pronouns_of_other_languages_name_nobody(mention: str) -> None:
    assert kind_of(mention) == "pronoun"


@pytest.mark.parametrize(
    "mention", ["Elle", "LO", "Den Haag", "\u041e\u043d\u0438\u0449\u0435\u043d\u043a\u043e"]
)
def test_a_capital_makes_a_name_of_a_latin_pronoun(mention: str) -> None:
    assert kind_of(mention) == "name"


@pytest.mark.parametrize("mention", ["He", "who", "themselves", "two", "the", "12", "\u2014", "on"])
def test_what_names_nobody_is_a_pronoun(mention: str) -> None:
    assert kind_of(mention) == "pronoun"


def test_nothing_has_no_name() -> None:
    assert name_entity([None, None]) is None


def test_names_in_a_sentence_are_runs_of_capitals() -> None:
    sentence = "On Monday, Lindsay Lohan left the Betty Ford Center in Malibu with police."
    assert names_in(sentence) == ["Lindsay Lohan", "Betty Ford Center", "Malibu"]
    assert names_in("Every Word In This Headline Has One") == []


@given(st.lists(st.text(max_size=60) | st.none(), max_size=6))
def test_no_mention_makes_it_fail(mentions: list[str | None]) -> None:
    entity = name_entity(mentions)
    assert (entity is None) == (not any(mentions))
    if entity:
        assert sum(entity.counts.values()) == sum(map(bool, mentions))
    for mention in filter(None, mentions):
        names_in(mention)
