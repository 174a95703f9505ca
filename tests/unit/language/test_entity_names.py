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
