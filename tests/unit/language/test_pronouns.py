"""Words that stand for something mentioned before."""

import pytest

from clustering_tasks.language.pronouns import reference


@pytest.mark.parametrize(
    ("mention", "refers"),
    [
        ("who", "relative"),
        ("dont", "relative"),
        ("quienes", "relative"),
        ("She", "person"),
        ("him", "person"),
        ("\u00e9l", "person"),
        ("its", "thing"),
        ("loro", "thing"),
        ("Lindsay Lohan", None),
        ("actress", None),
        ("", None),
    ],
)
def test_pronouns_refer_to_what_is_before_them(mention: str, refers: str | None) -> None:
    assert reference(mention) == refers


@pytest.mark.parametrize("mention", ["WHO", "IT", "ER", "Hun", "Che", "Who", "Das"])
def test_a_name_of_the_same_letters_is_no_pronoun(mention: str) -> None:
    assert reference(mention) is None
