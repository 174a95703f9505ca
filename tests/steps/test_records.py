"""What a cluster's record says, at each level (CONTRACT.md, "To Stage 5")."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.conftest import Workbench
from tests.stage3_folder import Json, blobs, plain_metadata, source_id, unit

TWO_GROUPS = blobs([6, 6], noise=3, spread=0.05)
HDBSCAN = {"min_cluster_size": 3, "min_samples": 2}


def records(workbench: Workbench, level: str, job: str = "job") -> list[Json]:
    done = workbench.perform(level, job, hdbscan=HDBSCAN)
    return [json.loads(line) for line in Path(done["clusters_jsonl"]).read_text().splitlines()]


def first_group(workbench: Workbench, level: str, metadata: list[Json]) -> Json:
    """The record of a cluster whose members have this metadata, in the order of their ids."""
    other = [plain_metadata(level, n) for n in range(15 - len(metadata))]
    workbench.stage3.write(
        level, blobs([len(metadata), 15 - len(metadata)], spread=0.05), metadata + other
    )
    names = {source_id(level, n) for n in range(len(metadata))}
    (found,) = [r for r in records(workbench, level) if names & set(r["member_ids"])]
    assert set(found["member_ids"]) == names
    return found


COMMON: dict[str, Any] = {
    "cluster_id": str,
    "cluster_type": str,
    "cluster_label": str,
    "cluster_size": int,
    "member_ids": list,
    "document_ids": list,
    "centroid_vector": list,
    "temporal_span": (list, type(None)),
    "primary_entities": list,
    "domain": (str, type(None)),
    "event_type": (str, type(None)),
    "intra_cluster_similarity": float,
    "metadata": dict,
    "keywords": list,
    "key_phrases": list,
    "representatives": list,
    "near_duplicates": list,
    "near_duplicate_of": list,
    "corrections": list,
    "member_probabilities": list,
    "member_similarities": list,
}
DETAILS: dict[str, dict[str, Any]] = {
    "documents": {"avg_word_count": float, "dominant_categories": list},
    "events": {"event_ids": list},
    "entities": {
        "canonical_entity": str,
        "entity_type": str,
        "entity_mentions": list,
        "mention_counts": dict,
        "reconciled": dict,
    },
    "storylines": {"storyline_ids": list, "event_ids": list, "domains": list},
}
# What a member says, by which representatives differ.
TEXTS = {
    "documents": "title",
    "events": "event_description",
    "entities": "context",
    "storylines": "storyline_summary",
}


@pytest.mark.parametrize("level", LEVELS)
def test_every_field_of_the_contract_is_there_and_they_agree(
    workbench: Workbench, level: str
) -> None:
    one_type: Json = {"entity_type": "ORG"} if level == "entities" else {}
    metadata = [
        plain_metadata(level, n) | one_type | {TEXTS[level]: f"Told in words of its own {n}"}
        for n in range(15)
    ]
    workbench.stage3.write(level, TWO_GROUPS, metadata)
    found = records(workbench, level)
    assert len(found) == 2
    vector_of = dict(zip((source_id(level, n) for n in range(15)), TWO_GROUPS, strict=True))
    for record in found:
        for name, kind in (COMMON | DETAILS[level]).items():
            assert isinstance(record[name], kind), name
        singular = LEVELS[level].cluster_type
        assert re.fullmatch(rf"{singular}_[0-9a-f]{{12}}", record["cluster_id"])
        assert record["cluster_type"] == singular
        size = record["cluster_size"]
        by_member = ("member_ids", "member_probabilities", "member_similarities")
        for name in (*by_member, "near_duplicate_of"):
            assert len(record[name]) == size
        assert 0 < len(record["cluster_label"]) <= 100
        assert {"algorithm", "parameters", "min_cluster_size", "timestamp", "run_id"} <= set(
            record["metadata"]
        )
        assert record["metadata"]["run_id"] == "job"
        assert record["metadata"]["timestamp"] == "2026-03-01T12:00:00Z"
        assert record["metadata"]["min_cluster_size"] == 3
        members = np.array([vector_of[name] for name in record["member_ids"]], dtype=float)
        mean = members.mean(axis=0)
        np.testing.assert_allclose(
            record["centroid_vector"], mean / np.linalg.norm(mean), atol=1e-6
        )
        cosines = (members @ members.T)[np.triu_indices(size, 1)]
        assert record["intra_cluster_similarity"] == pytest.approx(cosines.mean(), abs=1e-5)
        stand_for_themselves = [
            similarity
            for similarity, original in zip(
                record["member_similarities"], record["near_duplicate_of"], strict=True
            )
            if original is None
        ]
        most_similar = sorted(stand_for_themselves, reverse=True)[:3]
        best = [representative["similarity"] for representative in record["representatives"]]
        assert best == pytest.approx(most_similar, abs=1e-6)


def test_an_id_follows_from_the_members_alone(workbench: Workbench) -> None:
    workbench.stage3.write("events", TWO_GROUPS)
    first = {record["cluster_id"] for record in records(workbench, "events", "a")}
    workbench.stage3.write(
        "events", TWO_GROUPS, [{"event_description": "other"}] * 15, order=range(14, -1, -1)
    )
    assert {record["cluster_id"] for record in records(workbench, "events", "b")} == first
    assert len(first) == 2


def test_documents(workbench: Workbench) -> None:
    metadata: list[Json] = [
        {"title": "One", "word_count": 100, "categories": ["b", "a"]},
        {"title": "Two", "word_count": 300, "categories": ["a", "c"]},
        {"title": "Three", "word_count": None, "categories": "b, c"},
        {"title": "Four", "publication_date": "2025-12-14"},
        {"title": "Five", "publication_date": "2025-12-16T12:00:00+02:00"},
    ]
    record = first_group(workbench, "documents", metadata)
    assert record["avg_word_count"] == 200
    assert record["dominant_categories"] == ["a", "b", "c"]
    assert record["document_ids"] == sorted(record["member_ids"])
    assert record["temporal_span"] == ["2025-12-14T00:00:00Z", "2025-12-16T10:00:00Z"]
    assert record["domain"] is record["event_type"] is None


def test_events_are_ordered_by_time_and_undated_ones_come_last(workbench: Workbench) -> None:
    dates = ["2025-12-16", None, "2025-12-14", "2025-12-15T23:00:00-05:00", "2025-12-14T01:00:00Z"]
    metadata: list[Json] = [
        {
            "temporal_reference": date,
            "event_type": "protest" if n < 3 else "election",
            "domain": "political" if n else "legal",
            "primary_entities": ["EU", "Poland"] if n % 2 else ["Poland"],
        }
        for n, date in enumerate(dates)
    ]
    record = first_group(workbench, "events", metadata)
    order = [source_id("events", n) for n in (2, 4, 0, 3, 1)]
    assert record["member_ids"] == record["event_ids"] == order
    assert record["temporal_span"] == ["2025-12-14T00:00:00Z", "2025-12-16T04:00:00Z"]
    assert (record["event_type"], record["domain"]) == ("protest", "political_events")
    assert record["primary_entities"] == ["Poland", "EU"]
    assert record["document_ids"] == ["doc_0000"]


def test_entities_are_named_by_their_mentions_and_never_by_a_pronoun(workbench: Workbench) -> None:
    mentions = ["he", "he", "he", "Angela Merkel", "Angela Merkel", "Merkel", "", None]
    metadata: list[Json] = [{"entity_type": "PER", "entity_text": text} for text in mentions]
    record = first_group(workbench, "entities", metadata)
    assert record["canonical_entity"] == record["cluster_label"] == "Angela Merkel"
    assert record["canonical_kind"] == "name"
    assert record["entity_mentions"] == ["Angela Merkel", "Merkel", "he"]
    assert record["mention_counts"] == {"he": 3, "Angela Merkel": 2, "Merkel": 1}
    assert record["entity_type"] == "PER"
    assert record["temporal_span"] is None


def test_storylines_bring_their_events_and_domains(workbench: Workbench) -> None:
    metadata: list[Json] = [
        {
            "event_ids": ["e2", "e1"],
            "domain": "health",
            "temporal_span": ["2025-12-01", "2025-12-09"],
        },
        {"event_ids": ["e2", 7, "e3"], "domain": "health_medical"},
        {"event_ids": None, "domain": "gossip"},
        {"temporal_span": ["2025-11-30", None]},
    ]
    record = first_group(workbench, "storylines", metadata)
    assert record["event_ids"] == ["7", "e1", "e2", "e3"]
    assert record["storyline_ids"] == record["member_ids"]
    assert record["domain"] == "health_medical"
    assert record["domains"] == ["health_medical", "general_news"]
    assert record["temporal_span"] == ["2025-11-30T00:00:00Z", "2025-12-09T00:00:00Z"]


def test_near_duplicates_are_named(workbench: Workbench) -> None:
    vectors = TWO_GROUPS.copy()
    vectors[3] = vectors[1]
    workbench.stage3.write("documents", vectors)
    pairs = [
        pair for record in records(workbench, "documents") for pair in record["near_duplicates"]
    ]
    assert any({"doc_0001", "doc_0003"} <= set(pair) for pair in pairs)


def reprinted(workbench: Workbench, dates: list[str | None]) -> Json:
    """The record of a cluster of which three documents are one text."""
    vectors = blobs([6, 6], spread=0.1)
    vectors[3] = vectors[1]
    vectors[4] = unit(vectors[1:2] + 0.01)
    metadata: list[Json] = [
        {"title": f"Storm hits Averil {n}", "publication_date": date}
        for n, date in enumerate([*dates, *[None] * (12 - len(dates))])
    ]
    workbench.stage3.write("documents", vectors, metadata)
    (found,) = [r for r in records(workbench, "documents") if "doc_0001" in r["member_ids"]]
    assert ["doc_0001", "doc_0003", "doc_0004"] in found["near_duplicates"]
    return found


@pytest.mark.parametrize(
    ("dates", "original"),
    [
        ([], "doc_0001"),
        ([None, "2025-12-14", None, "2025-12-13", "2025-12-13T01:00:00Z"], "doc_0003"),
        ([None, None, None, None, "2025-12-16"], "doc_0004"),
    ],
)
def test_a_near_duplicate_is_of_the_earliest_then_of_the_lowest_id(
    workbench: Workbench, dates: list[str | None], original: str
) -> None:
    record = reprinted(workbench, dates)
    of = dict(zip(record["member_ids"], record["near_duplicate_of"], strict=True))
    group = ["doc_0001", "doc_0003", "doc_0004"]
    assert {name: of[name] for name in group} == {
        name: None if name == original else original for name in group
    }
    assert not any(of[name] for name in of if name not in group)
    shown = [each["id"] for each in record["representatives"]]
    assert {*shown} & {*group} <= {original}
    assert len(shown) == 3


@pytest.mark.parametrize("level", ["events", "entities"])
def test_no_sentence_is_shown_twice(workbench: Workbench, level: str) -> None:
    said = [
        "The storm hit Averil.",
        "the storm hit Averil",
        "Rain fell.",
        "Rain fell .",
        "It blew.",
    ]
    field = {"events": "event_description", "entities": "context"}[level]
    of_level: Json = {"trigger": "storm"} if level == "events" else {"entity_text": "Averil"}
    metadata: list[Json] = [
        {**of_level, field: said[n % 5], "entity_type": "GPE"} for n in range(15)
    ]
    workbench.stage3.write(level, blobs([15], spread=0.1), metadata)
    names = [source_id(level, n) for n in range(15)]
    for record in records(workbench, level):
        shown = [said[names.index(r["id"]) % 5] for r in record["representatives"]]
        assert len({text.strip(". ").lower() for text in shown}) == len(shown)
        there = {names.index(name) % 5 // 2 for name in record["member_ids"]}
        assert len(shown) == len(there)


def test_a_label_of_ids_has_nothing_that_is_not_seen(workbench: Workbench) -> None:
    workbench.stage3.write("documents", blobs([5, 5]), [{}] * 10)
    path = workbench.stage3.metadata("documents")
    path.write_text(path.read_text().replace("doc_0", "doc\\u202e_0"))
    for record in records(workbench, "documents"):
        assert record["cluster_label"].startswith("doc_0")
        assert all(name.startswith("doc\u202e_0") for name in record["member_ids"])


def test_a_cluster_without_titles_is_labelled_by_words_or_ids(workbench: Workbench) -> None:
    metadata: list[Json] = [{"tags": ["flood", "rescue"]}] * 5
    record = first_group(workbench, "documents", metadata)
    assert "flood" in record["cluster_label"]
    assert record["representatives"][0]["title"] is None
