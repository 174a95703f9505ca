"""What mentions are compared by: names in all their encodings, full names, numbers, pronouns."""

import unicodedata

import pytest

from clustering_tasks.language.name_keys import (
    full_name,
    gender,
    initials,
    is_date,
    is_quantity,
    may_be_one,
    name_key,
    numbers_in,
    script,
)

NAME = "Jos\u00e9 P\u00e9rez"


@pytest.mark.parametrize(
    "mention",
    [
        NAME,
        unicodedata.normalize("NFD", NAME),
        "Jos\u00e9  P\u00e9rez",
        "Jos\u00e9\u00a0P\u00e9rez",
        NAME.encode().decode("cp1252"),
        "\uff2a\uff4f\uff53\u00e9 P\u00e9rez",
        "JOS\u00c9 P\u00c9REZ",
        "Jose Perez",
        "Dr. Jos\u00e9 P\u00e9rez",
        "Jos\u00e9 P\u00e9rez's",
        "with Jos\u00e9 P\u00e9rez",
    ],
)
def test_a_name_has_one_form_in_all_its_encodings(mention: str) -> None:
    assert name_key(mention) == "jose perez"


def test_articles_titles_companies_forms_and_signs_make_no_difference() -> None:
    assert name_key("The U.S. Steel Corp.") == name_key("US Steel") == "us steel"
    assert (
        name_key("\u041c\u043e\u0441\u043a\u0432\u0430") == "\u043c\u043e\u0441\u043a\u0432\u0430"
    )
    assert name_key("...") == ""


def test_days_and_bare_numbers_are_no_names() -> None:
    assert is_date("friday")
    assert is_date("14 july 2013")
    assert is_date("2013")
    assert not is_date("july 14 movement")


def test_an_acronym_is_of_several_words() -> None:
    assert initials("federal bureau of investigation", frozenset({"of"})) == "fbi"
    assert initials("microsoft", frozenset()) == ""


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("w mark felt", "mark felt sr", True),
        ("fred larue", "frederick larue", True),
        ("vincent the chin gigante", "vincent gigante", True),
        ("john jenkin", "kathryn jenkin", False),
        ("shawn holley", "mark jay heller", False),
        ("kim jong un", "jong un kim", True),
        # cases of one name, and spellings
        ("sergei lavrov", "sergeia lavrova", True),
        ("сергеи лавров", "сергея лаврова", True),
        ("petr pavel", "petra pavla", True),
        ("alexes tsipras", "alexe tsipra", True),
        ("jorg muller", "joerg mueller", True),
        ("bill clinton", "william clinton", True),
        ("bill clinton", "hillary clinton", False),
        ("john jenkin", "james jenkins", False),
        ("wang wei", "wang min", False),
    ],
)
def test_full_names_may_be_one_persons(one: str, other: str, *, together: bool) -> None:
    assert may_be_one(full_name(one), full_name(other)) is together
    assert may_be_one(full_name(other), full_name(one)) is together


@pytest.mark.parametrize(
    ("key", "written_in"),
    [("anna", "LATIN"), ("1 анна", "CYRILLIC"), ("中文", "CJK"), ("17", ""), ("", "")],
)
def test_a_script_is_that_of_the_first_letter(key: str, written_in: str) -> None:
    assert script(key) == written_in


def test_a_single_name_is_no_full_one() -> None:
    assert full_name("gupta") == full_name("j gupta") == ()


@pytest.mark.parametrize(
    ("mention", "numbers"),
    [
        ("$184 million", {"184"}),
        ("2,292nd point", {"2292"}),
        ("tenth point", {"10"}),
        ("11:00", {"11.00"}),
        ("11.00 a.m.", {"11.00"}),
        ("on Friday night", {"friday"}),
        ("6th June", {"6"}),
        ("John Jenkin, 23", set()),
        ("today", set()),
    ],
)
def test_numbers_ordinals_and_weekdays_have_one_form(mention: str, numbers: set[str]) -> None:
    assert numbers_in(mention) == numbers


def test_only_pronouns_of_one_person_have_a_gender() -> None:
    assert gender("She's") == gender("herself") == gender("ella") == "she"
    assert gender("Himself") == gender("hij") == "he"
    assert gender("they") is gender("who") is gender("sie") is gender("Shelley") is None


def test_a_quantity_begins_with_its_number() -> None:
    assert is_quantity("$184 million")
    assert is_quantity("a tenth point")
    assert not is_quantity("Bank 3")
    assert not is_quantity("")
