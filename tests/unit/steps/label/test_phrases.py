"""Keywords as phrases that can stand alone."""

import pytest

from clustering_tasks.steps.label.phrases import Written


@pytest.mark.parametrize(
    ("text", "term", "phrase"),
    [
        # no name is cut
        ("The hoard of Saint Ann by the Mill was sold", "ann mill", "Saint Ann by the Mill"),
        ("The council of Port Norwood met", "council port", "council of Port Norwood"),
        (
            "A row at the Port Norwood Film Festival grew",
            "norwood film",
            "Port Norwood Film Festival",
        ),
        ("The costs of the Norwood trial rose", "costs norwood", "costs of the Norwood trial"),
        # what is beside a noun phrase is no part of it
        ("The embassy in Norwood weeks after the talks", "norwood weeks", ""),
        ("Traders lost ten million on Friday in Norwood", "million friday", ""),
        ("They keep jobs at Norwood Falls and the name Widgets", "falls name", ""),
        ("The mayor of Norwood called on Ann Lee", "norwood called", ""),
        ("On Friday passengers reported delays", "passengers reported", ""),
        ("The party balks at the school bill, leaving her short", "bill leaving", ""),
        ("The White Party balks at the school", "balks school", ""),
        ("They met in Norwood, workers and owners", "norwood workers", ""),
        # half a word
        ("The rate is five per cent on Friday", "cent", ""),
        ("The rate is five per cent on Friday", "cent friday", ""),
        ("Crowds fill streets over the votes-at-16 bill", "votes-at", "votes-at-16"),
        ("Norwood's mayor was the Deputy's friend in the north", "deputy's", "Deputy"),
        # a title of address
        ("The judge heard that Ms Lee was ill", "ms", ""),
        ("The judge heard that Ms Lee was ill", "lee", "Lee"),
        # phrases stay
        ("They want lessons in dialect at school", "lessons dialect", "lessons in dialect"),
        ("The interest rate of the bank rose", "interest rate", "interest rate"),
        ("He is on injured reserve this season", "injured reserve", "injured reserve"),
    ],
)
def test_a_term_is_written_as_a_phrase(text: str, term: str, phrase: str) -> None:
    assert Written.of([text]).phrase(term) == phrase


def test_of_a_pair_that_is_no_phrase_the_name_is_left() -> None:
    written = Written.of(["The council of Port Norwood called for help on Friday"])
    assert written.name_in("norwood called") == "Port Norwood"
    assert written.name_in("help friday") == ""
    assert written.name_in("norwood") == ""
