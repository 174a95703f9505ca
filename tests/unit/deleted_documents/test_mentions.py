"""Which ids lead to a deleted document, and what is left of what named them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustering_tasks.deleted_documents.mentions import redacting, words_naming, written
from clustering_tasks.deleted_documents.tombstones import (
    NONE_DELETED,
    document_hash,
    key_check,
    tombstones,
)
from clustering_tasks.settings.levels import LEVELS

SECRET = "a secret of the tests"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def redact(said: Any, *documents: str) -> Any:
    hashes = [document_hash(SECRET, name) for name in documents]
    return redacting(tombstones(SECRET, hashes, {key_check(SECRET)}))(said)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ({"event_ids": ["a_event_0", "b_event_0"]}, {"event_ids": ["b_event_0"]}),
        ({"event_ids": ["a_event_0"]}, {"event_ids": []}),
        ({"events": ["event_emb_a_event_0", 7]}, {"events": [7]}),
        ({"storyline_id": "a_storyline_1"}, {"storyline_id": None}),
        ({"document_ids": ["a", "doc_emb_a", "b"]}, {"document_ids": ["b"]}),
        ({"related": [{"id": "a", "score": 0.5}]}, {"related": [{"id": None, "score": 0.5}]}),
        ({"weights": {"a_entity_3": 0.5, "b_entity_3": 1}}, {"weights": {"b_entity_3": 1}}),
        ({"relatedIds": [["a_event_0"]]}, {"relatedIds": [[]]}),
        ({"relatedDocIds": ["a"]}, {"relatedDocIds": []}),
        ({"doc_id": "a", "source_document": "a"}, {"doc_id": None, "source_document": None}),
        ({"items": {"ids": ["a", "b"]}, "id": "a"}, {"items": {"ids": ["b"]}, "id": None}),
    ],
)
def test_what_is_left(said: Any, left: Any) -> None:
    assert redact(said, "a") == left


@pytest.mark.parametrize(
    "said",
    [
        {"tags": ["a", "b"], "title": "a"},
        {"event_ids": ["aa_event_0", "b_event_a", "a_events_0"]},
        {"author_id": "a", "category_ids": ["a", "b"], "resource_id": "a", "language_id": "a"},
        {"author": {"id": "a"}, "documents_author_id": "a"},
        {"centroid_vector": [0.1, 0.2]},
        [],
    ],
)
def test_what_names_no_deleted_document_is_the_same_object(said: Any) -> None:
    assert redact(said, "a") is said


@given(NAMES, st.sampled_from(sorted(LEVELS)), st.text("0123456789ab", min_size=1), JSON)
def test_every_form_of_an_id_is_found(document: str, name: str, number: str, other: Any) -> None:
    level = LEVELS[name]
    source = document if name == "documents" else f"{document}_{level.cluster_type}_{number}"
    said = {"item_ids": [source, level.vector_prefix + source], "other": [other]}
    assert redact(said, document)["item_ids"] == []
    assert written(document) in (json.dumps(said, ensure_ascii=False))


@pytest.mark.parametrize(
    "text", ["not like a", "a: a copy", "doc_emb_a", "a_event_0 and b_event_0", "(a)", "a"]
)
def test_a_text_that_names_a_document(text: str) -> None:
    assert re.search(python(words_naming("a")), text)


@pytest.mark.parametrize("text", ["G20 summit 2026", "the board", "a-b", "b_a", "a1", "a_event"])
def test_a_part_of_a_word_names_no_document(text: str) -> None:
    for document in ("2", "20", "a"):
        assert not re.search(python(words_naming(document)), text)


def python(pattern: str) -> str:
    """A regular expression of PostgreSQL in the form that Python reads."""
    return pattern.replace("[:alnum:]", "0-9A-Za-z")


@given(JSON)
def test_without_deleted_documents_nothing_is_taken_out(said: Any) -> None:
    assert redacting(NONE_DELETED)(said) is said


@given(JSON, NAMES)
def test_what_is_left_names_nothing(said: Any, document: str) -> None:
    left = redact({"ids": [said, f"{document}_event_1"], "said": said}, document)
    assert redact(left, document) is left
