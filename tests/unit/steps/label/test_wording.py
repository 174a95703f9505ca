"""Sentences, clauses and how plain they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.language.mending import mended
from clustering_tasks.steps.label import clauses as wording
from clustering_tasks.steps.label.clauses import LONGEST, clauses, head, subclauses, unattributed
from clustering_tasks.steps.label.plainness import plainness
from clustering_tasks.steps.label.sentences import sentences
from clustering_tasks.steps.label.verbs import has_verb, is_clause, is_whole


@pytest.mark.parametrize(
    ("tokenised", "text"),
    [
        ("A `` quiet '' town , police said .", "A \u201cquiet\u201d town, police said."),
        ("Chargers ' Jackson", "Chargers' Jackson"),
        ("the team \u2019 s star", "the team\u2019s star"),
        ("a hit - and - run crash", "a hit-and-run crash"),
        ("won 65 - 53", "won 65\u201353"),
        ("2, 117 points at 7: 21", "2,117 points at 7:21"),
        ("a $2. 6 million heist", "a $2.6 million heist"),
        ("Man shot - police", "Man shot - police"),
        ("Leaders meet in Rome", "Leaders meet in Rome"),
    ],
)
def test_what_a_tokeniser_left_is_mended(tokenised: str, text: str) -> None:
    assert mended(tokenised) == text


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Storm hits. Two died.", ["Storm hits", "Two died"]),
        ("Gov. Smith met Dr. J. Doe in Mt. Vernon.", ["Gov. Smith met Dr. J. Doe in Mt. Vernon"]),
        (
            "Ellen to host Oscars in 2014 This will be her second time",
            ["Ellen to host Oscars in 2014", "This will be her second time"],
        ),
        (
            "Jackson arrested on suspicion of arson Jackson was arrested early on Tuesday night",
            [
                "Jackson arrested on suspicion of arson",
                "Jackson was arrested early on Tuesday night",
            ],
        ),
        (
            "Killer of Lakewood Stn. Deputy Ortiz held",
            ["Killer of Lakewood Stn. Deputy Ortiz held"],
        ),
        (
            "Hepatitis A outbreak: doctors tracked the hepatitis A outbreak",
            ["Hepatitis A outbreak: doctors tracked the hepatitis A outbreak"],
        ),
        (
            "The ministry was following the hepatitis A outbreak with concern",
            ["The ministry was following the hepatitis A outbreak with concern"],
        ),
        (
            "The fair began with 800 visitors and the novel A Winter Tale by Ann Lee",
            ["The fair began with 800 visitors and the novel A Winter Tale by Ann Lee"],
        ),
        (
            "Fair row: The novel A Winter Tale by Ann Lee won the prize of the fair",
            ["Fair row: The novel A Winter Tale by Ann Lee won the prize of the fair"],
        ),
        ("北京奥运会开幕。世界关注。", ["北京奥运会开幕", "世界关注"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@pytest.mark.parametrize(
    ("sentence", "clause"),
    [
        ("Ferry sinks off Crete - Reuters Online", "Ferry sinks off Crete"),
        ("LONDON (Reuters) - Ministers agreed on a budget", "Ministers agreed on a budget"),
        (
            "The ferry sank off the coast of Crete, the coast guard reported",
            "The ferry sank off the coast of Crete",
        ),
        (
            "The company announced that it would close both of its plants",
            "It would close both of its plants",
        ),
        (
            (
                "Fred LaRue, a White House aide and key player in the Watergate scandal, was found"
                " dead in his room at a motel, it was reported Wednesday"
            ),
            "Fred LaRue was found dead in his room at a motel",
        ),
        (
            (
                "The inmate escaped from a prison van after pulling a gun on two guards who were"
                " taking him from one prison to another prison"
            ),
            "The inmate escaped from a prison van after pulling a gun on two guards",
        ),
    ],
)
def test_a_clause_of_a_sentence_can_stand_alone(sentence: str, clause: str) -> None:
    assert clauses(sentence)[0] == clause


def test_a_sentence_that_cannot_be_shortened_gives_no_clause() -> None:
    # the relative clause is all that comes before the end of a label
    climber = (
        "An Australian climber who survived two nights stuck on a mountain in New Zealand after"
    )
    assert clauses(f"{climber} seeing his brother die also narrowly escaped being buried") == []
    assert clauses("word " * 40) == []


@pytest.mark.parametrize(
    ("sentence", "beginning"),
    [
        (
            (
                "The submarine Narwhal ran aground off the Sable Bank in the evening of the "
                "festival on Thursday with 85 sailors aboard, five of whom were hurt"
            ),
            "The submarine Narwhal ran aground off the Sable Bank in the evening of the festival",
        ),
        (
            (
                "The agency banned the cycling champion Hye-jin Kuroda for two years on Friday and "
                "cancelled the title of the Tour of Juntara"
            ),
            "The agency banned the cycling champion Hye-jin Kuroda for two years on Friday",
        ),
        ("A man shot and wounded three people " + "of the same family " * 5, ""),
        ("Une phrase " + "d'une autre langue " * 8, ""),
    ],
)
def test_the_head_of_a_long_sentence_can_stand_alone(sentence: str, beginning: str) -> None:
    assert head(sentence) == beginning


@pytest.mark.parametrize(
    ("sentence", "clause"),
    [
        (
            (
                "Callers flooded the switchboard of the town hall in Norwood from 06:10 on"
                " Sunday to"
                " ask about the new ring road"
            ),
            "Callers flooded the switchboard of the town hall in Norwood",
        ),
        (
            (
                "Chairman John Doe of Northern Widgets promised to keep 2,300 jobs in Norwood"
                " and the"
                " name of the old company"
            ),
            "Chairman John Doe of Northern Widgets promised to keep 2,300 jobs",
        ),
        (
            (
                "The board of Northern Widgets, led by John Doe, rejected the offer of $7.2"
                " billion as"
                " opportunistic on Friday"
            ),
            "The board of Northern Widgets rejected the offer of $7.2 billion as opportunistic",
        ),
        (
            (
                "Chief executive John Doe will step down as head of Northern Widgets once the"
                " deal with"
                " the rival is closed"
            ),
            "Chief executive John Doe will step down as head of Northern Widgets",
        ),
        (
            (
                "The council of Port Norwood froze funds of the Port Norwood Film Festival"
                " on Wednesday"
                " because of a film"
            ),
            "The council of Port Norwood froze funds of the Port Norwood Film Festival",
        ),
    ],
)
def test_a_long_sentence_ends_before_what_is_beside_it(sentence: str, clause: str) -> None:
    assert any(found.startswith(clause) for found in clauses(sentence))


def test_what_was_said_is_told_and_not_whom_to() -> None:
    sentence = (
        "President Ann Lee told parliament on Tuesday that most people in the north worried about "
        "the new ring road around Norwood"
    )
    told = "Most people in the north worried about the new ring road around Norwood"
    assert clauses(sentence) == [f"{told}, President Ann Lee said"]
    assert unattributed(sentence) == [told]
    assert not head(sentence)


@pytest.mark.parametrize(
    ("sentence", "label"),
    [
        (
            "The ferry sank off the coast of Crete, officials said on Monday",
            "The ferry sank off the coast of Crete, officials said",
        ),
        (
            "Police said the ferry sank off the coast of Crete",
            "The ferry sank off the coast of Crete, police said",
        ),
        (
            "The company said that it would close both of its plants",
            "The company said that it would close both of its plants",
        ),
        (
            "According to the ministry, two people died in the crash",
            "Two people died in the crash, according to the ministry",
        ),
        (
            "Two people died in the crash, said police chief Bob Smith",
            "Two people died in the crash, police chief Bob Smith said",
        ),
        (
            (
                "Prosecutors allege that Bob Smith killed his wife in their home in Norwood in the "
                "night to the third of March and hid the body in a lake"
            ),
            "Bob Smith killed his wife in their home in Norwood, prosecutors allege",
        ),
        (
            (
                "A man of forty, police said, was shot in the early hours of the morning in the "
                "car park of a supermarket in the north of Norwood"
            ),
            "A man of forty was shot in the early hours of the morning, police said",
        ),
        (
            (
                "First Minister Ann Lee told parliament on Sunday that the government of Norland "
                "was following the long vote in the east of Norwood closely"
            ),
            (
                "The government of Norland was following the long vote in the east of Norwood "
                "closely, Ann Lee said"
            ),
        ),
    ],
)
def test_a_claim_is_told_with_who_makes_it(sentence: str, label: str) -> None:
    assert clauses(sentence)[0] == label


def test_a_claim_within_a_sentence_is_one_and_so_is_what_follows() -> None:
    sentence = (
        "The city was quiet on Monday when prosecutors claimed that the mayor took a bribe, and "
        "that her office lost the money of the council in the north of the city"
    )
    assert subclauses(sentence) == [
        "The mayor took a bribe, prosecutors claimed",
        "Her office lost the money of the council in the north of the city, prosecutors claimed",
    ]
    assert unattributed(sentence) == subclauses(sentence), "a claim has no wording without"


def test_what_a_sentence_adds_makes_no_claim_of_it() -> None:
    sentence = (
        "A former neighbour has been charged with the theft of two paintings from a house in "
        "Norwood, but the police say the paintings are lost"
    )
    assert clauses(sentence)[0].startswith("A former neighbour has been charged with the theft")
    assert not [each for each in clauses(sentence) if "police" in each]


@pytest.mark.parametrize(
    ("said", "unsaid"),
    [
        ("Ann Lee told parliament to wait", "Ann Lee told parliament"),
        ("Ann Lee said the road was open", "Ann Lee said to the Northern Press Agency"),
        ("A poll showed a lead", "A poll showed on Friday"),
        ("The road was open, Ann Lee told parliament", "Ann Lee, the mayor, told parliament"),
        ("Ann Lee vowed to stay", "Ann Lee vowed"),
    ],
)
def test_a_verb_of_saying_keeps_what_was_said(said: str, unsaid: str) -> None:
    assert is_clause(said)
    assert not is_clause(unsaid)


def test_a_clause_within_a_sentence_has_its_own_subject() -> None:
    sentence = (
        "Police intervened when more than a hundred people joined in a vigil in Brooklyn, where "
        "the teenager Kimani Gray was shot by police on Saturday, and so on and so on"
    )
    found = subclauses(sentence)
    assert "The teenager Kimani Gray was shot by police on Saturday" in found
    assert "More than a hundred people joined in a vigil in Brooklyn" in found


@pytest.mark.parametrize(
    ("whole", "open_"),
    [
        ("Leaders meet", "Leaders meet in"),
        ('He said "no"', 'He said "no'),
        ("Rates rise (again)", "Rates rise (again"),
        ("Son 'begged to stay', say police", "Son 'begged to stay"),
        ("The '90s are the workers' best years", "The \u2018best years"),
        ("Rates rise", "Rates rise\u2026"),
    ],
)
def test_what_is_cut_is_not_whole(whole: str, open_: str) -> None:
    assert is_whole(whole)
    assert not is_whole(open_)
    assert plainness(open_) < plainness(whole)


@pytest.mark.parametrize(
    ("plain", "vague"),
    [
        ("Storm hits the coast", "It hits the coast"),
        ("Storm hits the coast", "Said storm hits the coast"),
        ("Storm hits the coast", "STORM HITS THE COAST"),
        ("Storm hits the coast", "Updated Monday, 28 November 2005"),
        ("Storm hits the coast", "Why do storms hit us?"),
        ("Storm hits the coast", "Storm hits the coast, officials said"),
        ("Storm hits the coast, officials said", "Storm hits the coast, witnesses claimed"),
        ("Storm hits the coast, officials said", "Storm hits the coast, he said"),
        ("The strip, claimed by two states, is calm", "The strip is calm, two states claimed"),
    ],
)
def test_a_plain_text_stands_before_a_vague_one(plain: str, vague: str) -> None:
    assert plainness(vague) < plainness(plain)


def test_a_clause_does_not_end_before_what_its_verb_needs() -> None:
    assert is_clause("Smith was sentenced to death")
    assert not is_clause("Smith said he was surprised to learn")


def test_a_participle_behind_a_noun_is_no_verb() -> None:
    assert has_verb("Jackson arrested on suspicion of arson")
    assert not has_verb("A man arrested on suspicion of arson")
    assert not has_verb("W. Mark Felt")


@given(st.text(max_size=900))
def test_no_text_makes_it_fail(text: str) -> None:
    for sentence in sentences(text):
        for clause in [*clauses(sentence), *subclauses(sentence), *unattributed(sentence)]:
            assert 0 < len(clause) <= LONGEST
            assert 0 <= plainness(clause) <= 1
        assert len(head(sentence)) <= LONGEST


def test_a_text_is_searched_for_brackets_only_where_one_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched = list[str]()

    class Brackets:
        def sub(self, _replacement: str, text: str) -> str:
            searched.append(text)
            return text

    monkeypatch.setattr(wording, "_BRACKETS", Brackets())
    texts = [
        "The mayor (left",
        "The mayor (left) spoke",
        "The mayor [sic] spoke",
        "The mayor spoke",
    ]
    for text in texts:
        head(text)
    assert searched == texts[1:3]


@given(st.text(alphabet="a ()[]", max_size=20))
def test_what_stands_in_brackets_is_taken_out(text: str) -> None:
    assert wording._without_brackets(text) == wording._BRACKETS.sub("", text)
