"""`items` and `documents`: where an item, and a document's items, have come to."""

from collections import Counter

import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.integration.api.conftest import Api, Corpus


@pytest.mark.parametrize("level", LEVELS)
def test_an_item_of_each_status(viewer: Api, corpus: Corpus, level: str) -> None:
    run = corpus.runs[level]
    for row in {row["status"]: row for row in run.members}.values():
        item = viewer.get(f"items/{level}/{row['source_id']}")
        assert {name: item[name] for name in ("vector_id", "status", "cluster_id")} == {
            name: row[name] for name in ("vector_id", "status", "cluster_id")
        }
        assert item["load_id"] == run.load_id
        if row["cluster_id"] is None:
            assert item["cluster"] is None
        else:
            record = run.records[row["cluster_id"]]
            assert item["cluster"]["label"] == record["cluster_label"]
            assert row["source_id"] in record["member_ids"]


def test_an_item_in_an_earlier_run(viewer: Api, corpus: Corpus) -> None:
    row = next(row for row in corpus.earlier.members if row["cluster_id"])
    item = viewer.get(f"items/event/{row['source_id']}", load_id=corpus.earlier.load_id)
    assert item["cluster_id"] == row["cluster_id"]


def test_an_unknown_item_is_404(viewer: Api) -> None:
    answer = viewer.ask("GET", "items/events/never_seen_event_0")
    assert answer.status_code == 404
    assert "events" in answer.json()["detail"]


def test_the_clusters_of_a_document_at_every_level(viewer: Api, corpus: Corpus) -> None:
    document = corpus.runs["documents"].members[0]["source_id"]
    answer = viewer.get(f"documents/{document}/clusters")
    assert [each["level"] for each in answer["levels"]] == sorted(LEVELS)
    for found in answer["levels"]:
        records = corpus.runs[found["level"]].records
        items = {
            name: Counter(of_document(found["level"], each) for each in record["member_ids"])
            for name, record in records.items()
        }
        expected = {name: each[document] for name, each in items.items() if each[document]}
        assert {each["cluster_id"]: each["items"] for each in found["clusters"]} == expected
        assert found["clusters_total"] == len(expected)
        assert sum(found["statuses"].values()) == found["items"]
        assert found["statuses"].get("clustered", 0) == sum(expected.values())


def of_document(level: str, source_id: str) -> str:
    """The document of an item of the sample, by its id."""
    return source_id.partition(f"_{LEVELS[level].cluster_type}_")[0]


def test_an_unknown_document_is_404(viewer: Api) -> None:
    assert viewer.ask("GET", "documents/doc_never/clusters").status_code == 404
