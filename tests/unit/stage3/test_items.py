from collections import Counter
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustering_tasks.errors import BadInputError
from clustering_tasks.settings.levels import DOMAINS, LEVELS, Level
from clustering_tasks.stage3.items import SCHEMA, item_batch
from clustering_tasks.stage3.oddities import Oddities
from tests.stage3_folder import plain_metadata

Json = dict[str, Any]


def items(
    level: str, *metadata: Json, sources: list[str] | None = None
) -> tuple[list[Json], Oddities]:
    sources = sources or [f"s{number}" for number in range(len(metadata))]
    entries = {
        f"{LEVELS[level].vector_prefix}{source}": {"source_id": source, "metadata": each}
        for source, each in zip(sources, metadata, strict=True)
    }
    odd = Oddities()
    batch = item_batch(entries, LEVELS[level], odd)
    assert batch.schema == SCHEMA
    return batch.to_pylist(), odd


def item(level: str, metadata: Json, source: str = "s") -> Json:
    rows, _ = items(level, metadata, sources=[source])
    return rows[0]


@pytest.mark.parametrize("level", LEVELS)
def test_a_complete_item_has_nothing_odd(level: str) -> None:
    rows, odd = items(level, plain_metadata(level, 1), sources=["d_event_1"])
    assert rows[0]["title"]
    assert rows[0]["text"]
    undated = level == "entities"  # Stage 3 dates no entity
    in_a_document = level in ("documents", "events")
    assert +odd == Counter(undated=int(undated)) + Counter(
        without_document=int(not in_a_document and level != "storylines")
    )


@pytest.mark.parametrize("level", LEVELS)
def test_no_metadata_at_all_is_no_error(level: str) -> None:
    rows, odd = items(level, {})
    empty = {"domain", "event_type", "entity_type", "start_time", "end_time", "title"}
    assert {name for name in empty if rows[0][name] is not None} == set()
    assert rows[0]["text"] == ""
    assert rows[0]["primary_entities"] == []
    assert rows[0]["metadata"] == "{}"
    assert odd["undated"] == 1


@pytest.mark.parametrize(
    ("level", "metadata", "source", "document"),
    [
        ("documents", {}, "doc_1", "doc_1"),
        ("documents", {"document_id": "other"}, "doc_1", "doc_1"),
        ("events", {"document_id": "d7"}, "doc_1_event_0", "d7"),
        ("events", {"document_id": " "}, "doc_1_event_0", "doc_1"),
        ("events", {"document_id": 7}, "doc_1_event_0", "7"),
        ("events", {"document_id": 7.0}, "doc_1_event_0", "7"),
        ("events", {}, "._event_0", None),
        ("events", {}, "doc_1_event_0", "doc_1"),
        ("events", {}, "a_event_b_event_0", "a_event_b"),
        ("events", {}, "doc_1_entity_0", None),
        ("events", {}, "_event_0", None),
        ("events", {}, "orphan", None),
        ("entities", {}, "doc_1_entity_3", "doc_1"),
        ("storylines", {}, "doc_1_storyline_3", "doc_1"),
        ("storylines", {}, "story", None),
    ],
)
def test_the_document_of_an_item(
    level: str, metadata: Json, source: str, document: str | None
) -> None:
    assert item(level, metadata, source)["document_id"] == document


def test_items_without_document_are_counted_where_there_should_be_one() -> None:
    for level, expected in {"documents": 0, "events": 1, "entities": 1, "storylines": 0}.items():
        assert items(level, {}, sources=["orphan"])[1]["without_document"] == expected


@pytest.mark.parametrize(("short", "long"), DOMAINS.items())
def test_domains_short_or_long_become_long(short: str, long: str) -> None:
    rows, odd = items("events", {"domain": short}, {"domain": f" {long.upper()} "})
    assert [row["domain"] for row in rows] == [long, long]
    assert odd["unknown_domains"] == 0


def test_an_unknown_domain_is_counted_and_a_missing_one_is_none() -> None:
    rows, odd = items("events", {"domain": "gossip"}, {"domain": ""}, {"domain": 3}, {})
    assert [row["domain"] for row in rows] == ["general_news", None, None, None]
    assert odd["unknown_domains"] == 1
    assert orjson.loads(rows[0]["metadata"]) == {"domain": "gossip"}


def test_an_item_has_one_time_and_a_span_two() -> None:
    day = item("events", {"temporal_reference": "2025-12-14"})
    assert day["start_time"] == day["end_time"] == datetime(2025, 12, 14, tzinfo=UTC)
    span = item("storylines", {"temporal_span": ["2025-12-16", "2025-12-14"]})
    assert (span["start_time"].day, span["end_time"].day) == (14, 16)
    half = item("storylines", {"temporal_span": [None, "2025-12-14"]})
    assert half["start_time"] == half["end_time"] == day["start_time"]


def test_the_next_date_field_stands_in_for_one_that_is_missing_or_unreadable() -> None:
    rows, odd = items(
        "events",
        {"publication_date": "2025-12-14"},
        {"temporal_reference": "", "publication_date": "2025-12-14"},
        {"temporal_reference": "soon", "publication_date": "2025-12-14"},
        {"temporal_reference": "soon"},
        {},
    )
    assert [row["start_time"] is not None for row in rows] == [True, True, True, False, False]
    assert odd["unparsable_dates"] == 2
    assert odd["undated"] == 2
    assert odd.examples == {"unparsable_dates": "temporal_reference: 'soon'"}


