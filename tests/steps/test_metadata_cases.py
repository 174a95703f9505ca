# ruff: noqa: RUF001  - signs of many scripts look alike
"""Metadata as sources really write them, through all steps: what becomes of text and names."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.conftest import Workbench
from tests.stage3_folder import blobs, plain_metadata

Json = dict[str, Any]
OTHERS = [{"title": "Ministers discuss trade agreement"}, {"title": "Trade agreement discussed"}]
NAME = "José Pérez"


def records(
    workbench: Workbench, level: str, *groups: Sequence[Json], algorithm: str = "hdbscan"
) -> list[Json]:
    """Cluster groups of twelve items; the cluster of the first item comes first."""
    whole = plain_metadata(level, 1)
    metadata = [
        whole | {"context": f"Sentence {n} of group {number}."} | group[n % len(group)]
        for number, group in enumerate(groups)
        for n in range(12)
    ]
    names = workbench.stage3.write(level, blobs([12] * len(groups)), metadata)
    done = workbench.perform(level, algorithm=algorithm, hdbscan={"min_cluster_size": 5})
    found = [json.loads(line) for line in Path(done["clusters_jsonl"]).read_text().splitlines()]
    first = names[0].removeprefix(LEVELS[level].vector_prefix)
    return sorted(found, key=lambda record: first not in record["member_ids"])


def counted(workbench: Workbench) -> Json:
    """What the report says of the input."""
    (report,) = Path(workbench.workspace.path).rglob("report.json")
    read: Json = json.loads(report.read_text())["input"]
    return read


@pytest.mark.parametrize(
    ("titles", "label", "keywords"),
    [
        (
            ["नई शिक्षा नीति की घोषणा दिल्ली में", "दिल्ली में नई शिक्षा नीति"],
            "नई शिक्षा नीति की घोषणा दिल्ली में",
            {"नई", "शिक्षा", "नीति", "दिल्ली"},
        ),
        (
            ["İSTANBUL İÇİN YENİ METRO", "I\u0307stanbul ic\u0327in yeni metro hattı"],
            "İstanbul için yeni metro hattı",
            {"istanbul", "yeni", "metro"},
        ),
        (
            ["وَزِيرُ الْخَارِجِيَّةِ يَزُورُ بَغْدَادَ", "وزير الخارجية في بغداد"],
            "وَزِيرُ الْخَارِجِيَّةِ يَزُورُ بَغْدَادَ",
            {"وَزِيرُ", "الْخَارِجِيَّةِ"},
        ),
        (
            ["北京奥运会开幕式今晚举行", "世界关注北京奥运会开幕"],
            "世界关注北京奥运会开幕",
            {"北京奥运会开幕"},
        ),
        (
            ["<b>AT&amp;T</b> to buy rival&nbsp;&#8211; sources", "[Removed]"],
            "AT&T to buy rival \u2013 sources",
            {"buy", "rival", "sources"},
        ),
        (["[Removed]", "Untitled", "", "\u200b\u3164"], None, set()),
    ],
)
def test_labels_and_keywords_are_text_for_people(
    workbench: Workbench, titles: list[str], label: str | None, keywords: set[str]
) -> None:
    group = [{"title": title, "tags": []} for title in titles]
    record, _ = records(workbench, "documents", group, OTHERS)
    assert keywords <= {word for term in record["keywords"] for word in term.split()}
    if label is None:
        assert record["cluster_label"] == record["representatives"][0]["id"]
        assert record["keywords"] == []
        assert {each["title"] for each in record["representatives"]} == {None}
    else:
        assert record["cluster_label"] == label


def test_fields_in_other_forms_are_in_the_records(workbench: Workbench) -> None:
    group: list[Json] = [
        {"word_count": "900", "categories": "economy, europe"},
        {"word_count": 300, "categories": [{"name": "economy"}]},
        {"word_count": "many", "categories": 7},
    ]
    record, _ = records(workbench, "documents", group, OTHERS)
    assert record["avg_word_count"] == 600
    assert record["dominant_categories"] == ["economy", "europe"]
    read = counted(workbench)
    assert (read["unread_word_count"], read["unread_categories"], read["unread_title"]) == (4, 4, 0)
    assert read["unread_word_count_example"] == "word_count: 'many'"
    assert read["unread_categories_example"] == "categories: 7"


def test_entities_and_ids_in_other_forms_are_in_the_records(workbench: Workbench) -> None:
    group: list[Json] = [
        {"primary_entities": [{"text": "Japan"}], "event_ids": [1, 2]},
        {"primary_entities": "Japan; France", "event_ids": "3"},
        {"primary_entities": [7], "event_ids": [True]},
    ]
    record, _ = records(workbench, "storylines", group, [{}])
    assert record["primary_entities"] == ["Japan", "France"]
    assert record["event_ids"] == ["1", "2", "3"]
    read = counted(workbench)
    assert (read["unread_primary_entities"], read["unread_event_ids"]) == (4, 4)
    assert read["unread_event_ids_example"] == "event_ids: [True]"


def test_one_name_in_six_encodings_is_one_mention(workbench: Workbench) -> None:
    forms = [
        NAME,
        unicodedata.normalize("NFD", NAME),
        "José  Pérez",
        "José\u00a0Pérez",
        "José\u200b Pérez",
        "Jos&eacute; P&eacute;rez",
    ]
    group = [{"entity_text": form, "entity_type": "PER"} for form in forms]
    other = {"entity_text": "Bank", "entity_type": "PER"}
    record, _ = records(workbench, "entities", group, [other])
    assert record["entity_mentions"] == [record["cluster_label"]] == [NAME]
    assert record["mention_counts"] == {NAME: 12}


ONE_ENTITY: dict[str, list[Json]] = {
    "two cases": [{"entity_type": "ORG"}, {"entity_type": "org"}],
    "none in half of them": [{"entity_type": "ORG"}, {"entity_type": None}],
    "two vocabularies": [{"entity_type": "ORG"}, {"entity_type": " Organization "}],
    "a tagger's": [{"entity_type": "ORG"}, {"entity_type": "B-ORG"}, {"entity_type": ["org"]}],
    "none, and another mention": [
        {"entity_type": "ORG", "entity_text": "European Central Bank"},
        {"entity_text": "the ECB", "entity_type": ""},
    ],
}


@pytest.mark.parametrize("group", ONE_ENTITY.values(), ids=ONE_ENTITY)
@pytest.mark.parametrize("algorithm", ["auto", "hdbscan"])
def test_the_clusters_are_those_of_items_of_one_type(
    workbench: Workbench, group: list[Json], algorithm: str
) -> None:
    group = [{"entity_text": "Bank"} | each for each in group]
    others = [[{"entity_text": name, "entity_type": "ORG"}] for name in ("UNICEF", "Greenpeace")]
    found = records(workbench, "entities", group, *others, algorithm=algorithm)
    missing = [each for each in group if not each["entity_type"]]
    assert counted(workbench)["untyped"] == 12 * len(missing) / len(group)
    alike = [each | {"entity_type": "ORG"} for each in group]
    expected = records(workbench, "entities", alike, *others, algorithm=algorithm)
    assert {each["entity_type"] for each in found} == {"ORG"}
    assert [each["member_ids"] for each in found] == [each["member_ids"] for each in expected]
    if algorithm == "hdbscan":
        assert [each["cluster_size"] for each in found] == [12, 12, 12]
