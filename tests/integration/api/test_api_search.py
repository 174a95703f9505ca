"""`clusters/search`: by metadata, by text, by vector, and what is refused."""

import re
from typing import Any

import numpy as np
import pytest

from tests.integration.api.conftest import Api, Corpus, Json


def ids(answer: Json) -> list[str]:
    return [cluster["cluster_id"] for cluster in answer["clusters"]]


def vector(corpus: Corpus, number: int = 0) -> Any:
    """Between two clusters, and not of length 1."""
    records = list(corpus.runs["events"].records.values())
    one, other = records[number]["centroid_vector"], records[-1 - number]["centroid_vector"]
    return 3 * (2 * np.array(one) + np.array(other))


def test_metadata_alone_is_the_list(viewer: Api, corpus: Corpus) -> None:
    found = viewer.search(level="event", min_size=3, limit=9)
    assert (found["ordered_by"], found["level"]) == ("size", "events")
    assert ids(found) == ids(viewer.get("clusters", level="events", min_size=3, limit=9))
    assert all(each["rank"] is each["similarity"] is None for each in found["clusters"])


def test_a_text_finds_the_clusters_that_have_it(viewer: Api, corpus: Corpus) -> None:
    records = corpus.runs["events"].records
    keyword = next(iter(records.values()))["keywords"][0].split()[0]
    found = viewer.search(level="events", text=keyword, limit=200)
    assert found["ordered_by"] == "rank"
    assert set(ids(found)) == set(ids(viewer.get("clusters", level="events", q=keyword, limit=200)))
    ranks = [each["rank"] for each in found["clusters"]]
    assert ranks == sorted(ranks, reverse=True)
    assert len(ranks) > 0


def test_a_whole_word_is_in_front_of_one_that_begins_with_it(viewer: Api, corpus: Corpus) -> None:
    keyword = next(iter(corpus.runs["events"].records.values()))["keywords"][0].split()[0]
    whole = viewer.search(level="events", text=f'"{keyword}"', limit=200)["clusters"]
    begun = viewer.search(level="events", text=keyword[:-1], limit=200)["clusters"]
    assert {each["cluster_id"] for each in whole} <= {each["cluster_id"] for each in begun}
    both = viewer.search(level="events", text=keyword, limit=200)["clusters"]
    ranks = {each["cluster_id"]: each["rank"] for each in begun}
    for each in whole:
        found = next(one for one in both if one["cluster_id"] == each["cluster_id"])
        assert found["rank"] > ranks[each["cluster_id"]]
    assert ids(viewer.search(level="events", text=f'"{keyword[:-1]}"')) == []


def test_key_phrases_are_searched_and_shown(viewer: Api, corpus: Corpus) -> None:
    records = corpus.runs["entities"].records.values()
    record = next(each for each in records if _only_in_phrases(each))
    phrase = _only_in_phrases(record)[0]
    found = viewer.search(level="entities", text=f'"{phrase}"', limit=200)
    assert record["cluster_id"] in ids(found)
    label = re.findall(r"\w+", record["cluster_label"])[0]
    found = viewer.search(level="entities", text=f"{label} {phrase}", limit=200)
    assert record["cluster_id"] in ids(found)
    shown = viewer.get(f"clusters/{record['cluster_id']}")
    assert shown["key_phrases"] == record["key_phrases"]


def _only_in_phrases(record: Json) -> list[str]:
    """Return a record's key phrases of one word that nothing else of it says."""
    others = " ".join(
        [record["cluster_label"], *record["keywords"], *record["primary_entities"]]
    ).lower()
    return [each for each in record["key_phrases"] if each.isalpha() and each.lower() not in others]


def test_the_words_of_a_label_find_its_cluster_first(viewer: Api, corpus: Corpus) -> None:
    record = next(iter(corpus.runs["events"].records.values()))
    label = " ".join(re.findall(r"\w+", record["cluster_label"]))
    assert record["cluster_id"] in ids(viewer.search(level="events", text=label))
    without = viewer.search(level="events", text=f"{label} -{record['keywords'][0].split()[0]}")
    assert record["cluster_id"] not in ids(without)


