"""`clusters`: what is listed, compared with what `label` wrote."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from clustering_tasks.settings.levels import DOMAINS, LEVELS
from tests.integration.api.conftest import Api, Corpus, Json, Loaded

Test = Callable[[Json], bool]


def listed(viewer: Api, **parameters: Any) -> list[str]:
    pages = viewer.pages("clusters", **{"limit": 200} | parameters)
    return [cluster["cluster_id"] for page in pages for cluster in page["clusters"]]


def time_of(record: Json, end: int) -> datetime | None:
    span = record["temporal_span"]
    return datetime.fromisoformat(span[end]) if span else None


def goes_on_to(record: Json, other: Json) -> bool:
    """Whether a record's span goes on to the start of another's."""
    ours, start = time_of(record, 1), time_of(other, 0)
    return ours is not None and start is not None and ours >= start


def begins_by(record: Json, other: Json) -> bool:
    """Whether a record's span has begun by the end of another's."""
    ours, end = time_of(record, 0), time_of(other, 1)
    return ours is not None and end is not None and ours <= end


def words(record: Json) -> set[str]:
    texts = [record["cluster_label"], *record["keywords"], *record["primary_entities"]]
    return {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}


def has_words(record: Json, text: str) -> bool:
    """Whether a record has the words of a text, and one that begins with the last."""
    *whole, last = text.split()
    found = words(record)
    return found.issuperset(whole) and any(word.startswith(last) for word in found)


def by_size(record: Json) -> tuple[Any, ...]:
    return -record["cluster_size"], record["cluster_id"]


def by_start(record: Json) -> tuple[Any, ...]:
    start = time_of(record, 0)
    return start is None, -start.timestamp() if start else 0, record["cluster_id"]


@pytest.mark.parametrize("level", LEVELS)
def test_every_cluster_of_a_level_is_listed_once(viewer: Api, corpus: Corpus, level: str) -> None:
    run = corpus.runs[level]
    expected = sorted(run.records.values(), key=by_size)
    assert listed(viewer, level=level, limit=3) == [each["cluster_id"] for each in expected]
    assert listed(viewer, level=LEVELS[level].cluster_type) == listed(viewer, level=level)


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_the_latest_come_first_and_the_undated_last(
    viewer: Api, corpus: Corpus, limit: int
) -> None:
    expected = sorted(corpus.runs["events"].records.values(), key=by_start)
    assert len({record["temporal_span"] is None for record in expected}) == 2, "both kinds"
    found = listed(viewer, level="events", order="start", limit=limit)
    assert found == [record["cluster_id"] for record in expected]


def test_by_label_pages_are_in_one_order(viewer: Api, corpus: Corpus) -> None:
    whole = listed(viewer, level="events", order="label")
    assert listed(viewer, level="events", order="label", limit=4) == whole
    assert sorted(whole) == sorted(corpus.runs["events"].records)


def test_a_listed_cluster_is_what_label_wrote(viewer: Api, corpus: Corpus) -> None:
    run = corpus.runs["events"]
    page = viewer.get("clusters", level="events", limit=5)
    assert (page["level"], page["load_id"]) == ("events", run.load_id)
    for cluster in page["clusters"]:
        assert_summary(cluster, run.records[cluster["cluster_id"]])


def assert_summary(cluster: Json, record: Json) -> None:
    for name in ("domain", "event_type", "keywords", "primary_entities"):
        assert cluster[name] == record[name]
    assert cluster["label"] == record["cluster_label"]
    assert cluster["size"] == record["cluster_size"]
    assert cluster["intra_cluster_similarity"] == record["intra_cluster_similarity"]
    assert cluster["entity_type"] == record.get("entity_type")
    starts = cluster["start_time"] and datetime.fromisoformat(cluster["start_time"])
    assert starts == time_of(record, 0)


def middle(run: Loaded) -> Json:
    """A cluster with a time and a domain."""
    dated = [each for each in run.records.values() if each["temporal_span"] and each["domain"]]
    return sorted(dated, key=by_start)[len(dated) // 2]


FILTERS: dict[str, Callable[[Json], tuple[Json, Test]]] = {
    "domain": lambda one: ({"domain": one["domain"]}, lambda r: r["domain"] == one["domain"]),
    "event_type": lambda one: (
        {"event_type": one["event_type"]},
        lambda r: r["event_type"] == one["event_type"],
    ),
    "min_size": lambda _: ({"min_size": 3}, lambda r: r["cluster_size"] >= 3),
    "max_size": lambda _: ({"max_size": 2}, lambda r: r["cluster_size"] <= 2),
    "document": lambda one: (
        {"document_id": one["document_ids"][0]},
        lambda r: one["document_ids"][0] in r["document_ids"],
    ),
    "start": lambda one: (
        {"start": one["temporal_span"][0]},
        lambda r: goes_on_to(r, one),
    ),
    "end": lambda one: (
        {"end": one["temporal_span"][1]},
        lambda r: begins_by(r, one),
    ),
    "text": lambda one: (
        {"q": one["keywords"][0]},
        lambda r: has_words(r, one["keywords"][0]),
    ),
    "text that is being typed": lambda one: (
        {"q": one["keywords"][0][:-1]},
        lambda r: has_words(r, one["keywords"][0][:-1]),
    ),
    "several": lambda one: (
        {"domain": one["domain"], "min_size": 3, "start": one["temporal_span"][0]},
        lambda r: r["domain"] == one["domain"] and r["cluster_size"] >= 3 and goes_on_to(r, one),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_keeps_what_a_look_at_every_record_would(
    viewer: Api, corpus: Corpus, name: str
) -> None:
    run = corpus.runs["events"]
    parameters, keeps = FILTERS[name](middle(run))
    expected = sorted(filter(keeps, run.records.values()), key=by_size)
    assert 0 < len(expected) < len(run.records), "the filter says something"
    found = listed(viewer, level="events", limit=4, **parameters)
    assert found == [record["cluster_id"] for record in expected]


def test_an_entity_type_and_a_short_domain(viewer: Api, corpus: Corpus) -> None:
    records = corpus.runs["entities"].records
    people = {name for name, each in records.items() if each["entity_type"] == "PER"}
    assert set(listed(viewer, level="entities", entity_type="PER")) == people != set()
    for short, long in DOMAINS.items():
        assert listed(viewer, level="events", domain=short) == listed(
            viewer, level="events", domain=long
        )


def test_a_cluster_in_full(viewer: Api, corpus: Corpus) -> None:
    for level, run in corpus.runs.items():
        cluster_id, record = next(iter(run.records.items()))
        cluster = viewer.get(f"clusters/{cluster_id}")
        assert_summary(cluster, record)
        assert (cluster["level"], cluster["load_id"], cluster["centroid"]) == (
            level,
            run.load_id,
            None,
        )
        assert cluster["document_ids"] == record["document_ids"]
        assert cluster["representatives"] == record["representatives"]
        assert cluster["record"]["metadata"] == record["metadata"]
        assert "centroid_vector" not in cluster["record"]
        centroid = viewer.get(f"clusters/{cluster_id}", centroid=True)["centroid"]
        assert centroid == pytest.approx(record["centroid_vector"], abs=1e-6)


@pytest.mark.parametrize("order", ["probability", "similarity"])
@pytest.mark.parametrize("limit", [1, 3, 200])
def test_members_in_pages(viewer: Api, corpus: Corpus, order: str, limit: int) -> None:
    run = corpus.runs["events"]
    largest = min(run.records.values(), key=by_size)
    cluster_id = largest["cluster_id"]
    pages = viewer.pages(f"clusters/{cluster_id}/members", order=order, limit=limit)
    members = [member for page in pages for member in page["members"]]
    rows = [row for row in run.members if row["cluster_id"] == cluster_id]
    rows.sort(key=lambda row: (-row[order], row["vector_id"]))
    assert [each["vector_id"] for each in members] == [row["vector_id"] for row in rows]
    assert len(pages) == -(-len(rows) // limit)
    for member, row in zip(members, rows, strict=True):
        assert member["source_id"] == row["source_id"]
        assert member["similarity"] == pytest.approx(row["similarity"], abs=1e-6)
        assert (member["status"], member["assignment"]) == ("clustered", row["assignment"])
        assert member["metadata"]["event_type"]


def test_clusters_like_this_one(viewer: Api, corpus: Corpus) -> None:
    run = corpus.runs["events"]
    ids = sorted(run.records)
    centroids = np.array([run.records[name]["centroid_vector"] for name in ids])
    for number in (0, len(ids) // 2):
        cosines = centroids @ centroids[number]
        cosines[number] = -2
        expected = sorted(cosines.tolist(), reverse=True)[:10]
        answer = viewer.get(f"clusters/{ids[number]}/similar", limit=10)
        found = {each["cluster_id"]: each["similarity"] for each in answer["clusters"]}
        assert list(found.values()) == pytest.approx(expected, abs=2e-3)  # halves of 16 bits
        for name, similarity in found.items():
            assert similarity == pytest.approx(cosines[ids.index(name)], abs=2e-3)


def test_an_earlier_run_is_read_by_its_number(viewer: Api, corpus: Corpus) -> None:
    earlier, current = corpus.earlier, corpus.runs["events"]
    assert set(listed(viewer, level="events", load_id=earlier.load_id)) == set(earlier.records)
    gone = next(iter(set(earlier.records) - set(current.records)))
    now = viewer.client.get(f"clusters/{gone}", headers=viewer.headers, follow_redirects=False)
    assert now.status_code in (300, 308, 410), "what became of it; never that it is unknown"
    assert viewer.get(f"clusters/{gone}", load_id=earlier.load_id)["load_id"] == earlier.load_id
    members = viewer.get(f"clusters/{gone}/members", load_id=earlier.load_id)["members"]
    assert len(members) == earlier.records[gone]["cluster_size"]
    assert viewer.get(f"clusters/{gone}/similar", load_id=earlier.load_id)["clusters"]


def test_the_former_names_of_a_loads_number_are_understood(viewer: Api, corpus: Corpus) -> None:
    number = corpus.earlier.load_id
    name = next(iter(corpus.earlier.records))
    for path in ("clusters?level=events", f"clusters/{name}/members", f"clusters/{name}"):
        sign = "&" if "?" in path else "?"
        ours = viewer.get(f"{path}{sign}load_id={number}")
        assert (ours["load_id"], ours["run_id"]) == (number, number)
        assert viewer.get(f"{path}{sign}run={number}") == ours
        assert viewer.get(f"{path}{sign}run={number}&load_id={number}") == ours
        refused = viewer.ask("GET", f"{path}{sign}run={number}&load_id={number + 1}")
        assert refused.status_code == 422
        (error,) = refused.json()["errors"]
        assert "`run`, the deprecated alias of `load_id`, has another value" in error["message"]
    found = viewer.search(level="events", run=number)
    assert found == viewer.search(level="events", load_id=number)
    body = {"level": "events", "run": number, "load_id": number + 1}
    assert viewer.ask("POST", "clusters/search", json=body).status_code == 422


def test_a_list_goes_on_under_either_name(viewer: Api, corpus: Corpus) -> None:
    number = corpus.earlier.load_id
    begun = viewer.get("clusters", level="events", run=number, limit=2)
    cursor = begun["next_cursor"]
    further = viewer.get("clusters", level="events", load_id=number, limit=2, cursor=cursor)
    assert further["load_id"] == number
    assert further == viewer.get("clusters", level="events", run=number, limit=2, cursor=cursor)


@pytest.mark.parametrize(
    "path",
    [
        "clusters/event_000000000000",
        "clusters/event_000000000000/members",
        "clusters/event_000000000000/similar",
        "clusters?level=events&load_id=999",
        "clusters?level=documents&load_id={events}",
    ],
)
def test_what_is_not_there_is_404(viewer: Api, corpus: Corpus, path: str) -> None:
    answer = viewer.ask("GET", path.format(events=corpus.runs["events"].load_id))
    assert answer.status_code == 404
