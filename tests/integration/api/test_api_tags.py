"""Tags and trends as the API and the database have them, beside the records and the members."""

import json
from collections import Counter
from pathlib import Path

import pytest

from clustering_tasks.settings.levels import LEVELS
from tests.integration.api.conftest import Api, Corpus, Json


def listed(viewer: Api, **parameters: str | int) -> list[Json]:
    pages = viewer.pages("clusters", **{"limit": 200, **parameters})
    return [cluster for page in pages for cluster in page["clusters"]]


@pytest.mark.parametrize("level", LEVELS)
def test_clusters_have_the_tags_and_the_trend_of_their_records(
    viewer: Api, corpus: Corpus, level: str
) -> None:
    records = corpus.runs[level].records
    for cluster in listed(viewer, level=level):
        record = records[cluster["cluster_id"]]
        assert cluster["tags"] == record["tags"]
        trend = record["trend"] or dict.fromkeys(("state", "rate", "earlier_rate", "ratio_low"))
        assert cluster["trend"] == trend["state"]
        assert cluster["rate"] == pytest.approx(trend["rate"])
        assert cluster["earlier_rate"] == pytest.approx(trend["earlier_rate"])
        assert cluster["growth"] == pytest.approx(trend["ratio_low"])


def test_a_tag_finds_its_clusters(viewer: Api, corpus: Corpus) -> None:
    records = corpus.runs["documents"].records
    tags = Counter(tag["tag"] for record in records.values() for tag in record["tags"])
    for tag, count in tags.most_common(3):
        having = {
            name for name, each in records.items() if tag in [one["tag"] for one in each["tags"]]
        }
        found = {cluster["cluster_id"] for cluster in listed(viewer, level="documents", tag=tag)}
        assert found == having
        assert len(found) == count
    assert listed(viewer, level="documents", tag='"] or true') == []


def test_members_have_the_tags_that_they_got(viewer: Api, corpus: Corpus) -> None:
    run = corpus.runs["documents"]
    got = 0
    for name, record in run.records.items():
        expected: dict[str, list[Json]] = {}
        for each in record["member_tags"]:
            rest = {key: value for key, value in each.items() if key != "id"}
            expected.setdefault(each["id"], []).append(rest)
        pages = viewer.pages(f"clusters/{name}/members")
        found = {one["source_id"]: one["tags"] for page in pages for one in page["members"]}
        assert {key: tags for key, tags in found.items() if tags} == expected
        got += len(record["member_tags"])
    assert got > 0
    stored = corpus.results.rows(
        "SELECT sum(jsonb_array_length(tags)) FROM stage4.current_members WHERE level = 'documents'"
    )
    assert stored == [(got,)]
    report = json.loads(Path(run.files["report"]).read_bytes())
    assert report["tags"]["propagated"] == got
    metrics = viewer.get("metrics/documents", names="tags.propagated,tags.coverage,trends.growing")
    assert metrics["latest"]["values"]["tags.propagated"] == got
    assert metrics["latest"]["values"]["tags.coverage"] == report["tags"]["coverage"]
    assert metrics["latest"]["values"]["trends.growing"] == report["trends"]["growing"]


@pytest.mark.parametrize("limit", [1, 7, 200])
def test_the_surest_growth_comes_first_and_the_undated_last(
    viewer: Api, corpus: Corpus, limit: int
) -> None:
    def order(record: Json) -> tuple[bool, float, str]:
        low = (record["trend"] or {}).get("ratio_low")
        return low is None, -(low or 0.0), record["cluster_id"]

    expected = sorted(corpus.runs["events"].records.values(), key=order)
    found = listed(viewer, level="events", order="growth", limit=limit)
    assert [each["cluster_id"] for each in found] == [each["cluster_id"] for each in expected]


@pytest.mark.parametrize("trend", ["growing", "steady", "fading", "unknown"])
def test_a_trend_finds_its_clusters(viewer: Api, corpus: Corpus, trend: str) -> None:
    records = corpus.runs["documents"].records
    having = {name for name, each in records.items() if (each["trend"] or {}).get("state") == trend}
    found = listed(viewer, level="documents", trend=trend)
    assert {each["cluster_id"] for each in found} == having


def test_what_is_no_trend_is_refused(viewer: Api) -> None:
    answer = viewer.ask("GET", "clusters", params={"level": "events", "trend": "rising"})
    assert answer.status_code == 422