def test_an_example_is_short_and_the_first_one() -> None:
    _, odd = items("events", {"temporal_reference": "x" * 500}, {"temporal_reference": "soon"})
    assert odd.examples == {"unparsable_dates": f"temporal_reference: '{'x' * 58}…"}


@pytest.mark.parametrize(
    ("level", "metadata", "title"),
    [
        ("events", {"event_description": "Leaders meet", "trigger": "meet"}, "Leaders meet"),
        ("events", {"event_description": "  ", "trigger": "meet"}, "meet"),
        ("events", {"event_type": "contact_meet"}, "contact_meet"),
        ("storylines", {"primary_entities": ["G7", 3, None, "Japan"]}, "G7 Japan"),
        ("storylines", {"storyline_id": "s1"}, "s1"),
        ("documents", {"title": ["not", "a text"]}, "not a text"),
        ("documents", {"title": 5}, None),
    ],
)
def test_the_title_is_the_first_field_that_says_something(
    level: str, metadata: Json, title: str | None
) -> None:
    assert item(level, metadata)["title"] == title


def test_people_and_evidence_read_the_same_clean_text_and_the_original_stays() -> None:
    written = " <b>AT&amp;T</b>\u00a0Inc.\u200b "
    document = item("documents", {"title": written, "tags": [written, "[Removed]"]})
    assert document["title"] == document["mention"] == "AT&T Inc."
    assert document["text"] == "AT&T Inc. AT&T Inc."
    assert orjson.loads(document["metadata"])["title"] == written
    entity = item("entities", {"entity_text": written, "context": f"It is {written}."})
    assert (entity["mention"], entity["sentence"]) == ("AT&T Inc.", "It is AT&T Inc. .")
    event = item("events", {"trigger": "met", "event_description": "met:\u00a0They <i>met</i>"})
    assert (event["title"], event["sentence"]) == ("met: They met", "They met")
    story = item("storylines", {"storyline_summary": "Untitled", "primary_entities": [written]})
    assert (story["title"], story["mention"]) == ("AT&T Inc.", None)
    assert story["primary_entities"] == ["AT&T Inc."]


@pytest.mark.parametrize("title", ["[Removed]", "", "\u200b\u3164", "Untitled", "--"])
def test_a_placeholder_is_no_title(title: str) -> None:
    row = item("documents", {"title": title, "tags": ["storm"]})
    assert (row["title"], row["mention"], row["text"]) == (None, None, "storm")


@pytest.mark.parametrize(
    ("level", "metadata", "sentence"),
    [
        (
            "events",
            {"trigger": "meet", "event_description": "meet: Leaders meet."},
            "Leaders meet.",
        ),
        ("events", {"trigger": "talks", "event_description": "meet: No talks."}, "meet: No talks."),
        ("events", {"event_description": "Leaders meet."}, "Leaders meet."),
        ("events", {"trigger": "meet"}, None),
        ("entities", {"entity_text": "Rome", "context": "In Rome."}, "In Rome."),
        ("entities", {"entity_text": "Rome", "context": ""}, None),
        ("documents", {"title": "Rome"}, None),
        ("storylines", {"storyline_summary": "Rome"}, None),
    ],
)
def test_the_sentence_is_what_stands_around_a_mention(
    level: str, metadata: Json, sentence: str | None
) -> None:
    assert item(level, metadata)["sentence"] == sentence


def test_nul_characters_are_replaced_at_any_depth_and_nothing_else_is() -> None:
    metadata = {"title": "a\0b\n\u202e", "x\0": [{"y": "\0"}, 1.5, None, True], "z": "\\u0000"}
    row = item("documents", metadata)
    assert row["title"] == "a\ufffdb"
    assert orjson.loads(row["metadata"]) == {
        "title": "a\ufffdb\n\u202e",
        "x\ufffd": [{"y": "\ufffd"}, 1.5, None, True],
        "z": "\\u0000",
    }


def test_metadata_that_no_json_writer_takes_is_refused_by_name() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(BadInputError, match=r"documents_metadata\.json.*'doc_emb_s0'.*250 levels"):
        items("documents", {"x": deep})


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)  # JSON text has no others
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({field for level in LEVELS for field in plain_metadata(level, 0)} | {"document_id"})


@given(
    st.sampled_from(list(LEVELS.values())),
    st.lists(st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=8), max_size=4),
)
@settings(max_examples=150)
def test_no_metadata_makes_it_fail_and_all_of_it_passes_through(
    level: Level, metadata: list[Json]
) -> None:
    entries = {f"v{n}": {"source_id": f"s{n}", "metadata": m} for n, m in enumerate(metadata)}
    batch = item_batch(entries, level, Oddities())
    batch.validate(full=True)
    table = pa.Table.from_batches([batch])
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    stored = pq.read_table(buffer.getvalue())["metadata"].to_pylist()
    plain = orjson.dumps(metadata).replace(b"\\u0000", "\ufffd".encode())
    assert [orjson.loads(text) for text in stored] == orjson.loads(plain)