@pytest.mark.parametrize("number", [0, 3])
def test_a_vector_finds_its_neighbours(viewer: Api, corpus: Corpus, number: int) -> None:
    records = corpus.runs["events"].records
    query = vector(corpus, number)
    cosines = {
        name: float(np.dot(record["centroid_vector"], query) / np.linalg.norm(query))
        for name, record in records.items()
    }
    found = viewer.search(level="events", vector=query.tolist(), limit=20)
    assert found["ordered_by"] == "similarity"
    similarities = [each["similarity"] for each in found["clusters"]]
    assert similarities == pytest.approx(sorted(cosines.values(), reverse=True)[:20], abs=2e-3)
    for each in found["clusters"]:
        assert each["similarity"] == pytest.approx(cosines[each["cluster_id"]], abs=2e-3)


def test_a_vector_with_filters_still_finds_as_many_as_there_are(
    viewer: Api, corpus: Corpus
) -> None:
    records = corpus.runs["events"].records
    domain = next(iter(records.values()))["domain"]
    expected = {name for name, each in records.items() if each["domain"] == domain}
    query = (-vector(corpus)).tolist()  # the filtered ones are not the nearest
    found = viewer.search(level="events", vector=query, domain=domain, limit=200)
    assert set(ids(found)) == expected


def test_a_text_restricts_and_a_vector_orders(viewer: Api, corpus: Corpus) -> None:
    records = corpus.runs["events"].records
    keyword = next(iter(records.values()))["keywords"][0].split()[0]
    found = viewer.search(level="events", text=keyword, vector=vector(corpus).tolist(), limit=200)
    assert found["ordered_by"] == "similarity"
    assert set(ids(found)) == set(ids(viewer.search(level="events", text=keyword, limit=200)))


def test_a_search_of_an_earlier_run(viewer: Api, corpus: Corpus) -> None:
    earlier = corpus.earlier
    found = viewer.search(level="events", load_id=earlier.load_id, limit=200)
    assert set(ids(found)) == set(earlier.records)


@pytest.mark.parametrize(
    "change",
    [
        {"vector": [1.0] * 767},
        {"vector": [1.0] * 769},
        {"vector": []},
        {"vector": [0.0] * 768},
        {"vector": [1e300] * 768},
        {"vector": ["NaN"] * 768},
        {"vector": [None] * 768},
        {"vector": "1,2,3"},
        {"text": ""},
        {"text": "a\x00b"},
        {"text": "x" * 301},
        {"limit": 0},
        {"limit": 201},
        {"level": "clusters"},
        {"min_size": 2.5},
        {"max_size": 2**31},
        {"start": "yesterday"},
        {"start": "2026-01-01T00:00:00"},
        {"load_id": -1},
        {"unknown": 1},
        {"order": "label"},
    ],
)
def test_a_search_that_cannot_be_is_refused(viewer: Api, change: Json) -> None:
    answer = viewer.ask("POST", "clusters/search", json={"level": "events"} | change)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["title"] == "Unprocessable Entity"
    name = next(iter(change))
    where = [each["where"] for each in problem.get("errors", [])]
    assert any(name in each for each in [*where, problem["detail"]])


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{", 422), (b"[]", 422), (b"null", 422), (b'"x"', 422), (b"\x80S", 400)],
)
def test_a_body_that_is_no_object_is_refused(viewer: Api, body: bytes, status: int) -> None:
    json = {"content-type": "application/json"} | viewer.headers
    answer = viewer.client.post("clusters/search", content=body, headers=json)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_refusal_does_not_repeat_what_was_sent(viewer: Api) -> None:
    secret = "do-not-repeat-this"
    answer = viewer.ask("POST", "clusters/search", json={"level": secret, "vector": [secret]})
    assert answer.status_code == 422
    assert secret not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"vector": ["0.5"] * 768},
        {"vector": [True] * 768},
        {"vector": [0.5] * 767 + [False]},
        {"vector": "0.5"},
        {"limit": "5"},
        {"limit": True},
        {"min_size": "2"},
        {"max_size": True},
        {"load_id": "1"},
        {"run": True},
    ],
)
def test_texts_and_truths_are_no_numbers(viewer: Api, wrong: dict[str, Any]) -> None:
    answer = viewer.ask("POST", "clusters/search", json={"level": "events"} | wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_whole_numbers_are_numbers_of_a_vector(viewer: Api) -> None:
    assert viewer.search(level="events", vector=[1] + [0] * 767)["clusters"]
