"""The labels of a level's clusters together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_tasks.steps.label.free_labels import FreeLabels
from clustering_tasks.steps.label.naming import Proposal
from clustering_tasks.steps.label.proposals import count_words, describe


@dataclass
class Named:
    label: str | None
    proposal: Proposal

    @property
    def phrases(self) -> list[str]:
        return self.proposal.phrases


STORM: list[str | None] = [
    "Storm hits the coast of Averil",
    "Averil coast braces for storm",
    "Storm damage in Averil",
]
VOTE: list[str | None] = [
    "Parliament votes on the budget",
    "Budget vote splits parliament",
    "Parliament budget passed",
]


def named(
    clusters: Sequence[Sequence[str | None]], level: str = "documents", **more: Any
) -> list[Named]:
    """Name clusters of items, the first of each being the most central."""
    texts = [text for cluster in clusters for text in cluster]
    labels = np.repeat(np.arange(len(clusters)), [len(c) for c in clusters]).astype(np.int32)
    absent = ("sentence", "entity_type")
    columns: dict[str, Any] = {name: [None] * len(texts) for name in absent}
    columns |= {
        "title": texts,
        "mention": texts,
        "source_id": [str(n) for n in range(len(texts))],
        "near_duplicate": np.arange(len(texts)),
        "near_duplicate_of": pa.nulls(len(texts), pa.string()),
        "start_time": np.full(len(texts), np.datetime64("2026-03-01T12:00", "us")),
        "similarity": np.linspace(1, 0.5, len(texts), dtype=np.float32),
    } | more
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    words = count_words(table.append_column("text", pa.array(texts, pa.string())), labels)
    free, found = FreeLabels(), list[Named]()
    for number, (items, _, each, *_) in enumerate(describe(words, table, labels, level, 10)):
        label = None
        if each.ranked:
            label = free.best(str(number), each.ranked, each.tellers, items)
        free.take(str(number), label or "")
        found.append(Named(label, each))
    return found


def test_a_label_is_a_headline_of_a_member() -> None:
    storm, vote = named([STORM, VOTE])
    assert storm.label in STORM
    assert vote.label in VOTE
    assert storm.phrases[0].lower() in "storm averil coast"
    assert len(storm.phrases) <= 3


def test_a_phrase_does_not_reach_into_the_next_one() -> None:
    told: list[str | None] = [
        "On Thursday the Rovinian cabinet met in the Bank of Averil",
        "Talks went on Thursday, the Rovinian cabinet and the Bank of Averil said",
        "Late Thursday the Rovinian cabinet left the Bank of Averil",
    ]
    cabinet, _ = named([told, VOTE])
    assert "Bank of Averil" in cabinet.phrases
    assert not [phrase for phrase in cabinet.phrases if "Thursday" in phrase]


def test_no_two_labels_are_alike() -> None:
    clusters: list[list[str | None]] = [["Storm hits Averil"] * 3 for _ in range(4)]
    labels = [each.label for each in named(clusters)]
    assert len(set(labels)) == 4
    assert labels[0] == "Storm hits Averil"
    assert labels[1] == "Storm hits Averil (2026-03-01)"
    assert all(label and label.startswith("Storm hits Averil") for label in labels)


def test_a_long_sentence_is_never_cut_inside_a_clause() -> None:
    long = (
        "A storm of a force which nobody saw has hit the coast of Averil on Monday, after "
        "officials had asked people in all of the villages to leave their homes"
    )
    (storm,) = named([[long, long]])
    assert (
        storm.label == "A storm of a force which nobody saw has hit the coast of Averil on Monday"
    )


def test_an_event_whose_sentences_are_all_long_is_told_by_a_beginning() -> None:
    texts = [
        (
            "The agency banned the cycling champion Hye-jin Kuroda for two years on Friday and "
            "cancelled the title of the Tour of Juntara"
        )
    ] * 2
    (ban,) = named([texts], "events", sentence=texts, mention=["banned", "banned"])
    assert (
        ban.label == "The agency banned the cycling champion Hye-jin Kuroda for two years on Friday"
    )


def test_an_event_is_not_led_by_its_trigger_nor_by_a_reporting_verb() -> None:
    texts = ["Police said the ferry sank off Crete", "The ferry sank off Crete"]
    ferry, _ = named(
        [[f"sank: {text}" for text in texts], VOTE],
        "events",
        sentence=[*texts, *VOTE],
        mention=["sank"] * 5,
    )
    assert ferry.label == "The ferry sank off Crete"


def test_what_is_said_gives_way_to_what_is_known() -> None:
    known = "The ferry Aurora sank off Crete on Monday"
    claimed = "Witnesses claimed that the ferry Aurora sank off Crete on Monday"
    ferry, _ = named([[claimed, claimed, known, claimed], VOTE])
    assert ferry.label == known
    ferry, _ = named([[claimed] * 3, VOTE])
    assert ferry.label == claimed


def test_mentions_that_name_nobody_are_marked_by_what_is_beside_them() -> None:
    sentences = ["The court heard that he met Angela Merkel."] * 2
    police, he = named(
        [["police", "the police"], ["he", "him"]],
        "entities",
        sentence=[*["On Monday police met Angela Merkel."] * 2, *sentences],
        entity_type=["ORG", "ORG", "PER", "PER"],
    )
    assert police.label == "police (Angela Merkel)"
    assert he.label == "unnamed person (Angela Merkel)"
    assert he.proposal.entity is not None
    assert he.proposal.entity.kind == "pronoun"


@pytest.mark.parametrize("level", ["documents", "events", "entities", "storylines"])
def test_without_texts_there_is_no_label(level: str) -> None:
    texts: dict[str, Any] = {
        name: pa.array([None, None], pa.string())
        for name in ("title", "mention", "sentence", "entity_type")
    }
    assert named([[None, None]], level, **texts) == [Named(None, Proposal([], [], []))]


@pytest.mark.parametrize("level", ["documents", "events", "entities", "storylines"])
@settings(max_examples=40)
@given(texts=st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=6))
def test_no_text_makes_it_fail(level: str, texts: list[str]) -> None:
    found = named([texts, texts[::-1]], level, sentence=texts * 2)
    labels = [each.label for each in found]
    assert all(label is None or 0 < len(label) <= 100 for label in labels)
    assert labels[0] is None or labels[0] != labels[1]


def test_labels_of_several_languages() -> None:
    clusters: list[list[str | None]] = [
        ["Sturm trifft die Küste von Averil", "Sturm an der Küste von Averil"],
        ["北京奥运会开幕式今晚举行", "世界关注北京奥运会开幕"],
        ["وزير الخارجية يزور بغداد", "وزير الخارجية في بغداد"],
    ]
    for cluster, each in zip(clusters, named(clusters), strict=True):
        assert each.label in cluster
        assert each.phrases
